use pixel_iqn_core::SampleBatch;
use pixel_iqn_cpu::CpuSampling;

/// Images that are being drawn, a few pixels at a time.
#[derive(Debug)]
pub struct Drawing {
    steps: CpuSampling,
    done: usize,
    /// The shape of the images, `[images, channels, height, width]`.
    dims: [usize; 4],
    /// The images so far, `[images, height, width, 4]`: red, green, blue and opacity. What is neither drawn
    /// nor given is transparent.
    rgba: Vec<u8>,
    /// The images so far, `[images, channels, height, width]`.
    levels: Vec<u8>,
    tau: Vec<f32>,
}

impl Drawing {
    pub(crate) fn new(steps: CpuSampling, batch: &SampleBatch) -> Self {
        let [images, _, height, width] = batch.dims;
        let mut drawing = Self {
            steps,
            done: 0,
            dims: batch.dims,
            rgba: vec![0; images * height * width * 4],
            levels: vec![0; batch.tau.len()],
            tau: batch.tau.clone(),
        };
        if let Some(known) = &batch.known {
            for image in 0..images {
                for pixel in 0..height * width {
                    let first = image * batch.dims[1] * height * width + pixel;
                    if known.mask[first] {
                        drawing.set(image, pixel, |channel| {
                            known.values[first + channel * height * width]
                        });
                    }
                }
            }
        }
        drawing
    }

    /// Sets a pixel of an image to the values of its channels.
    fn set(&mut self, image: usize, pixel: usize, value: impl Fn(usize) -> f32) {
        let [_, channels, height, width] = self.dims;
        let plane = height * width;
        let rgba = &mut self.rgba[(image * plane + pixel) * 4..][..4];
        for channel in 0..channels {
            let level = (value(channel) * 255.0).round_ties_even() as u8;
            self.levels[(image * channels + channel) * plane + pixel] = level;
            match channels {
                1 | 2 => rgba[..3].fill(level),
                _ if channel < 3 => rgba[channel] = level,
                _ => {}
            }
        }
        rgba[3] = 255;
    }

    /// Draws up to `pixels` more pixels of each image, and returns whether there are others to draw.
    pub fn advance(&mut self, pixels: usize) -> bool {
        let drawn = self.steps.advance(pixels);
        self.done = drawn.end.max(self.done);
        let [images, _, _, width] = self.dims;
        for place in drawn {
            let [row, column] = self.steps.position(place);
            for image in 0..images {
                let values: Vec<f32> = (0..self.dims[1])
                    .map(|channel| self.steps.value(image, channel, place))
                    .collect();
                self.set(image, row * width + column, |channel| values[channel]);
            }
        }
        self.done < self.steps.pixels()
    }

    /// The number of pixels of each image that are drawn.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The row and column of the pixel that is drawn next, if there is one.
    pub fn next(&self) -> Option<[usize; 2]> {
        (self.done < self.steps.pixels()).then(|| self.steps.position(self.done))
    }

    /// The images so far, `[images, height, width, 4]`: red, green, blue, and an opacity of 255, or 0 where
    /// nothing is drawn yet.
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// The images so far, `[images, channels, height, width]`, levels from 0 to 255; 0 where nothing is drawn
    /// yet.
    pub fn levels(&self) -> &[u8] {
        &self.levels
    }

    /// The quantile levels of the images, `[images, channels, height, width]`.
    pub fn tau(&self) -> &[f32] {
        &self.tau
    }
}
