//! Images on a terminal.

mod canvas;
mod graphics;
mod live;
mod medium;
mod picture;
mod protocol;
mod screen_size;
mod style;

use std::io::{self, IsTerminal};

pub use graphics::Graphics;
pub use live::LiveView;

use super::Terminal;
use crate::{Error, Inpainting, Sampling};
use canvas::Canvas;
use medium::Medium;
use screen_size::ScreenSize;

/// A terminal that images can be drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Show {
    medium: Medium,
    screen: ScreenSize,
}

impl Show {
    /// How many pixels of images fit beside each other, and below each other with a line left for the
    /// cursor, where each is a square of so many pixels of the screen.
    fn room(&self, scale: usize) -> [usize; 2] {
        let ScreenSize {
            characters,
            lines,
            character: [width, height],
        } = self.screen;
        let lines = lines.saturating_sub(1).max(1);
        match self.medium {
            Medium::Characters(_) => [characters, 2 * lines],
            Medium::Pictures(_) => [characters * width / scale, lines * height / scale],
        }
    }

    /// How many pixels of the screen, across and down, a pixel of the images is: the most with which all
    /// images fit on it, at most the width of a character and at least a quarter of it, or less for an
    /// image that would not fit alone.
    fn scale(&self, canvas: &Canvas) -> usize {
        let Medium::Pictures(_) = self.medium else {
            return 1;
        };
        let [width, _] = self.screen.character;
        let fits = |size: [usize; 2], scale: usize| {
            let room = self.room(scale);
            size[0] <= room[0] && size[1] <= room[1]
        };
        let all = canvas.size(usize::MAX);
        let least = (width / 4).max(1);
        (1..=width)
            .rev()
            .find(|&scale| fits(all, scale) || scale <= least && fits(canvas.image_size(), scale))
            .unwrap_or(1)
    }

    /// Arranges images so that they are not wider than the screen.
    fn fit(&self, canvas: Canvas, rows_belong_together: bool) -> Canvas {
        let [across, _] = self.room(self.scale(&canvas));
        canvas.fit_columns(across, rows_belong_together)
    }
}

impl Terminal {
    /// Prepares to draw images on standard output.
    ///
    /// A terminal with a graphics protocol draws them itself, each pixel as a square. On others two
    /// pixels become one character, in 24-bit colours or those of the palette, or in shades where the
    /// variable `NO_COLOR` is set.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where standard output is no terminal, or one that cannot move its cursor.
    pub fn show(&self, graphics: Graphics) -> Result<Show, Error> {
        let variable = |name: &str| std::env::var(name).ok();
        if !io::stdout().is_terminal() {
            return Err(Error::Request(
                "images can be drawn on a terminal alone, and standard output is none".into(),
            ));
        }
        let Some(medium) = Medium::of(graphics, variable) else {
            return Err(Error::Request(
                "this terminal (TERM=dumb) cannot draw images".into(),
            ));
        };
        Ok(Show {
            medium,
            screen: ScreenSize::of_output(),
        })
    }
}

impl Sampling<'_> {
    /// A view of the images while they are sampled, to be given to [`progress`](Self::progress).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`options`](Self::options).
    pub fn view(&self, terminal: &Terminal, show: Show) -> Result<LiveView, Error> {
        let options = self.options()?;
        let [height, width] = options.size;
        let config = self.model.config();
        let shape = [options.count, config.channels, height, width];
        let labels = &options.labels;
        let columns = pixel_iqn_train::grid_columns(labels, config.classes, options.count);
        Ok(LiveView::new(
            show,
            shape,
            columns,
            options.batch,
            terminal.interrupter(),
            Box::new(io::stdout()),
        ))
    }
}

impl Inpainting<'_> {
    /// A view of the completions while they are sampled, to be given to [`progress`](Self::progress).
    pub fn view(&self, terminal: &Terminal, show: Show) -> LiveView {
        let [channels, height, width] = self.images.shape();
        LiveView::new(
            show,
            [
                self.images.len() * self.completions,
                channels,
                height,
                width,
            ],
            self.completions,
            self.batch,
            terminal.interrupter(),
            Box::new(io::stdout()),
        )
    }
}

#[cfg(test)]
mod emulator;
#[cfg(test)]
mod environment;
#[cfg(all(test, feature = "cpu"))]
mod tests;
