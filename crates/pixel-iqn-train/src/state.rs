//! Puts several models into one safetensors file, under the names `PREFIX.NAME`.

use std::collections::BTreeMap;

use safetensors::tensor::{SafeTensorError, SafeTensors, serialize};

/// Joins several files into one, in which the name of each tensor gets the prefix of its file.
pub(crate) fn join<const N: usize>(
    files: [(&str, Vec<u8>); N],
) -> Result<Vec<u8>, SafeTensorError> {
    let mut parsed = Vec::with_capacity(N);
    for (prefix, bytes) in &files {
        parsed.push((prefix, SafeTensors::deserialize(bytes)?));
    }
    let tensors = parsed.iter().flat_map(|(prefix, tensors)| {
        let tensors = tensors.tensors().into_iter();
        tensors.map(move |(name, view)| (format!("{prefix}.{name}"), view))
    });
    // Sorted by name, so that the same state is the same bytes.
    serialize(tensors.collect::<BTreeMap<_, _>>(), None)
}

/// Splits what [`join`] made into its files; a tensor of another prefix is an error.
pub(crate) fn split<const N: usize>(
    bytes: &[u8],
    prefixes: [&str; N],
) -> Result<[Vec<u8>; N], SafeTensorError> {
    let all = SafeTensors::deserialize(bytes)?;
    let mut parts = [const { Vec::new() }; N];
    for (name, view) in all.tensors() {
        let owner = name.split_once('.').and_then(|(prefix, rest)| {
            let part = prefixes.iter().position(|known| *known == prefix)?;
            Some((part, rest.to_owned()))
        });
        match owner {
            Some((part, rest)) => parts[part].push((rest, view)),
            None => return Err(SafeTensorError::TensorNotFound(name)),
        }
    }
    let mut files = [const { Vec::new() }; N];
    for (file, part) in files.iter_mut().zip(parts) {
        *file = serialize(part, None)?;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::{Dtype, tensor::TensorView};

    fn file(name: &str, value: u8) -> Vec<u8> {
        let data = [value, 2, 3];
        let view = TensorView::new(Dtype::U8, vec![3], &data).unwrap();
        serialize([(name, view)], None).unwrap()
    }

    #[test]
    fn what_is_joined_is_split_again() {
        let files = [("a", file("x.y", 7)), ("b", file("x", 8))];
        let joined = join(files.clone()).unwrap();
        let names = SafeTensors::deserialize(&joined).unwrap();
        let mut names: Vec<_> = names.names().into_iter().collect();
        names.sort();
        assert_eq!(names, ["a.x.y", "b.x"]);
        let [a, b] = split(&joined, ["a", "b"]).unwrap();
        assert_eq!([a, b], files.map(|(_, file)| file));
        assert!(split(&joined, ["a", "c"]).is_err());
        assert!(split(&joined[..20], ["a", "b"]).is_err());
    }
}
