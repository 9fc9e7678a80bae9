//! MD5, the checksum that the authors of CIFAR-10 publish: it tells damage, not malice.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use md5::{Digest, Md5};

use crate::error::{DataError, Result, at};

/// The result of a finished hash.
fn hex(hasher: Md5) -> String {
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// MD5 of `bytes` in hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(Md5::new_with_prefix(bytes))
}

/// MD5 of a file in hexadecimal, read piece by piece.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(at(path))?);
    let mut hasher = Md5::new();
    loop {
        let piece = reader.fill_buf().map_err(at(path))?;
        if piece.is_empty() {
            return Ok(hex(hasher));
        }
        hasher.update(piece);
        let len = piece.len();
        reader.consume(len);
    }
}

/// Fails where `found` is not the `expected` checksum of the file at `path`.
pub(crate) fn check(path: &Path, found: String, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(DataError::Checksum {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test suite of RFC 1321, appendix A.5.
    #[test]
    fn agrees_with_the_rfc() {
        assert_eq!(of_bytes(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(
            of_bytes(b"message digest"),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
    }

    #[test]
    fn a_file_has_the_checksum_of_its_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..200_000).map(|i| (i % 251) as u8).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        assert_eq!(of_file(file.path()).unwrap(), of_bytes(&bytes));
    }
}
