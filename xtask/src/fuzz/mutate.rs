/// Numbers that lengths, counts and indices break at.
const NUMBERS: [u64; 8] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// A stream of numbers that its start alone decides (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of input `index` of the parser of a name.
    pub fn of(seed: u64, parser: &str, index: u64) -> Self {
        let name = parser.bytes().fold(seed, |sum, byte| {
            sum.wrapping_mul(257).wrapping_add(byte.into())
        });
        let mut random = Self(name);
        random.0 ^= random
            .next()
            .wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A range of at most `longest` bytes of so many.
    fn range(&mut self, len: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        start..(start + 1 + self.below(longest)).min(len)
    }
}

/// An input from valid ones: one of them with one to four changes, or bytes without any sense.
pub fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if random.below(32) == 0 {
        return (0..random.below(600))
            .map(|_| random.next() as u8)
            .collect();
    }
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        // Headers are where the lengths are: every second change is among the first bytes.
        let len = match random.below(2) {
            0 => bytes.len().min(128),
            _ => bytes.len(),
        };
        let at = random.below(len);
        match random.below(8) {
            0 => bytes.truncate(at),
            1 | 2 => bytes[at..]
                .iter_mut()
                .take(1)
                .for_each(|byte| *byte = random.next() as u8),
            3 => bytes[at..]
                .iter_mut()
                .take(1)
                .for_each(|byte| *byte ^= 1 << random.below(8)),
            4 => {
                let (number, width) = (NUMBERS[random.below(NUMBERS.len())], 1 << random.below(4));
                let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
                let number = if random.below(2) == 0 {
                    &little[..width]
                } else {
                    &big[8 - width..]
                };
                for (byte, new) in bytes[at..].iter_mut().zip(number) {
                    *byte = *new;
                }
            }
            5 => drop(bytes.drain(random.range(len, 16))),
            6 => {
                let piece = bytes[random.range(len, 16)].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            // Digits and signs turn up as such in texts.
            _ => {
                let piece: Vec<u8> = match random.below(3) {
                    0 => NUMBERS[random.below(NUMBERS.len())]
                        .to_string()
                        .into_bytes(),
                    1 => b"-"[..].into(),
                    _ => {
                        let other = &seeds[random.below(seeds.len())];
                        other[random.range(other.len(), 32)].to_vec()
                    }
                };
                drop(bytes.splice(at..at, piece));
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_follows_from_its_number_alone() {
        let seeds = [b"0123456789".to_vec(), b"abc".to_vec()];
        let input = |index| mutate(&mut Random::of(1, "idx", index), &seeds);
        let inputs: Vec<_> = (0..2000).map(input).collect();
        assert_eq!(inputs, (0..2000).map(input).collect::<Vec<_>>());
        let distinct: std::collections::BTreeSet<_> = inputs.iter().collect();
        assert!(distinct.len() > 1000, "{}", distinct.len());
        let other = mutate(&mut Random::of(1, "npz", 0), &seeds);
        assert!(inputs[..5].iter().any(|input| *input != other));
    }
}
