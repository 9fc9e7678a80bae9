use std::str::FromStr;

/// An interval of tau, as `0.1,0.9`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TauRange {
    pub low: f32,
    pub high: f32,
}

impl FromStr for TauRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ends = text.split_once(',');
        let ends = ends.and_then(|(low, high)| {
            Some(Self {
                low: low.trim().parse().ok()?,
                high: high.trim().parse().ok()?,
            })
        });
        ends.ok_or("give LOW,HIGH, as 0.1,0.9")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers() {
        let range = TauRange {
            low: 0.1,
            high: 0.9,
        };
        assert_eq!("0.1,0.9".parse(), Ok(range));
        assert_eq!("0.1, 0.9".parse(), Ok(range));
        for wrong in ["", "0.1", "0.1-0.9", "a,b", "0.1,"] {
            assert!(wrong.parse::<TauRange>().is_err(), "{wrong}");
        }
    }
}
