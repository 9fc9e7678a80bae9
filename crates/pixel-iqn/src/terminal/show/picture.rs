use std::hash::{BuildHasher, RandomState};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::Show;
use super::canvas::Canvas;
use super::medium::Medium;
use super::protocol::Protocol;

/// A picture on a terminal, which is drawn anew in its place. The cursor is at the beginning of the
/// line below it.
pub(super) struct Picture {
    show: Show,
    /// Lines that it takes on the screen, 0 before it is drawn.
    lines: usize,
    /// The number by which the terminal knows it.
    image: u32,
}

impl Picture {
    pub fn new(show: Show) -> Self {
        // Programs that draw on one terminal one after the other must not delete each other's pictures.
        let random = RandomState::new().hash_one(std::process::id());
        Self {
            show,
            lines: 0,
            image: random as u32 >> 1,
        }
    }

    /// Draws the first rows of images, as many as there is room for, over what was drawn before.
    pub fn draw(&mut self, canvas: &Canvas) -> String {
        let scale = self.show.scale(canvas);
        let [across, down] = self.show.room(scale);
        let [width, height] = canvas.size(canvas.fit_rows(down));
        let size = [width.min(across), height.min(down)];
        match self.show.medium {
            Medium::Characters(style) => {
                let text = canvas.draw(style, size);
                let back = up(self.lines);
                self.lines = text.lines().count();
                back + &text
            }
            Medium::Pictures(protocol) => self.place(protocol, canvas, 0, size, scale),
        }
    }

    /// Draws all images in the place of those before, to stay there. Columns that are beyond the screen
    /// are left out where a row of images belongs together, and else moved below the others.
    pub fn finish(&mut self, canvas: Canvas, rows_belong_together: bool) -> String {
        let mut text = self.erase();
        let canvas = self.show.fit(canvas, rows_belong_together);
        let scale = self.show.scale(&canvas);
        let [across, down] = self.show.room(scale);
        match self.show.medium {
            Medium::Characters(style) => {
                let [width, height] = canvas.size(usize::MAX);
                text += &canvas.draw(style, [width.min(across), height]);
            }
            // One picture may not be higher than the screen.
            Medium::Pictures(protocol) => {
                let rows = canvas.fit_rows(down);
                for first in (0..canvas.rows()).step_by(rows) {
                    let [width, height] = canvas.size(rows.min(canvas.rows() - first));
                    let size = [width.min(across), height.min(down)];
                    text += &self.place(protocol, &canvas, first, size, scale);
                    self.lines = 0;
                }
            }
        }
        text
    }

    /// Takes the picture from the screen, after which the cursor is where it began.
    pub fn erase(&mut self) -> String {
        if self.lines == 0 {
            return String::new();
        }
        let delete = match self.show.medium {
            Medium::Characters(_) => String::new(),
            Medium::Pictures(protocol) => protocol.delete(self.image),
        };
        let back = up(self.lines);
        self.lines = 0;
        format!("{delete}{back}\x1b[0J")
    }

    /// Draws pixels of a canvas, from a row of images on, in the place of the picture before.
    fn place(
        &mut self,
        protocol: Protocol,
        canvas: &Canvas,
        first: usize,
        size: [usize; 2],
        scale: usize,
    ) -> String {
        let character = self.show.screen.character;
        let cells = [0, 1].map(|i| (size[i] * scale).div_ceil(character[i]));
        let pixels = [0, 1].map(|i| cells[i] * character[i]);
        let png = png(&canvas.rgba(first, size, scale, pixels), pixels);

        let [_, lines] = cells;
        let (room, before) = match self.lines {
            // Where the screen ends it scrolls, now and never again.
            0 => ("\n".repeat(lines), String::new()),
            _ => (String::new(), protocol.delete(self.image)),
        };
        self.lines = lines;
        self.image = self.image.wrapping_add(1).max(1);
        let picture = protocol.draw(&png, cells, self.image);
        // Terminals leave the cursor in different places behind a picture, so it is taken back to where
        // it was. The picture before goes after this one has come, so that nothing flickers.
        format!(
            "{room}{}\x1b7{picture}\x1b8{before}\x1b[{lines}B",
            up(lines)
        )
    }
}

/// To the beginning of the line that is so many lines above.
fn up(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\r\x1b[{lines}A"),
    }
}

/// The PNG file of red, green, blue and opacity.
fn png(rgba: &[u8], [width, height]: [usize; 2]) -> Vec<u8> {
    let mut file = Vec::new();
    // By this filter all pixels of a square are 0 but the first.
    let (speed, filter) = (CompressionType::Fast, FilterType::Paeth);
    PngEncoder::new_with_quality(&mut file, speed, filter)
        .write_image(rgba, width as u32, height as u32, ExtendedColorType::Rgba8)
        .expect("a vector takes all bytes of pixels that fill their size");
    file
}

#[cfg(test)]
mod tests;
