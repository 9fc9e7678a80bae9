use serde_json::Value;

/// The scores of an evaluation.
pub struct Found {
    /// As they are written to a file.
    pub json: Value,
    /// As they are printed, in lines.
    pub text: String,
}
