use super::Preprocessing;

/// Height and width that the network reads.
pub(super) const SIDE: usize = 299;

/// A row or column of the result is a mix of two: `(low, high, weight of high)`.
type Mix = (usize, usize, f32);

impl Preprocessing {
    /// Where the rows or columns of the result lie among `length` of the image.
    fn mixes(self, length: usize) -> Vec<Mix> {
        let scale = length as f32 / SIDE as f32;
        let source = |i: usize| match self {
            Self::TorchFidelity => i as f32 * scale,
            Self::PytorchFid => ((i as f32 + 0.5) * scale - 0.5).max(0.0),
        };
        (0..SIDE)
            .map(|i| {
                let at = source(i);
                let low = (at as usize).min(length - 1);
                (low, (low + 1).min(length - 1), at - low as f32)
            })
            .collect()
    }

    /// What the network reads of a level, or a mix of levels.
    fn scale(self, level: f32) -> f32 {
        match self {
            Self::TorchFidelity => (level - 128.0) / 128.0,
            Self::PytorchFid => 2.0 * (level / 255.0) - 1.0,
        }
    }

    /// An image resized and scaled, `[SIDE, SIDE, 3]`; grey images become colour images with
    /// three equal channels.
    ///
    /// # Shapes
    ///
    /// - `image`: `[channels, height, width]`
    pub(super) fn apply(self, image: &[u8], [channels, height, width]: [usize; 3]) -> Vec<f32> {
        let rows = self.mixes(height);
        let columns = self.mixes(width);
        let mut out = vec![0.0; SIDE * SIDE * 3];
        let mut wide = vec![0.0; height * SIDE];
        for channel in 0..3 {
            let plane = &image[channel.min(channels - 1) * height * width..][..height * width];
            for (wide, row) in wide.chunks_exact_mut(SIDE).zip(plane.chunks_exact(width)) {
                for (wide, &(low, high, part)) in wide.iter_mut().zip(&columns) {
                    let (low, high) = (f32::from(row[low]), f32::from(row[high]));
                    *wide = low + (high - low) * part;
                }
            }
            for (out, &(low, high, part)) in out.chunks_exact_mut(SIDE * 3).zip(&rows) {
                let (low, high) = (&wide[low * SIDE..][..SIDE], &wide[high * SIDE..][..SIDE]);
                let pairs = low.iter().zip(high);
                for (out, (low, high)) in out[channel..].iter_mut().step_by(3).zip(pairs) {
                    *out = self.scale(low + (high - low) * part);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The red channel of the resized ramp 0, 8, 16, ..., along a row.
    fn ramp(preprocessing: Preprocessing) -> Vec<f32> {
        let image: Vec<u8> = (0..32 * 32).map(|i| (i % 32 * 8) as u8).collect();
        let out = preprocessing.apply(&image, [1, 32, 32]);
        assert!(out.chunks_exact(3).all(|c| c[0] == c[1] && c[1] == c[2]));
        out[..SIDE * 3].iter().step_by(3).copied().collect()
    }

    #[test]
    fn tensorflows_resize_starts_at_the_first_pixel() {
        let row = ramp(Preprocessing::TorchFidelity);
        for (i, value) in row.iter().enumerate() {
            let at = (i as f32 * 32.0 / 299.0).min(31.0);
            assert!((value - (8.0 * at - 128.0) / 128.0).abs() < 1e-5, "{i}");
        }
        assert_eq!(row[0], -1.0);
    }

    #[test]
    fn pytorchs_resize_is_of_pixel_centres() {
        let row = ramp(Preprocessing::PytorchFid);
        for (i, value) in row.iter().enumerate() {
            let at = ((i as f32 + 0.5) * 32.0 / 299.0 - 0.5).clamp(0.0, 31.0);
            assert!((value - (16.0 * at / 255.0 - 1.0)).abs() < 1e-5, "{i}");
        }
        // Symmetric, unlike the other.
        assert_eq!(row[0], -1.0);
        assert_eq!(row[4], -1.0);
        assert_eq!(row[SIDE - 1], row[SIDE - 5]);
    }

    #[test]
    fn rows_and_channels_stay_apart() {
        let mut image = vec![0; 3 * 4 * 2];
        image[8..16].fill(255);
        image[16 + 6..].fill(128);
        let out = Preprocessing::TorchFidelity.apply(&image, [3, 4, 2]);
        assert_eq!(&out[..3], [-1.0, 127.0 / 128.0, -1.0]);
        assert_eq!(&out[out.len() - 3..], [-1.0, 127.0 / 128.0, 0.0]);
    }
}
