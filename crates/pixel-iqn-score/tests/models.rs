//! The models of `pixel-iqn-core`, against the loss on tensors that they are trained by.

use core::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;
use pixel_iqn_core::{
    AnyModel, GatedPixelCnn, ModelConfig, NoProgress, Noise, Output, PixelIqn, PixelModel,
    TauPlacement,
};
use pixel_iqn_data::{ImageDataset, builtin};
use pixel_iqn_loss::pinball;
use pixel_iqn_score::{
    ConditionalOptions, ConditionalScores, Forecaster, MarginalForecaster, ScoreError,
    conditional_scores,
};

const QUANTILE_LEVELS: usize = 20;
const SEED: u64 = 5;

fn held_out() -> ImageDataset {
    builtin::generate(0, 16..19, 6, 3).unwrap()
}

fn options() -> ConditionalOptions {
    ConditionalOptions::new(3)
        .with_batch(2)
        .with_quantile_levels(QUANTILE_LEVELS)
        .with_seed(SEED)
}

fn scores(model: &impl Forecaster) -> ConditionalScores {
    let marginal = MarginalForecaster::of(&builtin::generate(0, 0..16, 6, 3).unwrap());
    let device = Device::flex();
    conditional_scores(
        model,
        &held_out(),
        &marginal,
        &options(),
        &device,
        &NoProgress,
    )
    .unwrap()
}

/// The mean pinball loss by tensors, one pass of the model for each quantile level, and the crossing
/// rate of what it gave.
fn by_tensors<M: PixelModel>(model: &M) -> (f64, f64) {
    let set = held_out();
    let device = Device::flex();
    let batch = set.batch(&[0, 1, 2], None, &device);
    let noise = Noise::new(SEED ^ u64::from_be_bytes(*b"placing "));
    let placement = TauPlacement::new(&noise, &batch.indices, 108, QUANTILE_LEVELS);
    let mut quantiles = vec![0.0; placement.values() * QUANTILE_LEVELS];
    let mut loss = 0.0;
    for pass in 0..QUANTILE_LEVELS {
        let tau = placement.tau(pass, batch.images.dims(), &device);
        let labels = batch.labels_of(model.config().classes);
        let values = model.values(batch.images.clone(), tau.clone(), labels.into());
        let mean = pinball(values.clone(), batch.images.clone(), tau).mean();
        loss += f64::from(mean.into_scalar::<f32>()) / QUANTILE_LEVELS as f64;
        placement.store(pass, values.into_data().iter::<f32>(), &mut quantiles);
    }
    let rows = quantiles.chunks_exact(QUANTILE_LEVELS);
    let crossings = rows.flat_map(|row| row.windows(2)).filter(|p| p[0] > p[1]);
    let pairs = placement.values() * (QUANTILE_LEVELS - 1);
    (loss, crossings.count() as f64 / pairs as f64)
}

fn check<M: PixelModel + Forecaster>(config: ModelConfig, factor_of_crps: Option<f64>) {
    let device = Device::flex();
    let model = M::init_seeded(&config, &device, 1);
    let scores = scores(&model);
    let (loss, crossing_rate) = by_tensors(&model);
    assert!(
        (scores.mean.pinball - loss).abs() < 1e-6,
        "{scores:?} {loss}"
    );
    assert!(
        (scores.mean.crossing_rate - crossing_rate).abs() < 1e-12,
        "{scores:?} {crossing_rate}"
    );
    if let Some(factor) = factor_of_crps {
        assert!(
            (scores.mean.crps - factor * loss).abs() < 1e-5,
            "{scores:?}"
        );
    }
}

#[test]
fn quantiles_through_the_gates_score_as_by_tensors() {
    check::<PixelIqn>(ModelConfig::tiny(), Some(2.0));
}

#[test]
fn quantiles_of_a_head_score_as_by_tensors() {
    let config = ModelConfig::tiny().with_output(Output::head(1, 16, 8));
    check::<PixelIqn>(config, Some(2.0));
}

#[test]
fn quantile_functions_score_as_by_tensors() {
    let config = ModelConfig::tiny().with_output(Output::of_kind("monotone").unwrap());
    // Their CRPS is exact, not twice the loss at the quantile levels.
    check::<PixelIqn>(config, None);
}

#[test]
fn levels_score_as_by_tensors() {
    // Their CRPS is exact, not twice the loss at the quantile levels.
    let config = ModelConfig::tiny().with_output(Output::categorical(16));
    check::<GatedPixelCnn>(config, None);
}

#[test]
fn any_model_scores_as_the_model_inside() {
    let device = Device::flex();
    for output in [Output::gates(16, 8), Output::categorical(16)] {
        let config = ModelConfig::tiny().with_output(output);
        let model = AnyModel::init(&config, &device);
        let inside = match &model {
            AnyModel::PixelIqn(model) => scores(model),
            AnyModel::GatedPixelCnn(model) => scores(model),
            _ => unreachable!("there is no other"),
        };
        assert_eq!(scores(&model), inside);
    }
}

#[test]
fn passes_are_counted_and_a_break_cancels() {
    let device = Device::flex();
    let model = ModelConfig::tiny().init_pixel_iqn(&device);
    let set = held_out();
    let marginal = MarginalForecaster::of(&set);
    // Two batches of 20 passes; at `last` the caller breaks.
    let run = |last: usize| {
        let calls = AtomicUsize::new(0);
        let progress = |done, total| {
            let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
            assert_eq!((done, total), (call, 40));
            match done == last {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let result = conditional_scores(&model, &set, &marginal, &options(), &device, &progress);
        (result, calls.into_inner())
    };
    assert!(matches!(run(5), (Err(ScoreError::Cancelled(_)), 5)));
    assert!(matches!(run(23), (Err(ScoreError::Cancelled(_)), 23)));
    assert!(matches!(run(99), (Ok(_), 40)));
}
