use std::str::FromStr;

/// Height and width of images in pixels, as `32x48`, or `32` for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    pub height: usize,
    pub width: usize,
}

impl FromStr for ImageSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (height, width) = text.split_once(['x', 'X']).unwrap_or((text, text));
        match (height.parse(), width.parse()) {
            (Ok(height @ 1..), Ok(width @ 1..)) => Ok(Self { height, width }),
            _ => Err("give HEIGHTxWIDTH, as 32x48, or one number for both"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_one_number_or_two() {
        let size = |height, width| Ok(ImageSize { height, width });
        assert_eq!("32x48".parse(), size(32, 48));
        assert_eq!("8".parse(), size(8, 8));
        for wrong in ["", "x", "8x", "x8", "0x8", "8x0", "8x8x8", "8 x 8", "-1"] {
            assert!(wrong.parse::<ImageSize>().is_err(), "{wrong}");
        }
    }
}
