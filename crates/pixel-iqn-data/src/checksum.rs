//! Checksums of files. They reveal damage; MD5 is no protection against malice.

use std::path::Path;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::error::{DataError, Result};

/// The published checksum of a file, in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checksum<'a> {
    /// An MD5 checksum.
    Md5(&'a str),
    /// A SHA-256 checksum.
    Sha256(&'a str),
}

impl Checksum<'_> {
    /// Returns the name of the algorithm and the checksum.
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Md5(hex) => ("MD5", hex),
            Self::Sha256(hex) => ("SHA-256", hex),
        }
    }

    /// Fails if the content of the file at `path` has another checksum.
    pub(crate) fn check(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let found = match self {
            Self::Md5(_) => md5(bytes),
            Self::Sha256(_) => sha256(bytes),
        };
        let (algorithm, expected) = self.parts();
        if found == expected {
            return Ok(());
        }
        Err(DataError::Checksum {
            path: path.to_owned(),
            algorithm,
            expected: expected.to_owned(),
            found,
        })
    }
}

/// Computes the SHA-256 checksum of `bytes` in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Computes the MD5 checksum of `bytes` in hexadecimal, which tells versions of a file apart but is
/// no protection against malice.
pub fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test suite of RFC 1321, appendix A.5.
    #[test]
    fn agrees_with_the_rfc() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }

    /// The first example of FIPS 180-2, appendix B.
    #[test]
    fn sha256_agrees_with_the_standard() {
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let path = Path::new("file");
        Checksum::Sha256(sum).check(path, b"abc").unwrap();
        let error = Checksum::Sha256(sum).check(path, b"abd").unwrap_err();
        assert!(error.to_string().contains("SHA-256"), "{error}");
    }
}
