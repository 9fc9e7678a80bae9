use pixel_iqn::data::tell;
use pixel_iqn::terminal::{Show, Terminal};

/// Prepares to draw images on the terminal. Where that cannot be it says why: the files are what was asked
/// for first.
pub fn show(terminal: &Terminal) -> Option<Show> {
    match terminal.show() {
        Ok(show) => Some(show),
        Err(error) => {
            tell!("NOTE: --show draws nothing: {error}");
            None
        }
    }
}
