//! The reference of skill.

use burn::tensor::Device;
use pixel_iqn_core::NoProgress;
use pixel_iqn_data::{ImageDataset, builtin};
use pixel_iqn_score::{ConditionalOptions, MarginalForecaster, conditional_scores};

#[test]
fn a_constant_set_has_hardly_an_error_against_itself() {
    // Each level counts once more than it occurs: 256 of 200,000 values.
    let set = ImageDataset::new(vec![51; 3 * 200_000], [3, 400, 500]).unwrap();
    let marginal = MarginalForecaster::of(&set);
    assert!(marginal.crps(&set, 1) < 1e-3);
    let other = ImageDataset::new(vec![102; 48], [3, 4, 4]).unwrap();
    assert!((marginal.crps(&other, 1) - 0.2).abs() < 1e-3);
}

#[test]
fn each_channel_has_a_distribution_of_its_own() {
    let plane = |levels: [u8; 2]| levels.map(|level| vec![level; 200_000]).concat();
    let set = ImageDataset::new(plane([7, 200]), [2, 400, 500]).unwrap();
    let swapped = ImageDataset::new(plane([200, 7]), [2, 400, 500]).unwrap();
    let marginal = MarginalForecaster::of(&set);
    assert!(marginal.crps(&set, 1) < 1e-3);
    assert!((marginal.crps(&swapped, 1) - 193.0 / 255.0).abs() < 2e-3);
}

#[test]
fn the_score_from_the_counts_of_levels_is_that_of_the_values() {
    let train = builtin::generate(0, 0..20, 8, 3).unwrap();
    let held_out = builtin::generate(0, 20..27, 8, 3).unwrap();
    let marginal = MarginalForecaster::of(&train);
    let options = ConditionalOptions::new(5).with_batch(2);
    let device = Device::flex();
    let scores = conditional_scores(
        &marginal,
        &held_out,
        &marginal,
        &options,
        &device,
        &NoProgress,
    );
    let scores = scores.unwrap();
    assert!(
        (scores.mean.crps - scores.reference_crps).abs() < 1e-12,
        "{scores:?}"
    );
    assert_eq!(scores.reference_crps, marginal.crps(&held_out, 5));
    assert!(marginal.crps(&held_out, 5) != marginal.crps(&held_out, 7));
}
