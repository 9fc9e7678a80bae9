use core::str::FromStr;

use crate::error::{DataError, Result};

/// A region of an image that is missing, by name: see [`Mask::of_region`](crate::Mask::of_region).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Region {
    /// The lower half; the central row of an odd height is in it.
    Lower,
    /// The upper half, without the central row of an odd height.
    Upper,
    /// The left half, without the central column of an odd width.
    Left,
    /// The right half; the central column of an odd width is in it.
    Right,
    /// A rectangle in the centre, of half the height and half the width.
    Centre,
    /// A stroke as of a brush: a wave from the top to the bottom, a fifth of the shorter side wide.
    Stroke,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 6] = [
        Self::Lower,
        Self::Upper,
        Self::Left,
        Self::Right,
        Self::Centre,
        Self::Stroke,
    ];

    /// The name, which [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Left => "left",
            Self::Right => "right",
            Self::Centre => "centre",
            Self::Stroke => "stroke",
        }
    }

    /// Whether a pixel, by row and column, of an image of size `[height, width]` is in the region.
    pub fn contains(self, [row, column]: [usize; 2], [height, width]: [usize; 2]) -> bool {
        let middle = |place: usize, size: usize| (size / 4..size / 4 + size / 2).contains(&place);
        match self {
            Self::Lower => row >= height / 2,
            Self::Upper => row < height / 2,
            Self::Left => column < width / 2,
            Self::Right => column >= width / 2,
            Self::Centre => middle(row, height) && middle(column, width),
            Self::Stroke => {
                let [height, width] = [height as f64, width as f64];
                let [y, x] = [row as f64 + 0.5, column as f64 + 0.5];
                let radius = 0.1 * height.min(width);
                // The centre line, in small steps.
                (0..=200).any(|step| {
                    let t = f64::from(step) / 200.0;
                    let line_y = height * (0.15 + 0.7 * t);
                    let line_x = width * (0.5 + 0.3 * (core::f64::consts::TAU * t).sin());
                    (y - line_y).hypot(x - line_x) <= radius
                })
            }
        }
    }
}

impl FromStr for Region {
    type Err = DataError;

    /// Reads the name of a region.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] with the names that there are.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|region| region.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            DataError::Inconsistent(format!("there is no region `{text}`: they are {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;

    #[test]
    fn halves_complete_each_other_and_the_others_leave_a_border() {
        for size in [[4, 6], [5, 7], [32, 32]] {
            let of = |region| Mask::of_region(region, size);
            for (a, b) in [
                (Region::Lower, Region::Upper),
                (Region::Left, Region::Right),
            ] {
                let mut pairs = of(a)
                    .missing()
                    .to_vec()
                    .into_iter()
                    .zip(of(b).missing().to_vec());
                assert!(pairs.all(|(a, b)| a != b));
            }
        }
        for region in [Region::Centre, Region::Stroke] {
            let mask = Mask::of_region(region, [32, 32]);
            assert!((0..32).all(|i| !mask.is_missing(0, i) && !mask.is_missing(i, 31)));
            let missing = mask.missing().iter().filter(|missing| **missing).count();
            assert!((100..400).contains(&missing), "{region:?}: {missing}");
        }
    }

    #[test]
    fn names_are_read_back_and_listed() {
        for region in Region::ALL {
            assert_eq!(region.name().parse::<Region>().unwrap(), region);
        }
        let error = "middle".parse::<Region>().unwrap_err().to_string();
        assert!(error.contains("lower, upper"), "{error}");
    }
}
