//! Images on a terminal.

mod canvas;
mod live;
mod style;

use std::io::{self, IsTerminal, Write};

pub use live::LiveView;

use super::Terminal;
use crate::{Error, Inpainting, Sampling};
use canvas::Canvas;
use style::Style;

/// A terminal that images can be drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Show {
    style: Style,
    /// Characters in a line, and lines.
    screen: [usize; 2],
}

impl Show {
    /// Draws images.
    fn print(
        self,
        canvas: Canvas,
        rows_belong_together: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let [characters, _] = self.screen;
        let canvas = canvas.fit_columns(characters, rows_belong_together);
        out.write_all(canvas.draw(self.style, usize::MAX).as_bytes())?;
        out.flush()
    }
}

impl Terminal {
    /// Prepares to draw images on standard output.
    ///
    /// Two pixels become one character, in 24-bit colours or those of the palette, or in shades where
    /// the variable `NO_COLOR` is set.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where standard output is no terminal, or one that cannot move its cursor.
    pub fn show(&self) -> Result<Show, Error> {
        let variable = |name: &str| std::env::var(name).ok();
        if !io::stdout().is_terminal() {
            return Err(Error::Request(
                "images can be drawn on a terminal alone, and standard output is none".into(),
            ));
        }
        let Some(style) = Style::of(variable) else {
            return Err(Error::Request(
                "this terminal (TERM=dumb) cannot draw images".into(),
            ));
        };
        // Terminals that do not tell their size had this one once.
        let size = terminal_size::terminal_size();
        let [characters, lines] = size.map_or([80, 24], |(width, height)| [width.0, height.0]);
        Ok(Show {
            style,
            screen: [characters.into(), lines.into()],
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

#[cfg(all(test, feature = "cpu"))]
mod tests;
