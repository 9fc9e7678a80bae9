use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pixel_iqn_core::{FinishedRow, Progress};
use pixel_iqn_data::to_level;
use pixel_iqn_train::{Drawing, Interrupter};

use super::Show;
use super::canvas::Canvas;
use super::picture::Picture;
use crate::{Error, Images};

/// Images that are drawn on a terminal row by row, as they are sampled. It is the
/// [`Progress`] of the request that made it. Where the program is interrupted, nothing of it stays on the
/// screen.
pub struct LiveView {
    shape: [usize; 4],
    /// Images that are sampled together.
    batch: usize,
    interrupter: Interrupter,
    state: Mutex<State>,
    _drawing: Drawing,
}

struct State {
    canvas: Canvas,
    /// Rows of single images that are final, of this pass over all images.
    rows: usize,
    picture: Picture,
    /// When the picture may be drawn again.
    next: Option<Instant>,
    out: Box<dyn Write + Send>,
}

impl LiveView {
    /// Time between two pictures.
    const EVERY: Duration = Duration::from_millis(100);

    /// Drawing takes one part of so many of the time at most: a picture has a million pixels, and a
    /// terminal may be far away.
    const PART: u32 = 10;

    pub(super) fn new(
        show: Show,
        shape: [usize; 4],
        columns: usize,
        batch: usize,
        interrupter: Interrupter,
        out: Box<dyn Write + Send>,
    ) -> Self {
        let canvas = show.fit(Canvas::empty(shape, columns), false);
        Self {
            shape,
            batch,
            interrupter,
            state: Mutex::new(State {
                canvas,
                rows: 0,
                picture: Picture::new(show),
                next: None,
                out,
            }),
            _drawing: Drawing::begin(),
        }
    }

    /// Replaces the picture by one of the finished images. Where the rows of their grid belong together,
    /// as those of an inpainting do, columns that are beyond the screen are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the terminal cannot be written to.
    pub fn finish(self, images: &Images, rows_belong_together: bool) -> Result<(), Error> {
        let mut state = self.state.lock().expect("no thread panics with the lock");
        let canvas = Canvas::of(images.levels(), images.shape(), images.columns());
        let text = state.picture.finish(canvas, rows_belong_together);
        state.write(&text).map_err(|source| Error::Io {
            path: "the terminal".into(),
            source,
        })
    }
}

impl State {
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn erase(&mut self) {
        let text = self.picture.erase();
        // The terminal may have gone, which may be what ended the work.
        let _ = self.write(&text);
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        if self.interrupter.should_stop()
            && let Ok(state) = self.state.get_mut()
        {
            state.erase();
        }
    }
}

impl Progress for LiveView {
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
        let mut state = self.state.lock().expect("no thread panics with the lock");
        if self.interrupter.should_stop() {
            state.erase();
            return ControlFlow::Break(());
        }
        let begin = Instant::now();
        if done == total || state.next.is_none_or(|next| begin >= next) {
            let State {
                picture, canvas, ..
            } = &mut *state;
            let text = picture.draw(canvas);
            // A terminal that has gone must not end what is written to files.
            let _ = state.write(&text);
            state.next = Some(begin + Self::EVERY.max(Self::PART * begin.elapsed()));
        }
        ControlFlow::Continue(())
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
