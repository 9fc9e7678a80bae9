use std::fmt::Write;

use super::style::Style;

/// The level of pixels that are not there yet.
const EMPTY: u8 = 48;

/// Pixels between two images.
const GAP: usize = 1;

/// Images side by side, to be drawn on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Canvas {
    /// `[images, channels, height, width]`.
    shape: [usize; 4],
    columns: usize,
    /// Images of which only some are drawn.
    levels: Vec<u8>,
}

impl Canvas {
    /// A canvas for images that are not there yet; `columns` of them are beside each other.
    pub fn empty(shape: [usize; 4], columns: usize) -> Self {
        Self {
            shape,
            columns: columns.max(1),
            levels: vec![EMPTY; shape.iter().product()],
        }
    }

    /// A canvas for whole images, `[images, channels, height, width]`.
    pub fn of(levels: &[u8], shape: [usize; 4], columns: usize) -> Self {
        Self {
            levels: levels.to_vec(),
            ..Self::empty(shape, columns)
        }
    }

    /// Sets a value of an image.
    pub fn set(&mut self, [image, channel, row, column]: [usize; 4], level: u8) {
        let [_, channels, height, width] = self.shape;
        let index = ((image * channels + channel) * height + row) * width + column;
        self.levels[index] = level;
    }

    /// Leaves out what is beyond a screen of so many pixels in a row: columns are moved below the
    /// others, or cut where each row of images belongs together.
    pub fn fit_columns(mut self, pixels: usize, rows_belong_together: bool) -> Self {
        let [images, channels, height, width] = self.shape;
        let fitting = ((pixels + GAP) / (width + GAP)).clamp(1, self.columns);
        if rows_belong_together && fitting < self.columns {
            let image = channels * height * width;
            let all = self.levels.chunks_exact(image * self.columns);
            self.levels = all
                .flat_map(|row| row[..image * fitting].iter().copied())
                .collect();
            self.shape[0] = images / self.columns * fitting;
        }
        self.columns = fitting;
        self
    }

    /// How many rows of images fit in so many rows of pixels, at least one.
    pub fn fit_rows(&self, pixels: usize) -> usize {
        let [_, _, height, _] = self.shape;
        ((pixels + GAP) / (height + GAP)).max(1)
    }

    /// Rows of images.
    pub fn rows(&self) -> usize {
        self.shape[0].div_ceil(self.columns)
    }

    /// Width and height of one image in pixels.
    pub fn image_size(&self) -> [usize; 2] {
        let [_, _, height, width] = self.shape;
        [width, height]
    }

    /// Width and height in pixels, with at most `rows` rows of images.
    pub fn size(&self, rows: usize) -> [usize; 2] {
        let [images, _, height, width] = self.shape;
        let rows = self.rows().min(rows);
        let columns = self.columns.min(images);
        [columns * (width + GAP) - GAP, rows * (height + GAP) - GAP]
    }

    /// Returns the colour of a pixel, `None` between images.
    pub fn pixel(&self, row: usize, column: usize) -> Option<[u8; 3]> {
        let [images, channels, height, width] = self.shape;
        let (row_of_images, row) = (row / (height + GAP), row % (height + GAP));
        let (column_of_images, column) = (column / (width + GAP), column % (width + GAP));
        let image = row_of_images * self.columns + column_of_images;
        if row >= height || column >= width || column_of_images >= self.columns || image >= images {
            return None;
        }
        let level = |channel: usize| {
            let channel = channel.min(channels - 1);
            self.levels[((image * channels + channel) * height + row) * width + column]
        };
        Some([level(0), level(1), level(2)])
    }

    /// Draws the first pixels, of a width and a height, in characters: each is two pixels, one above the
    /// other. A line ends with a line feed, in the colours of the terminal.
    pub fn draw(&self, style: Style, [width, height]: [usize; 2]) -> String {
        let mut text = String::new();
        for row in (0..height).step_by(2) {
            for column in 0..width {
                let lower = (row + 1 < height).then(|| self.pixel(row + 1, column));
                let (upper, lower) = (self.pixel(row, column), lower.flatten());
                match style {
                    Style::Shades => text.push(shade(upper, lower)),
                    _ => push_block(&mut text, style, upper, lower),
                }
            }
            text.push_str(match style {
                Style::Shades => "\n",
                _ => "\x1b[0m\n",
            });
        }
        text
    }
}

