//! The order of names in which numbers count as numbers.

use std::{cmp::Ordering, path::Path};

/// Sorts files or folders of one folder by their names in natural order: see [`compare`].
pub(crate) fn sort(paths: &mut [impl AsRef<Path>]) {
    paths.sort_by_cached_key(|path| {
        let name = path.as_ref().file_name().unwrap_or_default();
        Name(name.to_string_lossy().into_owned())
    });
}

/// Compares two names: runs of the digits 0 to 9 by the number that they are, all else by
/// character. Names that differ in leading zeros alone come in plain order.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(one), Some(other)) = (left.chars().next(), right.chars().next()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let order = if one.is_ascii_digit() && other.is_ascii_digit() {
            let (one, other) = (number(&mut left), number(&mut right));
            // Without leading zeros the longer number is the greater one.
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        } else {
            left = &left[one.len_utf8()..];
            right = &right[other.len_utf8()..];
            one.cmp(&other)
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the digits from the front of a text and returns them without leading zeros.
fn number<'a>(text: &mut &'a str) -> &'a str {
    let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    *text = rest;
    digits.trim_start_matches('0')
}

#[derive(PartialEq, Eq)]
struct Name(String);

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let sorted = [
            "",
            "-3",
            "0",
            "00",
            "01",
            "1",
            "2",
            "10",
            "010a",
            "99999999999999999999999",
            "a",
            "a1b2",
            "a1b10",
            "a1b10c",
            "a2",
            "a10",
            "ab",
            "a\u{e9}2",
        ];
        let mut names = sorted;
        names.reverse();
        sort(&mut names);
        assert_eq!(names, sorted);
        // A total order: every pair agrees with the places in the list.
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }
}
