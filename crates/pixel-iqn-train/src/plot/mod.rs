//! Line and point charts as PNG files, drawn with a font of their own.

mod chart;
mod curve;
mod cut;
mod series;

pub use chart::Chart;
pub(crate) use curve::save_curve;
pub use series::{Mark, Series};

/// Colours that go together, the most important first.
pub mod color {
    /// Blue.
    pub const BLUE: [u8; 3] = [31, 95, 168];
    /// Light blue.
    pub const LIGHT_BLUE: [u8; 3] = [183, 208, 234];
    /// Orange.
    pub const ORANGE: [u8; 3] = [224, 108, 20];
    /// Green.
    pub const GREEN: [u8; 3] = [38, 140, 72];
    /// Purple.
    pub const PURPLE: [u8; 3] = [126, 58, 168];
    /// Light grey.
    pub const GRAY: [u8; 3] = [178, 178, 184];
}
