use core::ops::Range;

/// The inputs that are left out at least at a time: fewer are multiplied by their zeros, since a product
/// in many short pieces takes longer.
const GAP: usize = 8;

/// Neighbouring column panels of weights that have the same zeros, and the weights that they have beside
/// them.
///
/// The mask of the channel groups leaves whole blocks of weights zero (van den Oord et al., "Pixel
/// Recurrent Neural Networks", 2016, section 3.4): those are not multiplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nonzero {
    /// The column panels.
    pub panels: Range<usize>,
    /// For each tap in order the ranges of its inputs that are not all zero.
    pub inputs: Vec<(usize, Range<usize>)>,
}

impl Nonzero {
    /// Finds the ranges of `panels` column panels with `taps` taps of `inputs` inputs each, where
    /// `is_zero(panel, row)` tells whether a row of a panel, `tap * inputs + input`, is zero.
    pub fn find(
        panels: usize,
        [taps, inputs]: [usize; 2],
        is_zero: impl Fn(usize, usize) -> bool,
    ) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        for panel in 0..panels {
            let ranges: Vec<(usize, Range<usize>)> = (0..taps)
                .flat_map(|tap| {
                    let ranges = ranges(inputs, |input| is_zero(panel, tap * inputs + input));
                    ranges.into_iter().map(move |range| (tap, range))
                })
                .collect();
            match runs.last_mut() {
                Some(last) if last.inputs == ranges => last.panels.end = panel + 1,
                _ => runs.push(Self {
                    panels: panel..panel + 1,
                    inputs: ranges,
                }),
            }
        }
        runs
    }
}

/// The ranges of `0..length` without the zeros, where they are at least [`GAP`] in a row.
fn ranges(length: usize, is_zero: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for i in (0..length).filter(|&i| !is_zero(i)) {
        match ranges.last_mut() {
            Some(last) if i < last.end + GAP => last.end = i + 1,
            _ => ranges.push(i..i + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_gaps_are_kept_and_long_ones_left_out() {
        let zero = |i: usize| [0, 1].contains(&i) || (4..11).contains(&i) || (20..28).contains(&i);
        assert_eq!(ranges(30, zero), [2..20, 28..30]);
        assert_eq!(ranges(20, |_| true), []);
    }

    #[test]
    fn panels_with_the_same_zeros_are_one_run() {
        // The second tap is lower triangular in two groups of ten inputs.
        let zero = |panel: usize, row: usize| panel < 2 && row >= 30;
        let runs = Nonzero::find(3, [2, 20], zero);
        let run = |panels, last| Nonzero {
            panels,
            inputs: vec![(0, 0..20), (1, 0..last)],
        };
        assert_eq!(runs, [run(0..2, 10), run(2..3, 20)]);
    }
}
