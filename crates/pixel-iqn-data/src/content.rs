//! What a file is that should be an image or another kind of data and is none, for messages.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Says what a file is in the place of the data that were expected, by its first bytes, which are all
/// or a few hundred of them: an empty file, a web page, a pointer of Git LFS, an archive and the like.
/// `None` where they are like none of these.
///
/// ```
/// let found = pixel_iqn_data::known_content(b"<!DOCTYPE html>").unwrap();
/// assert!(found.starts_with("a web page"));
/// assert_eq!(pixel_iqn_data::known_content(b"\x01\x02"), None);
/// ```
pub fn known_content(start: &[u8]) -> Option<String> {
    let known: [(&[u8], &str); 14] = [
        (b"BZh", "a bzip2 archive: unpack it first"),
        (b"\xfd7zXZ", "an xz archive: unpack it first"),
        (b"7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it first"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"Rar!", "a RAR archive"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"%PDF", "a PDF document"),
        (b"\x89HDF", "an HDF5 file"),
        (b"\x93NUMPY", "a NumPy array"),
        (
            b"version https://git-lfs",
            "a pointer of Git LFS: fetch the file itself with `git lfs pull`",
        ),
    ];
    if start.is_empty() {
        return Some("an empty file".to_owned());
    }
    if start.iter().all(|&byte| byte == 0) {
        return Some("zeros, as a download that was cut off leaves them".to_owned());
    }
    if let Some((_, name)) = known.iter().find(|(bytes, _)| start.starts_with(bytes)) {
        return Some((*name).to_owned());
    }
    if text(start).is_some_and(|text| text.to_ascii_lowercase().contains("<svg")) {
        return Some("an SVG drawing: make PNG of it".to_owned());
    }
    is_web_page(start).then(|| WEB_PAGE.to_owned())
}

/// What the end of a ZIP archive begins with, and the longest that it can be, with its comment.
const END_OF_ARCHIVE: &[u8] = b"PK\x05\x06";
const LONGEST_END: u64 = 22 + u16::MAX as u64;

/// Says that a file which begins as a ZIP archive has no end, as a download that was cut off; `None` where it
/// has one, or begins otherwise, or cannot be read. Files of NumPy (`npz`) and of PyTorch are such archives.
pub fn cut_off_archive(path: &Path) -> Option<String> {
    let find = || -> io::Result<Option<String>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut start = [0; 4];
        file.read_exact(&mut start)?;
        file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_END)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let has_an_end = end
            .windows(END_OF_ARCHIVE.len())
            .any(|bytes| bytes == END_OF_ARCHIVE);
        Ok((start == *b"PK\x03\x04" && !has_an_end).then(|| {
            format!("an archive that was cut off after {length} bytes: fetch or write it again")
        }))
    };
    find().unwrap_or_default()
}

/// Says what a file looks like that should be an image, by its first bytes.
pub(crate) fn describe(start: &[u8]) -> String {
    if let Some(known) = known_content(start) {
        return known;
    }
    let first: Vec<String> = start.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let Some(text) = text(start) else {
        return format!("bytes of no known kind: {}", first.join(" "));
    };
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(40)
        .collect();
    format!("text that begins with {line:?}")
}

/// What a web page is called in messages.
pub(crate) const WEB_PAGE: &str = "a web page, as a failed download leaves: fetch the file again";

/// Returns whether a file begins like a web page, or like the XML in which stores of files send errors.
pub(crate) fn is_web_page(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start).to_lowercase();
    let text = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"]
        .iter()
        .any(|tag| text.starts_with(tag))
}

/// Returns the bytes as text, where they are text of UTF-8 that may end within a character.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_control = |c: char| c.is_control() && !c.is_ascii_whitespace();
    (!text.contains(is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_without_its_end_is_cut_off() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let says = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            cut_off_archive(file.path())
        };
        let long = vec![1; 100_000];
        let whole = [b"PK\x03\x04", &long[..], b"PK\x05\x06", &[0; 18]].concat();
        assert_eq!(says(&whole), None);
        let text = says(&whole[..90_000]).unwrap();
        assert!(text.contains("cut off after 90000 bytes"), "{text}");
        assert_eq!(says(b"PK"), None);
        assert_eq!(says(&long), None);
        assert_eq!(cut_off_archive(Path::new("no/file")), None);
    }

    #[test]
    fn content_is_named() {
        for (start, expected) in [
            (&b""[..], "an empty file"),
            (&[0; 9], "zeros"),
            (b"\n <!DOCTYPE HTML><p>", "a web page"),
            (b"\xef\xbb\xbf<html lang=\"en\">", "a web page"),
            (b"<?xml version=\"1.0\"?>\n<svg>", "an SVG"),
            (b"<?xml version=\"1.0\"?><Error>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
            (b"PK\x03\x04\x14\x00", "a ZIP archive"),
            (
                b"{\"error\": 404}\n\xc3",
                "text that begins with \"{\\\"error\\\": 404}\"",
            ),
            (b"\x01\xff\x00", "of no known kind: 01 ff 00"),
        ] {
            let description = describe(start);
            assert!(description.contains(expected), "{description}");
        }
    }
}
