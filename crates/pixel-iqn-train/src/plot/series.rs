use super::color;

/// Points of a [`Chart`](super::Chart) with the same meaning.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    pub(super) label: &'a str,
    pub(super) color: [u8; 3],
    pub(super) mark: Mark,
    pub(super) points: Vec<(f64, f64)>,
}

impl<'a> Series<'a> {
    /// Draws points, `(x, y)`, in blue and without a name. Points that are not finite are left out.
    pub fn new(mark: Mark, points: Vec<(f64, f64)>) -> Self {
        Self {
            label: "",
            color: color::BLUE,
            mark,
            points,
        }
    }

    /// Sets the name in the legend.
    pub fn with_label(self, label: &'a str) -> Self {
        Self { label, ..self }
    }

    /// Sets the colour: red, green, blue.
    pub fn with_color(self, color: [u8; 3]) -> Self {
        Self { color, ..self }
    }
}

/// How a [`Series`] is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// A line of this width in pixels.
    Line(u32),
    /// A dashed line of this width in pixels.
    Dashes(u32),
    /// Dots of this radius in pixels.
    Dots(u32),
}
