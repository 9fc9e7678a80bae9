//! Makes the folder of a shipped model from a run.

mod card;
mod narrow;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use pixel_iqn::core::weights::load_safetensors;
use pixel_iqn::core::{AnyModel, PixelModel};
use pixel_iqn::data::{say, sha256, write_atomically};
use pixel_iqn::{Images, Model, Run};

use card::Facts;
use narrow::{Floats, narrow};

/// The largest file of weights, in bytes: our choice, so that a clone stays small.
const LARGEST: usize = 5 << 20;

/// Images side by side in the picture of a card, and behind the comparison of two kinds of floats.
const SAMPLES: usize = 100;

/// The largest mean difference of samples, in levels of 255, at which narrower floats are taken: less than
/// 1% of the range. Our choice.
const SAME: f64 = 2.0;

/// Make the folder of a shipped model from a run: config.toml, the averaged weights, SHA256, and a card
/// with samples
///
/// The folder is models/NAME, or crates/pixel-iqn/models/NAME for a model that is compiled in. The part
/// of an existing card outside of the marked lines stays.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder of the run
    run: PathBuf,
    /// Name of the model
    name: String,
    /// Floats of the weights [default: the first of float16 and bfloat16 whose samples are those of
    /// float32 within two levels of 255 on average, else float32]
    #[arg(long, value_enum)]
    floats: Option<Floats>,
    /// The command of the training, for the card [default: one that repeats it from its config]
    #[arg(long)]
    command: Option<String>,
    /// For a model that is to be part of the program
    #[arg(long)]
    compiled_in: bool,
    /// Root of the repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        !args.name.is_empty()
            && args
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "the name `{}` is to have letters, digits and hyphens alone",
        args.name
    );
    let run = Run::open(&args.run)?;
    let best = run.dir().best_weights();
    let full = run.dir().read_weights(best)?;
    let wide = draw(&run, &full)?;
    let candidates = match args.floats {
        Some(floats) => vec![floats],
        None => vec![Floats::F16, Floats::Bf16, Floats::F32],
    };
    let mut chosen = None;
    for floats in candidates {
        let weights = narrow(&full, floats)?;
        let samples = draw(&run, &weights)?;
        let difference = Difference::between(&wide, &samples);
        say!("{}: {difference}", floats.name());
        if args.floats.is_some() || difference.mean <= SAME {
            chosen = Some((floats, weights, samples, difference));
            break;
        }
    }
    let (floats, weights, samples, difference) = chosen.context("float32 equals itself")?;
    ensure!(
        weights.len() <= LARGEST,
        "the weights have {} bytes as {}, and a shipped model has at most {LARGEST}",
        weights.len(),
        floats.name()
    );

    let models = match args.compiled_in {
        true => args.root.join("crates/pixel-iqn/models"),
        false => args.root.join("models"),
    };
    let folder = models.join(&args.name);
    fs::create_dir_all(&folder)?;
    let mut config = run.config().clone();
    // Folders of the machine that trained it.
    config.data.path = None;
    config.train.init = None;
    let config = config.to_toml();
    let files = [
        ("config.toml", config.as_bytes()),
        ("weights.safetensors", &weights),
    ];
    for (name, content) in files {
        write_atomically(&folder.join(name), content)?;
    }
    let sums = files.map(|(name, content)| (sha256(content), name));
    let lines: String = sums
        .iter()
        .map(|(sum, name)| format!("{sum}  {name}\n"))
        .collect();
    write_atomically(&folder.join("SHA256"), lines.as_bytes())?;
    samples.save_grid(folder.join("samples.png"))?;
    let facts = Facts {
        name: &args.name,
        run: &run,
        command: args.command.as_deref(),
        floats,
        bytes: weights.len(),
        parameters: narrow::count(&full)?,
        difference: difference.to_string(),
        commit: commit(&args.root),
    };
    card::write(&folder.join("README.md"), &facts)?;
    register(
        &args.root.join("crates/pixel-iqn/models/SHA256"),
        &args.name,
        &sums,
    )?;
    say!("wrote {} ({} bytes)", folder.display(), weights.len());
    Ok(())
}

/// Draws the samples of the card with these weights: seed 0, all classes in turn.
fn draw(run: &Run, weights: &[u8]) -> anyhow::Result<Images> {
    let device = pixel_iqn::device("cpu")?;
    let config = run.config();
    let mut network = AnyModel::init(&config.model, &device);
    load_safetensors(&mut network, weights)?;
    let model = Model::new(network, device).with_size(config.data.size);
    Ok(model.sample(SAMPLES).run()?)
}

