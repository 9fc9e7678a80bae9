use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pixel_iqn_core::{FinishedRow, Progress};
use pixel_iqn_data::to_level;
use pixel_iqn_train::Interrupter;

use super::Show;
use super::canvas::Canvas;
use crate::{Error, Images};

/// Images that are drawn on a terminal row by row, as they are sampled. It is the
/// [`Progress`] of the request that made it.
pub struct LiveView {
    show: Show,
    shape: [usize; 4],
    /// Images that are sampled together.
    batch: usize,
    interrupter: Interrupter,
    state: Mutex<State>,
}

struct State {
    canvas: Canvas,
    /// Rows of single images that are final, of this pass over all images.
    rows: usize,
    /// Lines of the picture on the screen.
    lines: usize,
    last: Option<Instant>,
    out: Box<dyn Write + Send>,
}

impl LiveView {
    /// Time between two pictures.
    const EVERY: Duration = Duration::from_millis(100);

    pub(super) fn new(
        show: Show,
        shape: [usize; 4],
        columns: usize,
        batch: usize,
        interrupter: Interrupter,
        out: Box<dyn Write + Send>,
    ) -> Self {
        let [width, _] = show.screen;
        let canvas = Canvas::empty(shape, columns).fit_columns(width, false);
        Self {
            show,
            shape,
            batch,
            interrupter,
            state: Mutex::new(State {
                canvas,
                rows: 0,
                lines: 0,
                last: None,
                out,
            }),
        }
    }

    /// Replaces the picture by one of the finished images. Where the rows of their grid belong together,
    /// as those of an inpainting do, columns that are beyond the screen are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the terminal cannot be written to.
    pub fn finish(self, images: &Images, rows_belong_together: bool) -> Result<(), Error> {
        let mut state = self
            .state
            .into_inner()
            .expect("no thread panics with the lock");
        let erase = match state.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[0J"),
        };
        let at_terminal = |source| Error::Io {
            path: "the terminal".into(),
            source,
        };
        state.out.write_all(erase.as_bytes()).map_err(at_terminal)?;
        let canvas = Canvas::of(images.levels(), images.shape(), images.columns());
        self.show
            .print(canvas, rows_belong_together, &mut *state.out)
            .map_err(at_terminal)
    }

    /// Draws the picture over the one before.
    fn draw(&self, state: &mut State) -> io::Result<()> {
        let [_, lines] = self.show.screen;
        let rows = state.canvas.fit_lines(lines.saturating_sub(1));
        let picture = state.canvas.draw(self.show.style, rows);
        let back = match state.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        state.lines = picture.lines().count();
        state.out.write_all(format!("{back}{picture}").as_bytes())?;
        state.out.flush()
    }
}

impl Progress for LiveView {
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
        let mut state = self.state.lock().expect("no thread panics with the lock");
        if done == total || state.last.is_none_or(|last| last.elapsed() >= Self::EVERY) {
            state.last = Some(Instant::now());
            // A terminal that has gone must not end what is written to files.
            let _ = self.draw(&mut state);
        }
        match self.interrupter.should_stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn row(&self, row: &FinishedRow<'_>) {
        let mut state = self.state.lock().expect("no thread panics with the lock");
        let [count, channels, height, width] = self.shape;
        // Batches come one after the other, and passes over all images too.
        let before = state.rows / row.height / self.batch * self.batch;
        let row_width = height * width / row.height;
        for (i, values) in row.values.chunks_exact(row_width).enumerate() {
            let image = before + row.first_image + i / channels;
            for (column, value) in values.iter().enumerate() {
                let [y, x] = row.order.position([row.row, column], [height, width]);
                if let Ok(level) = to_level(*value) {
                    state.canvas.set([image, i % channels, y, x], level);
                }
            }
        }
        state.rows += row.images;
        if state.rows == count * row.height {
            state.rows = 0;
        }
    }
}
