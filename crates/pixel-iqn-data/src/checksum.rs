//! MD5, the checksum that the authors of CIFAR-10 publish: it tells damage, not malice.

use std::path::Path;

use md5::{Digest, Md5};

use crate::error::{DataError, Result};

/// MD5 of `bytes` in hexadecimal: tells versions of a file apart, but is no protection.
pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }
}
