use std::path::{Path, PathBuf};

use anyhow::ensure;
use pixel_iqn::data::Claim;

/// Claims the output files of a command before the work that fills them: pictures, which are PNG, and
/// others. The files must stay claimed until they are written.
pub fn claim<const P: usize, const N: usize>(
    pictures: [Option<&PathBuf>; P],
    others: [Option<&PathBuf>; N],
) -> anyhow::Result<Vec<Claim>> {
    for picture in pictures.into_iter().flatten() {
        check_picture(picture)?;
    }
    let files: Vec<&PathBuf> = pictures.into_iter().chain(others).flatten().collect();
    for (i, file) in files.iter().enumerate() {
        ensure!(
            !files[..i].contains(file),
            "{} is named for two different outputs: give each its own file",
            file.display()
        );
    }
    let claims = files.into_iter().map(|file| Ok(Claim::file(file)?));
    claims.collect()
}

/// Refuses to write an output over a file that is read, which a slip of the hand would lose.
pub fn keep_inputs<'a, 'b>(
    outputs: impl IntoIterator<Item = &'a PathBuf>,
    inputs: impl IntoIterator<Item = &'b Path>,
) -> anyhow::Result<()> {
    let inputs: Vec<PathBuf> = inputs
        .into_iter()
        .filter_map(|input| input.canonicalize().ok())
        .collect();
    for output in outputs {
        let is_input = |output: PathBuf| output.is_file() && inputs.contains(&output);
        ensure!(
            !output.canonicalize().is_ok_and(is_input),
            "{} is read and would be written over: choose another file to write",
            output.display()
        );
    }
    Ok(())
}

/// Refuses to write an output over a file that a run needs.
pub fn keep_run<'a, 'b>(
    outputs: impl IntoIterator<Item = &'a PathBuf>,
    runs: impl IntoIterator<Item = &'b Path>,
) -> anyhow::Result<()> {
    const NEEDED: [&str; 6] = [
        "config.toml",
        "config.json",
        "weights.safetensors",
        "averaged.safetensors",
        "SHA256",
        "metrics.jsonl",
    ];
    let files = runs
        .into_iter()
        .flat_map(|run| NEEDED.map(|name| run.join(name)));
    let files: Vec<PathBuf> = files.collect();
    keep_inputs(outputs, files.iter().map(PathBuf::as_path))
}

fn check_picture(file: &Path) -> anyhow::Result<()> {
    let ending = file.extension().unwrap_or_default();
    ensure!(
        ending.eq_ignore_ascii_case("png"),
        "cannot write {}: pictures are PNG, give FILE.png",
        file.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("a.png"), "an image").unwrap();
        let check = |output: &str, input: &Path| keep_inputs([&file(output)], [input]);
        let error = check("a.png", &file("./a.png")).unwrap_err().to_string();
        assert!(error.contains("would be written over"), "{error}");
        assert!(check("b.png", &file("a.png")).is_ok());
        assert!(check("b.png", &file("b.png")).is_ok());
        assert!(check("a.png", folder.path()).is_ok());
        std::fs::write(file("config.toml"), "a config").unwrap();
        let keep = |output: &str| keep_run([&file(output)], [folder.path()]);
        assert!(keep("config.toml").is_err());
        assert!(keep("scores.json").is_ok() && keep("SHA256").is_ok());
    }

    #[test]
    fn outputs_can_be_written_and_are_different_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let claim = |picture: &str, other: &str| {
            claim([Some(&file(picture))], [Some(&file(other))]).map(|claims| claims.len())
        };
        assert_eq!(claim("a.png", "b.json").unwrap(), 2);
        assert_eq!(claim("a.PNG", "b").unwrap(), 2);
        for (picture, other) in [
            ("a.jpg", "b.json"),
            ("a", "b.json"),
            ("a.png", "no/folder/b.json"),
            ("a.png", "a.png"),
        ] {
            assert!(claim(picture, other).is_err(), "{picture} {other}");
        }
    }
}
