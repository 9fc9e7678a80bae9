use rand_mt::Mt;

/// The permutations that `numpy.random.RandomState(seed)` draws, one after the other: what
/// torch-fidelity parts features by, so that its scores come out the same.
pub(crate) struct Permutations(Mt);

impl Permutations {
    pub fn new(seed: u32) -> Self {
        Self(Mt::new(seed))
    }

    /// The next permutation of `0..count`. Its first numbers are what `choice` without
    /// replacement draws.
    pub fn next(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, self.up_to(i as u32) as usize);
        }
        order
    }

    /// From 0 to `most`, by rejection under the smallest mask of ones.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let number = self.0.next_u32() & mask;
            if number <= most {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_those_of_numpy() {
        // >>> rng = numpy.random.RandomState(2020)
        // >>> rng.permutation(10), rng.choice(7, 3, replace=False)
        let mut permutations = Permutations::new(2020);
        assert_eq!(permutations.next(10), [2, 4, 9, 1, 5, 7, 6, 3, 8, 0]);
        assert_eq!(permutations.next(7)[..3], [4, 3, 1]);
    }

    #[test]
    fn none_and_one_are_permuted() {
        assert!(Permutations::new(1).next(0).is_empty());
        assert_eq!(Permutations::new(1).next(1), [0]);
    }
}
