use std::ops::Range;
use std::sync::Arc;

use pixel_iqn_core::{SampleBatch, without_unconditional};

use super::plan::Plan;
use super::run::Run;
use super::sampled_batch;
use super::state::State;

/// A batch that is sampled pixel by pixel, for programs that show each value or can be interrupted at
/// any.
///
/// [`CpuSampler::begin`](crate::CpuSampler::begin) creates it. Its values are those of
/// [`CpuSampler::predict`](crate::CpuSampler::predict), bit by bit.
#[derive(Debug)]
pub struct CpuSampling {
    run: Run,
    /// The batch in the raster of its order.
    batch: Arc<SampleBatch>,
    /// Height and width of the images in their own orientation.
    size: [usize; 2],
    predictions: Vec<f32>,
    sampled: Vec<f32>,
    next: usize,
}

impl CpuSampling {
    pub(super) fn new(plan: &Arc<Plan>, batch: &SampleBatch) -> Self {
        let [_, _, height, width] = batch.dims;
        let turned = sampled_batch(batch);
        let [images, ..] = turned.dims;
        let state = State::new(plan, &turned, [0, images], 1);
        Self {
            run: Run::new(Arc::new(state), None),
            size: [height, width],
            predictions: vec![0.0; turned.tau.len()],
            sampled: vec![0.0; turned.tau.len()],
            batch: turned,
            next: 0,
        }
    }

    /// Samples up to `count` pixels more of all images, and returns which: their places in the order of
    /// generation, from 0 to [`pixels`](Self::pixels). It is empty when all are there.
    pub fn advance(&mut self, count: usize) -> Range<usize> {
        let [.., width] = self.batch.dims;
        let from = self.next;
        self.next = from.saturating_add(count).min(self.pixels());
        for pixel in from..self.next {
            let place = [pixel / width, pixel % width];
            self.run
                .pixel(place, &mut self.predictions, &mut self.sampled);
        }
        from..self.next
    }

    /// The number of pixels of an image.
    pub fn pixels(&self) -> usize {
        let [height, width] = self.size;
        height * width
    }

    /// The row and column, in the image's own orientation, of the pixel at a place in the order of
    /// generation.
    ///
    /// # Panics
    ///
    /// Panics if there is no such place.
    pub fn position(&self, pixel: usize) -> [usize; 2] {
        assert!(
            pixel < self.pixels(),
            "an image has {} pixels",
            self.pixels()
        );
        let [.., width] = self.batch.dims;
        let place = [pixel / width, pixel % width];
        self.batch.order.position(place, self.size)
    }

    /// The final value of a channel of an image at a place in the order of generation, in [0, 1]; 0 before
    /// it is sampled.
    ///
    /// # Panics
    ///
    /// Panics if there is no such image, channel or place.
    pub fn value(&self, image: usize, channel: usize, pixel: usize) -> f32 {
        let [images, channels, height, width] = self.batch.dims;
        let image = image * self.batch.copies();
        assert!(
            image < images && channel < channels,
            "no such image or channel"
        );
        self.sampled[(image * channels + channel) * height * width..][..height * width][pixel]
    }

    /// The predictions of the model so far, `[batch, channels, height, width]`: the values before clamping,
    /// rounding and given values, which are levels already with guidance, and 0 where nothing is predicted yet.
    pub fn predictions(&self) -> Vec<f32> {
        self.restored(&self.predictions)
    }

    /// The images so far, `[batch, channels, height, width]` in [0, 1], with 0 where nothing is sampled yet.
    pub fn images(&self) -> Vec<f32> {
        self.restored(&self.sampled)
    }

    /// Turns numbers to the image's own orientation, those of unconditional images left out.
    fn restored(&self, numbers: &[f32]) -> Vec<f32> {
        let [_, channels, height, width] = self.batch.dims;
        let values = channels * height * width;
        let numbers = without_unconditional(self.batch.copies(), numbers.to_vec(), values);
        self.batch.order.restore_values(&numbers, self.size)
    }
}
