//! Scores of the same features as torch-fidelity 0.4.0 and pytorch-fid 0.3.0 compute them, given
//! double precision:
//!
//! ```python
//! i, j = torch.arange(40)[:, None], torch.arange(8)[None]
//! a = ((i * i * 31 + j * 17 + i * j * 7) % 256).double() / 64
//! b = ((i * 29 + j * j * 13 + i * j * 5 + 11) % 256).double() / 64
//! s, t = fid_features_to_statistics(a), fid_features_to_statistics(b)
//! print(fid_statistics_to_metric(s, t, False))
//! print(calculate_frechet_distance(s["mu"], s["sigma"], t["mu"], t["sigma"]))
//! print(isc_features_to_metric(a))
//! print(kid_features_to_metric(a, b, kid_subsets=100, kid_subset_size=20, rng_seed=2020,
//!                              verbose=False))
//! print(prc_features_to_metric(a, b, prc_neighborhood=3, prc_batch_size=100,
//!                              save_cpu_ram=False, verbose=False))
//! ```

use pixel_iqn_eval::{
    Features, GaussianStatistics, InceptionScoreOptions, KidOptions, frechet_distance,
    inception_score, kernel_inception_distance, precision_recall,
};

fn features(number: impl Fn(usize, usize) -> usize) -> Features {
    let data = (0..40 * 8).map(|k| (number(k / 8, k % 8) % 256) as f32 / 64.0);
    Features::new(data.collect(), 8).unwrap()
}

fn both() -> (Features, Features) {
    (
        features(|i, j| i * i * 31 + j * 17 + i * j * 7),
        features(|i, j| i * 29 + j * j * 13 + i * j * 5 + 11),
    )
}

#[track_caller]
fn assert_close(ours: f64, theirs: f64, tolerance: f64) {
    assert!(
        (ours - theirs).abs() <= tolerance * theirs.abs(),
        "{ours} is not {theirs}"
    );
}

#[test]
fn frechet_distances_agree() {
    let (a, b) = both();
    let statistics = |features| GaussianStatistics::of(features).unwrap();
    let distance = frechet_distance(&statistics(&a), &statistics(&b)).unwrap();
    assert_close(distance, 1.2953762817335814, 1e-9);
}

#[test]
fn inception_scores_agree() {
    let score = inception_score(&both().0, InceptionScoreOptions::default()).unwrap();
    assert_close(score.mean, 1.3962179641413432, 1e-9);
    assert_close(score.std, 0.09145652248909221, 1e-9);
}

#[test]
fn kernel_distances_agree() {
    let (a, b) = both();
    let options = KidOptions::new().with_subset_size(20);
    let distance = kernel_inception_distance(&a, &b, options).unwrap();
    assert_close(distance.mean, 2.9746589091325277, 1e-9);
    assert_close(distance.std, 10.14244132024499, 1e-9);
}

#[test]
fn precision_and_recall_agree() {
    let (a, b) = both();
    let found = precision_recall(&a, &b, 3).unwrap();
    // Theirs are means in single precision.
    assert_close(found.precision, 0.949999988079071, 1e-6);
    assert_close(found.recall, 0.949999988079071, 1e-6);
    assert_close(found.f_score, 0.949999988079071, 1e-6);
}
