use std::str::FromStr;

use super::number::tau;

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
            let (low, high) = (tau(low).ok()?, tau(high).ok()?);
            (low < high).then_some(Self { low, high })
        });
        ends.ok_or("give LOW,HIGH with 0 < LOW < HIGH < 1, as 0.1,0.9")
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
        for wrong in [
            "", "0.1", "0.1-0.9", "a,b", "0.1,", "-0.1,0.9", "0.9,0.1", "0.1,nan",
        ] {
            assert!(wrong.parse::<TauRange>().is_err(), "{wrong}");
        }
    }
}
