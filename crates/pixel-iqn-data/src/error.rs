//! The error of this crate.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use burn::tensor::TensorReadError;

use crate::kind::{DatasetKind, UnknownKind};

/// The result of every fallible function of this crate.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// The reason why data could not be read, fetched, batched or written.
///
/// The message of an underlying error is not repeated here. It is the
/// [`source`](std::error::Error::source), which reporters such as `anyhow` print after a colon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused to read, or a compressed stream is damaged.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder in question.
        path: PathBuf,
        /// The error of the operating system or the decompressor.
        source: io::Error,
    },

    /// The operating system refused to write.
    #[error("cannot write {}", path.display())]
    #[non_exhaustive]
    Write {
        /// The file or folder in question.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// A file or folder that the data set needs is not there.
    #[error("{} is missing: {hint}", path.display())]
    Missing {
        /// The path that was tried last.
        path: PathBuf,
        /// A hint: what belongs there and where it can be had.
        hint: String,
    },

    /// The bytes of a file do not follow its format.
    #[error("{}{}: expected {expected}, found {found}", path.display(), place(*offset))]
    Format {
        /// The file.
        path: PathBuf,
        /// Position in the (uncompressed) file, counted from 0.
        offset: u64,
        /// The content that the format asks for at that position.
        expected: String,
        /// The content that was found instead.
        found: String,
    },

    /// An image has another size than the others, or than the one asked for.
    #[error(
        "{} is an image of {} x {}, and one of {} x {} is needed (height, width)",
        path.display(), found[0], found[1], expected[0], expected[1]
    )]
    #[non_exhaustive]
    Size {
        /// The file.
        path: PathBuf,
        /// The height and width of the image.
        found: [usize; 2],
        /// The height and width that it should have.
        expected: [usize; 2],
    },

    /// A file is not bit for bit the official one.
    #[error("{} has {algorithm} {found}, but the official file has {expected}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The algorithm: MD5 or SHA-256.
        algorithm: &'static str,
        /// The checksum of the official file, in hexadecimal.
        expected: String,
        /// The checksum of the file that was read, in hexadecimal.
        found: String,
    },

    /// An image file could not be decoded or encoded.
    #[error("cannot decode or encode the image {}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The error of the decoder or encoder.
        source: Box<dyn Error + Send + Sync>,
    },

    /// A folder or a file holds no image.
    #[error("{} holds no image", path.display())]
    Empty {
        /// The folder or file.
        path: PathBuf,
    },

    /// Two things do not fit together, for example more labels than images.
    #[error("{0}")]
    Inconsistent(String),

    /// The data set cannot fill a batch of this size, or the batch would hold no image.
    #[error("a batch of {batch} images cannot be drawn from a set of {len}")]
    BatchSize {
        /// The batch size asked for.
        batch: usize,
        /// Images in the set.
        len: usize,
    },

    /// Another process writes the same output.
    #[error(
        "another process is writing {}: wait for it, end it, or choose another path",
        .0.display()
    )]
    InUse(PathBuf),

    /// A name is not the name of a [`DatasetKind`].
    #[error(transparent)]
    UnknownKind(#[from] UnknownKind),

    /// A data set that lives in files was opened without a path.
    #[error("the data set {0} needs the path of its folder")]
    PathNeeded(DatasetKind),

    /// An image size, channel count or the like is out of its range.
    #[error("{name} is {given}, but must be {expected}")]
    Option {
        /// The name of the value.
        name: &'static str,
        /// The value as it was given.
        given: String,
        /// The accepted values.
        expected: &'static str,
    },

    /// Images need more memory than there is. Nothing was reserved.
    #[error("{} of memory are needed, but {}: take fewer or smaller images", size(*needed), free(*available))]
    #[non_exhaustive]
    Memory {
        /// The bytes that would be needed in addition, at most [`u64::MAX`].
        needed: u64,
        /// The bytes that are free, where the system says it.
        available: Option<u64>,
    },

    /// A download failed; what arrived so far is kept, and the next try goes on from there.
    #[error(
        "cannot download {url}; fetch it by hand, for example on another machine, and put it at {}",
        target.display()
    )]
    Download {
        /// The address.
        url: String,
        /// Where the complete file belongs.
        target: PathBuf,
        /// The error of the network.
        source: io::Error,
    },

    /// The data set has no official public address to download from.
    #[error("the data set {0} cannot be downloaded: it has no official public address")]
    NoAddress(DatasetKind),

    /// The system has no thread left that could read ahead.
    #[error("cannot start a thread: raise the limit on processes (`ulimit -u`), or end others")]
    Thread(#[source] io::Error),

    /// A value that should become an 8-bit level is infinite or NaN.
    #[error("value {index} is {value}, but only a finite number can become an image level")]
    NotFinite {
        /// The position of the value in the slice, or in the elements of the tensor.
        index: usize,
        /// The value.
        value: f32,
    },

    /// A tensor could not be read back from its device.
    #[error("cannot read a tensor back from its device")]
    Tensor(#[from] TensorReadError),
}

/// Writes a number of bytes in units of 1024.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let power = bytes.ilog2() / 10;
    let value = bytes as f64 / 1024f64.powi(power as i32);
    format!("{value:.1} {}", UNITS[power as usize - 1])
}

fn free(available: Option<u64>) -> String {
    match available {
        Some(bytes) => format!("{} are free", size(bytes)),
        None => "there is less".to_owned(),
    }
}

/// Says where in a file, unless it is its beginning, which says nothing.
fn place(offset: u64) -> String {
    match offset {
        0 => String::new(),
        offset => format!(", byte {offset}"),
    }
}

/// Attaches the path to an error of writing: `fs::write(path).map_err(at_write(path))`.
pub(crate) fn at_write(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    |source| DataError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Attaches the path to an error of reading: `fs::read(path).map_err(at(path))`.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    |source| DataError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Attaches the path to what a decoder or encoder said: `decode().map_err(image(path))`.
pub(crate) fn image<E>(path: &Path) -> impl FnOnce(E) -> DataError
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    |source| DataError::Image {
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Makes a [`DataError::Format`].
pub(crate) fn format(
    path: &Path,
    offset: usize,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> DataError {
    DataError::Format {
        path: path.to_owned(),
        offset: offset as u64,
        expected: expected.into(),
        found: found.into(),
    }
}

/// Makes a [`DataError::Option`].
pub(crate) fn option(
    name: &'static str,
    given: impl ToString,
    expected: &'static str,
) -> DataError {
    DataError::Option {
        name,
        given: given.to_string(),
        expected,
    }
}

/// Makes the error for an output that an interrupted job of another kind left.
pub(crate) fn other_job(path: &Path) -> DataError {
    DataError::Inconsistent(format!(
        "{} belongs to another job: delete it, or choose another path",
        path.display()
    ))
}
