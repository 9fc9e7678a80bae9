use crate::EvalError;

/// A residual network that classifies small images, and how it is trained.
///
/// The network is that of He, Zhang, Ren and Sun (2016, section 4.2): a convolution, three stages of
/// residual blocks with 16, 32 and 64 features at whole, half and quarter resolution, shortcuts without
/// parameters, the mean over all pixels, and a linear layer. The training is theirs, too: SGD with
/// momentum, a rate that is divided by 10 after half and after three quarters of the steps, weight
/// decay, and images that are moved by up to 4 pixels and mirrored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClassifierConfig {
    /// Residual blocks in each of the three stages; the network has 6 layers for each, and 2 more.
    pub blocks: usize,
    /// Features of the first stage; the others have twice and four times as many.
    pub features: usize,
    /// Training steps.
    pub steps: usize,
    /// Images in a step.
    pub batch: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The momentum of SGD.
    pub momentum: f64,
    /// The weight decay, of weights and biases alike.
    pub weight_decay: f64,
    /// The pixels by which an image is moved at most, up, down and to the sides.
    pub shift: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
    /// Seed of the weights, of the order of the images and of how they are moved.
    pub seed: u64,
}

impl ClassifierConfig {
    /// The names that [`named`](Self::named) knows.
    pub const NAMES: [&'static str; 2] = ["small", "resnet56"];

    /// One block in each stage, 8 layers, for 2,000 steps of 64 images: minutes on a few cores. Our
    /// choice; the recipe is that of [`resnet56`](Self::resnet56).
    pub fn small() -> Self {
        Self {
            blocks: 1,
            steps: 2000,
            batch: 64,
            ..Self::resnet56()
        }
    }

    /// ResNet-56 for 64,000 steps of 128 images (He et al. 2016, section 4.2), which Ravuri and Vinyals
    /// (2019) took for CIFAR-10.
    pub fn resnet56() -> Self {
        Self {
            blocks: 9,
            features: 16,
            steps: 64_000,
            batch: 128,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            shift: 4,
            flip: true,
            seed: 0,
        }
    }

    /// The config of this name, one of [`NAMES`](Self::NAMES).
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "small" => Some(Self::small()),
            "resnet56" => Some(Self::resnet56()),
            _ => None,
        }
    }

    /// Sets the training steps.
    pub fn with_steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// Sets the images in a step.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Sets the features of the first stage.
    pub fn with_features(self, features: usize) -> Self {
        Self { features, ..self }
    }

    /// Sets the pixels by which images are moved at most.
    pub fn with_shift(self, shift: usize) -> Self {
        Self { shift, ..self }
    }

    /// Sets whether images are mirrored, which digits do not survive.
    pub fn with_flip(self, flip: bool) -> Self {
        Self { flip, ..self }
    }

    /// Sets the seed.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The learning rate of a step, counted from 0.
    pub fn learning_rate_at(&self, step: usize) -> f64 {
        match (4 * step) / self.steps.max(1) {
            0 | 1 => self.learning_rate,
            2 => self.learning_rate / 10.0,
            _ => self.learning_rate / 100.0,
        }
    }

    pub(super) fn validate(&self) -> Result<(), EvalError> {
        let from_0_to_1 = |value: f64| (0.0..1.0).contains(&value);
        for (ok, name, range) in [
            (self.blocks > 0, "blocks", "at least 1"),
            (self.features > 0, "features", "at least 1"),
            (self.steps > 0, "steps", "at least 1"),
            (self.batch > 1, "batch", "at least 2"),
            (
                self.learning_rate > 0.0 && self.learning_rate.is_finite(),
                "learning_rate",
                "above 0",
            ),
            (from_0_to_1(self.momentum), "momentum", "in [0, 1)"),
            (from_0_to_1(self.weight_decay), "weight_decay", "in [0, 1)"),
        ] {
            if !ok {
                return Err(EvalError::Option { name, range });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_after_a_half_and_after_three_quarters() {
        let config = ClassifierConfig::resnet56();
        let rates = [0, 31_999, 32_000, 47_999, 48_000].map(|step| config.learning_rate_at(step));
        assert_eq!(rates, [0.1, 0.1, 0.1 / 10.0, 0.1 / 10.0, 0.1 / 100.0]);
    }

    #[test]
    fn all_names_are_known_and_ranges_are_checked() {
        for name in ClassifierConfig::NAMES {
            ClassifierConfig::named(name).unwrap().validate().unwrap();
        }
        assert_eq!(ClassifierConfig::named("large"), None);
        let error = ClassifierConfig::small().with_batch(1).validate();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("batch"), "{error}");
        assert!(ClassifierConfig::small().with_steps(0).validate().is_err());
    }
}