impl Canvas {
    /// Red, green, blue and opacity of pixels of a width and a height, from a row of images on. Each
    /// pixel is a square of `scale` x `scale`, and around them, to fill the size of the result, and
    /// between images, there is nothing to be seen.
    pub fn rgba(
        &self,
        first: usize,
        [width, height]: [usize; 2],
        scale: usize,
        result: [usize; 2],
    ) -> Vec<u8> {
        const VALUES: usize = 4;
        let [_, image_height] = self.image_size();
        let top = first * (image_height + GAP);
        let line = VALUES * result[0];
        let mut levels = vec![0; line * result[1]];
        for row in 0..height {
            let start = row * scale * line;
            let squares = levels[start..start + line].chunks_exact_mut(VALUES * scale);
            for (column, square) in squares.take(width).enumerate() {
                if let Some([r, g, b]) = self.pixel(top + row, column) {
                    for value in square.chunks_exact_mut(VALUES) {
                        value.copy_from_slice(&[r, g, b, u8::MAX]);
                    }
                }
            }
            for copy in 1..scale {
                levels.copy_within(start..start + line, start + copy * line);
            }
        }
        levels
    }
}

/// Writes a character of two pixels; where there is none, the ground of the terminal shows.
fn push_block(text: &mut String, style: Style, upper: Option<[u8; 3]>, lower: Option<[u8; 3]>) {
    let colour = |kind: u8, [r, g, b]: [u8; 3]| match style {
        Style::TrueColour => format!("\x1b[{kind};2;{r};{g};{b}m"),
        _ => format!("\x1b[{kind};5;{}m", of_palette([r, g, b])),
    };
    let written = match (upper, lower) {
        (None, None) => write!(text, "\x1b[0m "),
        (Some(upper), None) => write!(text, "\x1b[0m{}▀", colour(38, upper)),
        (None, Some(lower)) => write!(text, "\x1b[0m{}▄", colour(38, lower)),
        (Some(upper), Some(lower)) => {
            write!(text, "{}{}▀", colour(38, upper), colour(48, lower))
        }
    };
    written.expect("a string takes all text");
}

/// The nearest colour of the usual palette of 256: a cube of 6 x 6 x 6 colours and 24 greys.
fn of_palette(colour: [u8; 3]) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step = |level: u8| {
        let distance = |i: &usize| STEPS[*i].abs_diff(level);
        (0..6).min_by_key(distance).unwrap_or_default()
    };
    let [r, g, b] = colour.map(step);
    let mean = (colour.iter().map(|&level| u32::from(level)).sum::<u32>() / 3) as u8;
    let grey = (mean.saturating_sub(3) / 10).min(23);
    let distance = |other: [u8; 3]| -> u32 {
        let pairs = colour.iter().zip(other);
        pairs.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    let of_cube = distance([r, g, b].map(|step| STEPS[step]));
    match distance([8 + 10 * grey; 3]) < of_cube {
        true => 232 + grey,
        false => (16 + 36 * r + 6 * g + b) as u8,
    }
}

