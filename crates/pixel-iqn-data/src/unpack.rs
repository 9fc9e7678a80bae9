//! Files that are compressed with gzip, or were.
//!
//! A name says little about that: browsers unpack a `.gz` on the way and keep its name, and archives
//! are called `.tgz`, `.tar.gz` or `.tar`. So the first bytes decide.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
    path::Path,
};

use flate2::bufread::GzDecoder;

use crate::{
    content,
    error::{Result, at, format},
};

/// Longest file that is read whole, packed or unpacked, so that a small crafted gzip file cannot
/// fill the memory.
const MAX_LEN: u64 = 1 << 30;
/// The first bytes of a member of a gzip file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The bytes that tools pad a gzip file with: zeros and 0xff fill blocks, 0x1a ends a text of old,
/// and blanks come from editors. Our choice, since the format knows no padding.
const PADDING: &[u8] = b"\0\xff\x1a \t\r\n";
/// Number of first bytes by which a web page is known.
const START: usize = 512;

/// Returns whether the bytes are those of a gzip file.
pub(crate) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Opens a file; the reader gives its unpacked bytes, whether it is compressed or not.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io), and [`DataError::Format`](crate::DataError::Format) for
/// a web page in the place of the file. The reader fails where a member is damaged or cut, and where
/// something other than a member or padding follows.
pub(crate) fn open(path: &Path) -> Result<impl Read> {
    let file = File::open(path).map_err(at(path))?;
    reader(path, BufReader::new(file))
}

/// Reads a file as it is, compressed or not. [`unpack`] gives the content.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io), and [`DataError::Format`](crate::DataError::Format) for
/// more than 1 GiB.
pub(crate) fn read_packed(path: &Path) -> Result<Vec<u8>> {
    read_all(path, File::open(path).map_err(at(path))?)
}

/// Unpacks the bytes of a file; bytes that are not compressed stay as they are. `path` serves for
/// messages.
///
/// # Errors
///
/// Those of [`open`] and of its reader, and [`DataError::Format`](crate::DataError::Format) for more
/// than 1 GiB.
pub(crate) fn unpack(path: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    read_all(path, reader(path, bytes)?)
}

/// Returns the first bytes of a file and goes back to its start. `path` serves for messages.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io), and [`DataError::Format`](crate::DataError::Format) for
/// a web page.
pub(crate) fn start_of(path: &Path, reader: &mut (impl Read + Seek)) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    reader
        .take(START as u64)
        .read_to_end(&mut start)
        .and_then(|_| reader.rewind())
        .map_err(at(path))?;
    refuse_web_page(path, &start)?;
    Ok(start)
}

/// Refuses a file that begins like a web page. `path` serves for messages.
fn refuse_web_page(path: &Path, start: &[u8]) -> Result<()> {
    match content::is_web_page(start) {
        true => Err(format(path, 0, "data", content::WEB_PAGE)),
        false => Ok(()),
    }
}

fn reader<R: BufRead>(path: &Path, mut input: R) -> Result<Unpacked<R>> {
    let start = input.fill_buf().map_err(at(path))?;
    refuse_web_page(path, &start[..start.len().min(START)])?;
    Ok(if is_packed(start) {
        Unpacked::Member(Box::new(GzDecoder::new(input)))
    } else {
        Unpacked::Plain(input)
    })
}

fn read_all(path: &Path, input: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input
        .take(MAX_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(format(
            path,
            bytes.len() - 1,
            "the end (1 GiB at most)",
            "more bytes",
        ));
    }
    Ok(bytes)
}

/// The unpacked bytes of a file.
enum Unpacked<R> {
    /// The file is not compressed.
    Plain(R),
    /// A member of a gzip file and what follows it.
    Member(Box<GzDecoder<R>>),
    /// The last member has been read.
    End,
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let decoder = match self {
                Self::Plain(input) => return input.read(buffer),
                Self::Member(decoder) => decoder,
                Self::End => return Ok(0),
            };
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let input = decoder.get_mut();
            // One byte is enough: the decoder looks at the rest of a header, also of one that is
            // cut behind it.
            *self = if input.fill_buf()?.first() == Some(&MAGIC[0]) {
                let Self::Member(decoder) = std::mem::replace(self, Self::End) else {
                    return Ok(0);
                };
                Self::Member(Box::new(GzDecoder::new(decoder.into_inner())))
            } else {
                skip_padding(input)?;
                Self::End
            };
        }
    }
}

/// Reads to the end, and fails where that is not padding alone.
fn skip_padding(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(byte) = bytes.iter().find(|byte| !PADDING.contains(byte)) {
            let message = format!(
                "the byte {byte} behind the compressed data is neither another part of it nor \
                 padding"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let count = bytes.len();
        input.consume(count);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{fs, io::Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::testing::refuses_every_cut;

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Unpacks bytes as a slice and as a file, which must agree.
    fn unpacked(bytes: &[u8]) -> Result<Vec<u8>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let mut streamed = Vec::new();
        let result = open(file.path()).and_then(|mut reader| {
            reader.read_to_end(&mut streamed).map_err(at(file.path()))?;
            Ok(streamed)
        });
        let whole = unpack(file.path(), bytes);
        assert_eq!(result.as_ref().ok(), whole.as_ref().ok());
        whole
    }

    #[test]
    fn the_first_bytes_decide() {
        assert_eq!(unpacked(b"plain").unwrap(), b"plain");
        assert_eq!(unpacked(&gzip(b"packed")).unwrap(), b"packed");
        assert_eq!(unpacked(&gzip(b"")).unwrap(), b"");
        assert_eq!(unpacked(b"").unwrap(), b"");
    }

    #[test]
    fn all_members_are_read_and_padding_is_passed_over() {
        let two = [gzip(b"one, "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(unpacked(&two).unwrap(), b"one, two");
        for padding in [&[0; 20_000][..], &[0xff; 3], b"\r\n", b"\x1a"] {
            let padded = [&two[..], padding].concat();
            assert_eq!(unpacked(&padded).unwrap(), b"one, two");
        }
        for other in [&b"more"[..], &[0, 0, 7], &MAGIC, &MAGIC[..1]] {
            let error = unpacked(&[&two[..], other].concat()).unwrap_err();
            assert!(
                matches!(error, crate::DataError::Io { .. }),
                "{other:?}: {error}"
            );
        }
    }

    #[test]
    fn members_cut_anywhere_but_between_them_are_refused() {
        let first = gzip(b"one");
        let second = gzip(b"two");
        refuses_every_cut(&[&first[..], &second].concat()[..], |bytes| {
            // A single byte may as well be a file of its own, and so may a single member.
            if bytes.len() < MAGIC.len() || bytes.len() == first.len() {
                return Err(crate::error::format(Path::new("x"), 0, "", ""));
            }
            unpacked(bytes)
        });
    }

    #[test]
    fn a_web_page_is_told() {
        for page in [
            "<!DOCTYPE html><title>404</title>",
            "\u{feff}\n <HTML>",
            "<?xml version=\"1.0\"?><Error/>",
        ] {
            let error = unpacked(page.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("found a web page"), "{error}");
            assert!(error.contains("fetch the file again"), "{error}");
        }
    }
}
