//! Readers of numbers in the flags of programs, each of which says the range of what it refuses.

use std::fmt::Display;
use std::str::FromStr;

/// Makes a reader of whole numbers from `least` to `most`, which says the range of what it refuses.
pub fn whole<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |text| match text.parse() {
        Ok(number) if least <= number && number <= most => Ok(number),
        _ => Err(format!("give a whole number from {least} to {most}")),
    }
}

/// Reads how many there are of something, at least one.
///
/// # Errors
///
/// The range, for anything else.
pub fn count(text: &str) -> Result<usize, String> {
    at_least(1, text)
}

/// Reads how many there are of something of which two are needed.
///
/// # Errors
///
/// The range, for anything else.
pub fn two_or_more(text: &str) -> Result<usize, String> {
    at_least(2, text)
}

/// Reads how many there are of something, or which it is, counted from 0.
///
/// # Errors
///
/// The range, for anything else.
pub fn from_zero(text: &str) -> Result<usize, String> {
    at_least(0, text)
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("give a whole number, at least {least}")),
    }
}

/// Reads a seed.
///
/// # Errors
///
/// The range, for anything else.
pub fn seed(text: &str) -> Result<u64, String> {
    whole(0, u64::MAX)(text)
}

/// Reads a tau.
///
/// # Errors
///
/// The range, for anything else.
pub fn tau(text: &str) -> Result<f32, &'static str> {
    match text.trim().parse() {
        Ok(tau) if 0.0 < tau && tau < 1.0 => Ok(tau),
        _ => Err("give a number between 0 and 1, and neither of the two"),
    }
}

/// Reads a rate.
///
/// # Errors
///
/// The range, for anything else.
pub fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("give a number above 0, such as 0.001 or 3e-4"),
    }
}

/// Reads the weight of guidance.
///
/// # Errors
///
/// The range, for anything else.
pub fn weight(text: &str) -> Result<f32, &'static str> {
    match text.trim().parse::<f32>() {
        Ok(weight) if weight >= 0.0 && weight.is_finite() => Ok(weight),
        _ => Err("give a number, at least 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_is_told_the_range() {
        assert_eq!((count("1"), two_or_more("2")), (Ok(1), Ok(2)));
        assert_eq!((from_zero("0"), seed("7")), (Ok(0), Ok(7)));
        for wrong in ["-1", "0", "1.5", "many", ""] {
            assert!(count(wrong).unwrap_err().contains("at least 1"), "{wrong}");
        }
        assert!(
            seed("-1")
                .unwrap_err()
                .contains("from 0 to 18446744073709551615")
        );
        assert!(whole(0, 9)("10").unwrap_err().contains("from 0 to 9"));
        assert_eq!((tau("0.5"), rate("3e-4")), (Ok(0.5), Ok(3e-4)));
        for wrong in ["-0.5", "0", "1", "nan", "inf"] {
            assert!(tau(wrong).is_err(), "{wrong}");
        }
        for wrong in ["-1", "0", "nan", "inf"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!((weight("0"), weight("2.5")), (Ok(0.0), Ok(2.5)));
        for wrong in ["-1", "nan", "inf", "much"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }
}