/// A character that is as dark as two pixels, on a dark ground.
fn shade(upper: Option<[u8; 3]>, lower: Option<[u8; 3]>) -> char {
    const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
    let pixels = || upper.into_iter().chain(lower);
    let count = 3 * pixels().count();
    if count == 0 {
        return ' ';
    }
    let sum: usize = pixels().flatten().map(usize::from).sum();
    SHADES[(sum / count * SHADES.len() / 256).min(SHADES.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_two_pixels_and_images_have_a_gap_between_them() {
        // Two grey images of 2 x 1 pixels, and a third below them.
        let canvas = Canvas::of(&[1, 2, 3, 4, 5, 6], [3, 1, 2, 1], 2);
        assert_eq!(canvas.size(9), [3, 5]);
        let block = |upper: u8, lower: u8| {
            format!("\x1b[38;2;{upper};{upper};{upper}m\x1b[48;2;{lower};{lower};{lower}m▀")
        };
        let of_below =
            |symbol: char, level: u8| format!("\x1b[0m\x1b[38;2;{level};{level};{level}m{symbol}");
        let expected = [
            format!("{}\x1b[0m {}\x1b[0m\n", block(1, 2), block(3, 4)),
            format!("{}\x1b[0m \x1b[0m \x1b[0m\n", of_below('▄', 5)),
            format!("{}\x1b[0m \x1b[0m \x1b[0m\n", of_below('▀', 6)),
        ];
        assert_eq!(
            canvas.draw(Style::TrueColour, canvas.size(9)),
            expected.concat()
        );
        assert_eq!(canvas.draw(Style::TrueColour, canvas.size(1)), expected[0]);
    }

    #[test]
    fn colours_keep_their_channels() {
        let canvas = Canvas::of(&[255, 0, 0, 255, 0, 0], [1, 3, 2, 1], 1);
        assert_eq!(canvas.pixel(0, 0), Some([255, 0, 0]));
        assert_eq!(canvas.pixel(1, 0), Some([0, 255, 0]));
        let text = canvas.draw(Style::Palette, canvas.size(1));
        assert_eq!(text, "\x1b[38;5;196m\x1b[48;5;46m▀\x1b[0m\n");
        assert_eq!(of_palette([128; 3]), 244);
        assert_eq!(of_palette([255; 3]), 231);
    }

    #[test]
    fn a_pixel_is_a_square_and_nothing_is_around_it() {
        // Two images of 1 x 2 pixels beside each other, and a third below them.
        let canvas = Canvas::of(&[1, 2, 3, 4, 5, 6], [3, 1, 1, 2], 2);
        assert_eq!(canvas.size(9), [5, 3]);
        let row = |levels: [u8; 12]| {
            levels.map(|level| match level {
                0 => [0; 4],
                level => [level, level, level, 255],
            })
        };
        let above = row([1, 1, 2, 2, 0, 0, 3, 3, 4, 4, 0, 0]);
        let below = row([5, 5, 6, 6, 0, 0, 0, 0, 0, 0, 0, 0]);
        let nothing = row([0; 12]);
        let all = [above, above, nothing, nothing, below, below, nothing];
        assert_eq!(
            canvas.rgba(0, [5, 3], 2, [12, 7]),
            all.as_flattened().as_flattened()
        );
        let second = [below, below];
        assert_eq!(
            canvas.rgba(1, [5, 1], 2, [12, 2]),
            second.as_flattened().as_flattened()
        );
        // What is beyond the width and the height is left out.
        let first = canvas.rgba(0, [1, 1], 1, [2, 1]);
        assert_eq!(first, [1, 1, 1, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn without_colours_there_are_shades() {
        let canvas = Canvas::of(&[0, 0, 255, 255, 128, 128], [3, 1, 2, 1], 3);
        assert_eq!(canvas.draw(Style::Shades, canvas.size(1)), "  █ ▒\n");
        assert!(!canvas.draw(Style::Shades, canvas.size(1)).contains('\x1b'));
    }

    #[test]
    fn what_does_not_fit_goes_below_or_is_left_out() {
        let levels = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6];
        let canvas = Canvas::of(&levels, [6, 1, 1, 2], 3);
        assert_eq!(canvas.size(9), [8, 3]);
        let below = canvas.clone().fit_columns(5, false);
        assert_eq!(below.size(9), [5, 5]);
        assert_eq!(below.pixel(2, 0), Some([3; 3]));
        let cut = canvas.clone().fit_columns(5, true);
        assert_eq!(cut.size(9), [5, 3]);
        assert_eq!(cut.pixel(2, 0), Some([4; 3]));
        assert_eq!(canvas.clone().fit_columns(80, true), canvas);
        assert_eq!(canvas.clone().fit_columns(0, false).size(1), [2, 1]);
        assert_eq!(canvas.fit_rows(6), 3);
        assert_eq!(canvas.fit_rows(0), 1);
    }
}
