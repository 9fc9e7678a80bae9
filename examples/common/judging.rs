//! Scores with what they show on the way, for the programs that judge.

use std::path::Path;

use pixel_iqn::data::ImageDataset;
use pixel_iqn::eval::{
    EvalError, FeatureSet, InceptionV3, InceptionWeights, KeptFeatures, extract,
};
use pixel_iqn::score::{ConditionalScores, Estimate, Scores};

use super::{Progress, unless_interrupted};

/// Reads one score with its interval.
pub type Part = fn(&Scores<Estimate>) -> Estimate;

/// The scores with intervals, in the order of tables.
pub const ESTIMATES: [(&str, Part); 8] = [
    ("CRPS", |s| s.crps),
    ("pinball", |s| s.pinball),
    ("bits/dim", |s| s.bits_per_dim),
    ("coverage 50%", |s| s.coverage_50),
    ("coverage 90%", |s| s.coverage_90),
    ("width 50%", |s| s.width_50),
    ("width 90%", |s| s.width_90),
    ("crossing rate", |s| s.crossing_rate),
];

/// The scores as a JSON object in which the means have their intervals.
pub fn with_intervals(scores: &ConditionalScores, seed: u64) -> anyhow::Result<serde_json::Value> {
    let mut object = serde_json::to_value(scores)?;
    if let (Some(object), serde_json::Value::Object(estimates)) = (
        object.as_object_mut(),
        serde_json::to_value(scores.estimates(seed))?,
    ) {
        object.extend(estimates);
    }
    Ok(object)
}

/// Opens the weights of Inception v3; downloads them first, where the file is missing and has the
/// name under which they are published.
fn inception(path: &Path) -> anyhow::Result<InceptionWeights> {
    #[cfg(feature = "download")]
    {
        const NAMES: [&str; 2] = [
            "pt_inception-2015-12-05-6726825d.pth",
            "weights-inception-2015-12-05-6726825d.pth",
        ];
        let published = NAMES.iter().any(|name| path.ends_with(name));
        if published && !path.exists() {
            println!("no {}: downloading it", path.display());
            InceptionWeights::download(path)?;
        }
    }
    Ok(InceptionWeights::open(path)?)
}

/// Inception v3 with the [weights](inception) of a file: on the CPU by kernels of its own, elsewhere
/// by Burn.
pub fn inception_on(path: &Path, device: &str) -> anyhow::Result<InceptionV3> {
    let weights = inception(path)?;
    Ok(match device {
        "cpu" => InceptionV3::on_cpu(&weights),
        name => InceptionV3::on_device(&weights, &pixel_iqn::device(name)?),
    })
}

/// The features of a set, with progress; none where Ctrl-C came first.
pub fn features(
    network: &InceptionV3,
    set: &ImageDataset,
    keep: KeptFeatures,
    batch: usize,
    task: &str,
) -> anyhow::Result<Option<FeatureSet>> {
    let progress = Progress::new(task, set.len());
    let extracted = extract(network, set, keep, batch, &|done: usize, _: usize| {
        progress.set(done, "images");
        unless_interrupted()
    });
    progress.finish();
    match extracted {
        Err(EvalError::Cancelled(_)) => Ok(None),
        extracted => Ok(Some(extracted?)),
    }
}