/// How far samples of two models with the same seeds differ, in levels from 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Difference {
    /// The fraction of values that are the same.
    same: f64,
    mean: f64,
    /// Images whose mean difference is more than [`SAME`].
    images: usize,
    of_images: usize,
}

impl Difference {
    fn between(a: &Images, b: &Images) -> Self {
        let values = a.levels().len() as f64;
        let pairs = || a.levels().iter().zip(b.levels());
        let same = pairs().filter(|(a, b)| a == b).count() as f64 / values;
        let of_image = |i: usize| {
            let pairs = a.image(i).iter().zip(b.image(i));
            let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
            sum / a.image(i).len() as f64
        };
        let by_image: Vec<f64> = (0..a.len()).map(of_image).collect();
        Self {
            same,
            mean: by_image.iter().sum::<f64>() / a.len() as f64,
            images: by_image.iter().filter(|mean| **mean > SAME).count(),
            of_images: a.len(),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2}% of the values of {} samples are those of float32, the mean difference is {:.3} of 255 \
             levels, and {} images differ by more than {SAME} levels on average",
            100.0 * self.same,
            self.of_images,
            self.mean,
            self.images
        )
    }
}

/// The commit of the repository, where git knows one.
fn commit(root: &Path) -> Option<String> {
    let git = std::process::Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["rev-parse", "--short=10", "HEAD"])
        .output()
        .ok()?;
    let hash = String::from_utf8(git.stdout).ok()?;
    (git.status.success()).then(|| hash.trim().to_owned())
}

/// Replaces the checksums of a model among those of all.
fn register(path: &Path, name: &str, sums: &[(String, &str)]) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let of_model = |line: &&str| {
        let path = line.split_once("  ").map_or("", |(_, path)| path);
        path.split_once('/').is_some_and(|(of, _)| of == name)
    };
    let mut lines: Vec<String> = (text.lines())
        .filter(|line| !of_model(line))
        .map(str::to_owned)
        .collect();
    lines.extend(
        sums.iter()
            .map(|(sum, file)| format!("{sum}  {name}/{file}")),
    );
    lines.sort_by_key(|line| line.split_once("  ").map(|(_, path)| path.to_owned()));
    Ok(write_atomically(
        path,
        (lines.join("\n") + "\n").as_bytes(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_replaces_its_own_checksums_alone() {
        let folder = tempfile();
        let path = folder.join("SHA256");
        register(&path, "b", &[("1".into(), "config.toml")]).unwrap();
        register(&path, "a", &[("2".into(), "config.toml")]).unwrap();
        register(&path, "b", &[("3".into(), "config.toml")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "2  a/config.toml\n3  b/config.toml\n");
        fs::remove_dir_all(folder).unwrap();
    }

    fn tempfile() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("pixel-iqn-model-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// From a run to a folder that opens, samples, and has a card that keeps what a hand wrote.
    #[test]
    fn a_run_becomes_a_model_with_a_card() {
        let root = std::env::temp_dir().join(format!("pixel-iqn-xtask-{}", std::process::id()));
        fs::create_dir_all(root.join("crates/pixel-iqn/models")).unwrap();
        let images = pixel_iqn::data::builtin::generate(0, 0..20, 8, 3).unwrap();
        let run = pixel_iqn::train(images)
            .preset("tiny")
            .steps(2)
            .device("cpu")
            .run_dir(root.join("run"))
            .start()
            .unwrap();
        let args = |floats| Args {
            run: run.path().to_owned(),
            name: "tiny".to_owned(),
            floats,
            command: None,
            compiled_in: false,
            root: root.clone(),
        };
        super::run(&args(Some(Floats::Bf16))).unwrap();
        let folder = root.join("models/tiny");
        let card = fs::read_to_string(folder.join("README.md")).unwrap();
        for fact in ["bfloat16", "2 steps", "CRPS"] {
            assert!(card.contains(fact), "{fact}: {card}");
        }
        let by_hand = card.replace("# tiny\n", "# tiny\n\nA line by hand.\n");
        fs::write(folder.join("README.md"), by_hand).unwrap();
        super::run(&args(None)).unwrap();
        let card = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(card.contains("A line by hand."), "{card}");
        assert!(card.contains("float16"), "{card}");

        let model = Model::open(&folder, "cpu").unwrap();
        let samples = model.sample(2).run().unwrap();
        assert_eq!(samples.shape(), [2, 3, 8, 8]);
        let bad = Args {
            name: "a/b".to_owned(),
            ..args(None)
        };
        assert!(super::run(&bad).is_err());
        fs::remove_dir_all(root).unwrap();
    }
}
