//! What a file is that should be a safetensors file and is none, for messages.

use safetensors::SafeTensorError;

/// Says what the bytes look like for which the parser of safetensors gave this error.
pub(super) fn describe(bytes: &[u8], error: &SafeTensorError) -> String {
    let start = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(start).to_lowercase();
    let text = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    let is_page = ["<!doctype", "<html", "<head", "<body", "<?xml"].iter();
    if bytes.is_empty() {
        "an empty file".to_owned()
    } else if text.starts_with("version https://git-lfs") {
        "a pointer of Git LFS: fetch the file itself by `git lfs pull`".to_owned()
    } else if is_page.clone().any(|tag| text.starts_with(tag)) {
        "a web page, as a failed download leaves: fetch the file again".to_owned()
    } else if start.starts_with(b"PK\x03\x04") || matches!(start, [0x80, 2..=5, ..]) {
        "a checkpoint of PyTorch or an archive: save the `state_dict` of the model by \
         `safetensors.torch.save_file` in Python"
            .to_owned()
    } else if start.iter().all(|&byte| byte == 0) {
        "zeros, as a download that was cut off leaves them: fetch the file again".to_owned()
    } else {
        // A header begins with its length in 8 bytes and is JSON.
        let is_header = start.get(8) == Some(&b'{');
        match error {
            SafeTensorError::MetadataIncompleteBuffer => format!(
                "{} bytes, which are not as many as its header says: it was cut off, or something was \
                 put behind it",
                bytes.len()
            ),
            SafeTensorError::InvalidHeaderLength if is_header => {
                format!(
                    "a safetensors file that was cut off after {} bytes",
                    bytes.len()
                )
            }
            error => format!("no safetensors file, or a damaged one ({error})"),
        }
    }
}
