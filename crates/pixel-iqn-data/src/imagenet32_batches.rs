//! The batches of ImageNet 32x32, files of NumPy with images and labels.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use npyz::{TypeChar, npz::NpzArchive};

use crate::{
    content,
    dataset::ImageDataset,
    error::{DataError, Result, at, format},
    memory,
    npy::integer,
    npz::{archive_error, array},
    unpack::start_of,
};

const CLASSES: u32 = 1000;
/// Bytes of one image, planar RGB.
pub(crate) const IMAGE: usize = 3 * 32 * 32;

/// Returns the label that the first class has, by all labels that occur.
pub(crate) fn first_label<'a>(batches: impl IntoIterator<Item = &'a Batches>) -> Result<u32> {
    let (mut zero, mut last) = (None, None);
    for batch in batches {
        zero = zero.or(batch.with_zero.as_ref());
        last = last.or(batch.with_last.as_ref());
    }
    match (zero, last) {
        (Some(zero), Some(last)) => Err(DataError::Inconsistent(format!(
            "{} has the label 0 and {} has {CLASSES}: labels count either from 0 or from 1",
            zero.display(),
            last.display()
        ))),
        (Some(_), None) => Ok(0),
        (None, _) => Ok(1),
    }
}

/// The content of some batches.
#[derive(Default)]
pub(crate) struct Batches {
    images: Vec<u8>,
    /// The labels as the files have them, from 0 to 1000.
    labels: Vec<u32>,
    /// The first file with the label 0, which shows that labels count from 0.
    with_zero: Option<PathBuf>,
    /// The first file with the label 1000, which shows that labels count from 1.
    with_last: Option<PathBuf>,
}

impl Batches {
    pub(crate) fn read(files: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let mut batches = Self::default();
        for file in files {
            if !file.exists() {
                let hint = "a batch of ImageNet 32x32 belongs here".to_owned();
                return Err(DataError::Missing { path: file, hint });
            }
            let reader = BufReader::new(File::open(&file).map_err(at(&file))?);
            batches.append(&file, reader)?;
        }
        Ok(batches)
    }

    pub(crate) fn into_set(self, first: u32) -> Result<ImageDataset> {
        let labels = self.labels.into_iter().map(|label| label - first).collect();
        ImageDataset::new(self.images, [3, 32, 32])?.with_labels(labels, CLASSES as usize)
    }

    /// Appends the images and labels of one batch, which are its arrays `data` and `labels`. `path`
    /// serves for messages.
    pub(crate) fn append(&mut self, path: &Path, mut reader: impl Read + Seek) -> Result<()> {
        refuse_other_content(path, &mut reader)?;
        let mut archive = NpzArchive::new(reader).map_err(|error| archive_error(path, error))?;
        let (shape, kind, data) = array(&mut archive, path, "data")?;
        if !(shape.len() == 2 && shape[1] == IMAGE as u64 && kind.type_char() == TypeChar::Uint)
            || kind.size_field() != 1
        {
            let expected = format!("data of shape (N, {IMAGE}) and type uint8");
            return Err(format(path, 0, expected, format!("{shape:?} of {kind}")));
        }
        let (label_shape, kind, label_bytes) = array(&mut archive, path, "labels")?;
        let is_integer = matches!(kind.type_char(), TypeChar::Int | TypeChar::Uint);
        if !is_integer || label_shape.iter().product::<u64>() != shape[0] {
            let expected = format!("{} integers as labels", shape[0]);
            let found = format!("{label_shape:?} of {kind}");
            return Err(format(path, 0, expected, found));
        }
        if data.is_empty() {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        }
        let size = kind.size_field() as usize;
        for (index, bytes) in label_bytes.chunks_exact(size).enumerate() {
            let label = integer(&kind, bytes);
            match u32::try_from(label) {
                Ok(label @ 0..=CLASSES) => self.labels.push(label),
                _ => {
                    let expected = format!("label {index} in 0..={CLASSES}");
                    return Err(format(path, index * size, expected, label.to_string()));
                }
            }
            match label {
                0 if self.with_zero.is_none() => self.with_zero = Some(path.to_owned()),
                1000 if self.with_last.is_none() => self.with_last = Some(path.to_owned()),
                _ => {}
            }
        }
        memory::reserve(&mut self.images, data.len())?;
        self.images.extend(data);
        Ok(())
    }
}

/// Refuses a pickled batch, with the way to convert it, and all else that is no archive.
pub(crate) fn refuse_other_content(path: &Path, reader: &mut (impl Read + Seek)) -> Result<()> {
    let start = start_of(path, reader)?;
    // A pickle of protocol 2 or later begins with this byte and the number of the protocol, one of 0 or 1
    // with the mark of a dictionary.
    let protocol = match start[..] {
        [0x80, protocol @ 2..=5, ..] => Some(protocol),
        [b'(', b'd', ..] => Some(0),
        [b'}', b'q', ..] => Some(1),
        _ => None,
    };
    if let Some(protocol) = protocol {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let found = format!(
            "a pickle (protocol {protocol}) of Python, to be converted in its folder by: python -c \
             \"import pickle, numpy; d = pickle.load(open('{name}', 'rb'), encoding='latin1'); \
             numpy.savez('{}.npz', data=d['data'], labels=d['labels'])\"",
            path.file_stem().unwrap_or_default().to_string_lossy()
        );
        return Err(format(path, 0, "an npz archive", found));
    }
    match start.starts_with(b"PK") {
        true => Ok(()),
        false => Err(format(path, 0, "an npz archive", content::describe(&start))),
    }
}
