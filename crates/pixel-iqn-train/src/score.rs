use core::ops::ControlFlow;

use burn::tensor::Device;
use pixel_iqn_core::{Noise, PixelModel, TauPlacement};
use pixel_iqn_data::{ImageBatch, ImageDataset};
use pixel_iqn_loss::{pinball, skill_score};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::marginal::{LEVELS, MarginalQuantiles};

const SCORING: u64 = u64::from_be_bytes(*b"scoring ");

/// How well a model predicts the values of images that it was not trained on, each given those
/// before it. Losses are in units of the full range of intensity.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Images scored.
    pub images: usize,
    /// The mean pinball loss over all values and [`LEVELS`] quantiles of each.
    pub mean_pinball: f64,
    /// The continuous ranked probability score: twice the mean pinball loss.
    pub crps: f64,
    /// That of the [`MarginalQuantiles`] of the training set on the same images.
    pub reference_crps: f64,
    /// `1 - crps / reference_crps`: 0 knows nothing, 1 knows everything.
    pub skill: f64,
    /// The part of neighbouring quantiles of a value that are in the wrong order.
    pub crossing_rate: f64,
}

/// How to [`score`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreOptions {
    /// Images to score, the first ones of the set.
    pub images: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Seed of the placement of tau.
    pub seed: u64,
}

