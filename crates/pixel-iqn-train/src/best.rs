use serde::{Deserialize, Serialize};

/// The lowest held-out loss of a run, and how long ago it was measured.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Best {
    /// The number of steps done when it was measured.
    pub step: usize,
    /// The lowest held-out loss, always finite.
    pub loss: f32,
    /// The number of measurements since, none of which gave a lower loss.
    pub worse_since: usize,
}

impl Best {
    /// The lowest loss after one more measurement: `loss`, after `step` steps. The first finite
    /// loss is the lowest one; a loss that is not a number never is.
    pub(crate) fn after(best: Option<Self>, step: usize, loss: f32) -> Option<Self> {
        let lower = match best {
            Some(best) => loss < best.loss,
            None => loss.is_finite(),
        };
        if lower {
            return Some(Self {
                step,
                loss,
                worse_since: 0,
            });
        }
        best.map(|best| Self {
            worse_since: best.worse_since + 1,
            ..best
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_finite_loss_is_kept_and_the_others_are_counted() {
        let losses = [f32::NAN, f32::INFINITY, 3.0, 2.0, f32::NAN, 2.0, 5.0, 1.0];
        let mut best = None;
        let mut seen = Vec::new();
        for (step, loss) in (1..).zip(losses) {
            best = Best::after(best, step, loss);
            seen.push(best.map(|best| (best.step, best.worse_since)));
        }
        let expected = [(3, 0), (4, 0), (4, 1), (4, 2), (4, 3), (8, 0)];
        assert_eq!(seen[..2], [None, None]);
        assert_eq!(seen[2..], expected.map(Some));
    }
}