/// Scores a model on held-out images.
///
/// Each batch takes [`LEVELS`] passes, with tau by [`TauPlacement`]. For a model whose values also
/// depend on the tau of earlier values the crossing rate includes what these other tau change.
///
/// After each pass `progress` is told how many of how many passes are done; a
/// [`ControlFlow::Break`] from it ends the scoring with `None`.
///
/// # Errors
///
/// [`TrainError::Device`] where the device failed, [`TrainError::Config`] for an empty batch or
/// more images than there are.
///
/// # Panics
///
/// Panics if the images or labels do not fit the model or `marginal`.
pub fn score<M: PixelModel>(
    model: &M,
    held_out: &ImageDataset,
    marginal: &MarginalQuantiles,
    options: &ScoreOptions,
    device: &Device,
    mut progress: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Scores>, TrainError> {
    let &ScoreOptions { images, batch, .. } = options;
    for (ok, name, range) in [
        (batch > 0, "batch", "at least 1"),
        (
            (1..=held_out.len()).contains(&images),
            "images",
            "from 1 to the images of the set",
        ),
    ] {
        if !ok {
            return Err(TrainError::Config { name, range });
        }
    }
    let passes = images.div_ceil(batch) * LEVELS;
    let (mut loss, mut crossings, mut values, mut done) = (0.0, 0, 0, 0);
    for start in (0..images).step_by(batch) {
        let indices: Vec<usize> = (start..images.min(start + batch)).collect();
        let batch = held_out.batch(&indices, None, device);
        let mut quantiles = Quantiles::new(&batch, options.seed);
        for pass in 0..LEVELS {
            loss += quantiles.pass(model, &batch, pass)?;
            done += 1;
            if progress(done, passes).is_break() {
                return Ok(None);
            }
        }
        crossings += quantiles.crossings();
        values += quantiles.placement.values();
    }
    let mean_pinball = loss / (values * LEVELS) as f64;
    let crps = 2.0 * mean_pinball;
    let reference_crps = marginal.crps(held_out, images);
    Ok(Some(Scores {
        images,
        mean_pinball,
        crps,
        reference_crps,
        skill: skill_score(crps, reference_crps),
        crossing_rate: crossings as f64 / (values * (LEVELS - 1)) as f64,
    }))
}

/// The predicted quantiles of every value of a batch.
struct Quantiles {
    placement: TauPlacement,
    /// By value, then by bin.
    predictions: Vec<f32>,
}

impl Quantiles {
    fn new(batch: &ImageBatch, seed: u64) -> Self {
        let [_, image @ ..] = batch.images.dims();
        let noise = Noise::new(seed ^ SCORING);
        let values = image.iter().product();
        let placement = TauPlacement::new(&noise, &batch.indices, values, LEVELS);
        Self {
            predictions: vec![0.0; placement.values() * LEVELS],
            placement,
        }
    }

    /// Returns the sum of the pinball loss.
    fn pass<M: PixelModel>(
        &mut self,
        model: &M,
        batch: &ImageBatch,
        pass: usize,
    ) -> Result<f64, TrainError> {
        let images = &batch.images;
        let tau = self.placement.tau(pass, images.dims(), &images.device());
        let labels = batch.labels_of(model.config().classes);
        let values = model.values(images.clone(), tau.clone(), labels);
        let mean = pinball(values.clone(), images.clone(), tau).mean();
        let mean: f64 = mean
            .try_into_scalar()
            .map_err(|error| TrainError::Device(error.to_string()))?;
        let values = values
            .try_into_data()
            .map_err(|error| TrainError::Device(error.to_string()))?;
        self.placement
            .store(pass, values.iter::<f32>(), &mut self.predictions);
        Ok(mean * self.placement.values() as f64)
    }

    /// How many neighbouring quantiles are in the wrong order.
    fn crossings(&self) -> usize {
        self.predictions
            .chunks_exact(LEVELS)
            .flat_map(|row| row.windows(2))
            .filter(|pair| pair[0] > pair[1])
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::tensor::{Int, Tensor};
    use pixel_iqn_core::ModelConfig;
    use pixel_iqn_data::builtin;

    /// Predicts `offset + slope * tau` everywhere.
    #[derive(Module, Debug)]
    struct Line {
        offset: f64,
        slope: f64,
        #[module(skip)]
        config: ModelConfig,
    }

    impl Line {
        fn new(offset: f64, slope: f64) -> Self {
            let config = ModelConfig::tiny();
            Self {
                offset,
                slope,
                config,
            }
        }
    }

    impl PixelModel for Line {
        fn init(_: &ModelConfig, _: &Device) -> Self {
            Self::new(0.0, 0.0)
        }

        fn config(&self) -> &ModelConfig {
            &self.config
        }

        fn values(&self, _: Tensor<4>, tau: Tensor<4>, _: Option<&Tensor<1, Int>>) -> Tensor<4> {
            tau * self.slope + self.offset
        }
    }

    fn score_line(model: &Line, set: &ImageDataset, images: usize) -> Scores {
        let options = ScoreOptions {
            images,
            batch: 2,
            seed: 1,
        };
        let marginal = MarginalQuantiles::of(set);
        let go_on = |_, _| ControlFlow::Continue(());
        score(model, set, &marginal, &options, &Device::flex(), go_on)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_marginal_quantiles_have_no_skill() {
        // Each level once: the marginal quantile function is the line from 0 to 1, up to the
        // rounding of its steps.
        let levels: Vec<u8> = (0..3).flat_map(|_| 0..=255).collect();
        let set = ImageDataset::new(levels, [3, 16, 16]).unwrap();
        let scores = score_line(&Line::new(0.0, 1.0), &set, 1);
        assert!(scores.skill.abs() < 1e-3, "{scores:?}");
        assert_eq!(scores.crossing_rate, 0.0);
        // E|X - X'| / 2 of the uniform distribution.
        assert!((scores.crps - 1.0 / 6.0).abs() < 2e-3, "{scores:?}");
    }

    #[test]
    fn certainty_is_scored_by_the_absolute_error() {
        let set = ImageDataset::new(vec![255; 5 * 48], [3, 4, 4]).unwrap();
        let scores = score_line(&Line::new(0.75, 0.0), &set, 5);
        assert!((scores.crps - 0.25).abs() < 1e-6, "{scores:?}");
        assert_eq!(scores.images, 5);
    }

    #[test]
    fn falling_quantiles_cross_everywhere() {
        let set = builtin::generate(0, 0..3, 4, 3).unwrap();
        assert_eq!(
            score_line(&Line::new(1.0, -1.0), &set, 3).crossing_rate,
            1.0
        );
    }

    #[test]
    fn what_cannot_be_scored_is_an_error_and_a_break_ends_it() {
        let set = builtin::generate(0, 0..3, 4, 3).unwrap();
        let marginal = MarginalQuantiles::of(&set);
        let run = |images, batch| {
            let options = ScoreOptions {
                images,
                batch,
                seed: 0,
            };
            let mut calls = 0;
            let result = score(
                &Line::new(0.0, 1.0),
                &set,
                &marginal,
                &options,
                &Device::flex(),
                |done, of| {
                    calls += 1;
                    assert_eq!((done, of), (calls, 40));
                    match done {
                        5 => ControlFlow::Break(()),
                        _ => ControlFlow::Continue(()),
                    }
                },
            );
            (result, calls)
        };
        assert!(matches!(run(3, 2), (Ok(None), 5)));
        for (images, batch, field) in [(4, 2, "images"), (0, 2, "images"), (3, 0, "batch")] {
            let (result, _) = run(images, batch);
            assert!(
                matches!(result, Err(TrainError::Config { name, .. }) if name == field),
                "{result:?}"
            );
        }
    }
}
