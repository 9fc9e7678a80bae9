use std::path::{Path, PathBuf};

use anyhow::ensure;
use pixel_iqn::data::{ImageDataset, say, tell};
use pixel_iqn_eval::{
    FeatureOrigin, FeatureSet, ImageSetEvaluation, ImageSetOptions, InceptionScoreOptions,
    InceptionV3, KeptFeatures, KidOptions, LeftOut, Preprocessing, ScoreWarning,
    SlicedWassersteinOptions, extract, image_set_scores, sliced_wasserstein,
};
use serde_json::{Map, Value, json};

use super::found::Found;
use super::image_source::ImageSource;
use super::job::Job;
use crate::{flags, inception};

/// Flags on the sets of images to compare.
#[derive(clap::Args, Debug)]
pub struct ImageSetFlags {
    /// Generated images: a folder, an npz file with uint8 images [N, H, W, C] as arr_0, an npy file of
    /// them, a zip file of images, or a data set, as cifar10:DIR for its training images and
    /// cifar10:DIR:held-out for the others
    #[arg(long, value_name = "PATH")]
    pub generated: Option<ImageSource>,
    /// Real images, in the same forms; or an npz file of statistics with mu and sigma
    #[arg(long, value_name = "PATH", requires = "generated")]
    real: Option<ImageSource>,
    /// Height and width to which the images of folders and zip files are cut and scaled [default: they
    /// must be of one size, and stay as they are]
    #[arg(
        long,
        value_name = "PIXELS",
        conflicts_with_all = ["runs", "models"], value_parser = flags::number::count)]
    size: Option<usize>,
    /// Images of each set for the sliced Wasserstein distance, drawn at random; 0 leaves it out
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1000,
        conflicts_with_all = ["runs", "models"], value_parser = flags::number::from_zero)]
    swd_images: usize,
    /// Inception v3 of FID: pt_inception-2015-12-05-6726825d.pth, which is downloaded (96 MB) if it
    /// is not there, or safetensors
    #[arg(long, value_name = "FILE", requires = "generated")]
    weights: Option<PathBuf>,
    /// Resize and scale images as pytorch-fid does, not as torch-fidelity
    #[arg(
        long,
        requires = "weights",
        conflicts_with_all = ["runs", "models"]
    )]
    pytorch_fid: bool,
    /// Splits of the generated images whose Inception scores are averaged
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 10,
        conflicts_with_all = ["runs", "models"], value_parser = flags::number::count)]
    splits: usize,
    /// Images in a subset of KID
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1000,
        conflicts_with_all = ["runs", "models"], value_parser = flags::number::two_or_more)]
    kid_subset_size: usize,
    /// Write the statistics of the generated images, as pytorch-fid does
    #[arg(
        long,
        value_name = "FILE.npz",
        requires = "weights",
        conflicts_with_all = ["runs", "models"]
    )]
    pub save_statistics: Option<PathBuf>,
}

/// What the generated images are compared with.
enum Real {
    Images(ImageDataset),
    Statistics(Box<FeatureSet>),
    Nothing,
}

impl ImageSetFlags {
    /// The paths that are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let sources = [&self.generated, &self.real].into_iter().flatten();
        sources
            .map(ImageSource::path)
            .chain(self.weights.as_deref())
    }

    /// Compares the sets, and returns the scores by their names.
    pub fn evaluate(&self, job: &Job<'_>, generated: &ImageSource) -> anyhow::Result<Found> {
        ensure!(
            self.weights.is_some() || self.swd_images > 0,
            "there is nothing to compute: --swd-images 0 leaves the sliced Wasserstein distance out, and \
             the other scores need --weights"
        );
        // Before anything is computed that its failure would lose.
        let weights = self.weights.as_deref();
        let network = weights
            .map(|path| inception::open(path, job.device))
            .transpose()?
            .map(|network| self.with_resizing(network));
        let real = self.open_real()?;
        let mut generated = generated.images(self.size)?;
        ensure!(
            self.save_statistics.is_none() || generated.len() > 1,
            "--save-statistics needs two generated images or more for a covariance"
        );
        let real = match real {
            Real::Images(real) => {
                let (first, second) = of_one_kind(generated, real)?;
                generated = first;
                Real::Images(second)
            }
            other => other,
        };
        let made = self.made(job, &generated, &real, network.as_ref());
        let mut scores = Map::new();
        let (mut left_out, mut warnings) = (Vec::new(), Vec::new());
        if let (Real::Images(real), 1..) = (&real, self.swd_images)
            && let Err(error) = self.sliced_wasserstein(job, &generated, real, &mut scores)
        {
            // The scores over features do not need it, and none is computed after an interrupt.
            let goes_on = self.weights.is_some() && !job.terminal.interrupted();
            ensure!(goes_on, error);
            left_out.push(LeftOut::new(
                "sliced Wasserstein distance",
                error.to_string(),
            ));
        }
        if let Some(network) = network {
            let found = self.inception_scores(job, network, &generated, real, &mut left_out)?;
            left_out.extend(found.left_out);
            if let Value::Object(found) = serde_json::to_value(found.scores)? {
                scores.extend(found);
            }
            warnings = found.warnings;
        }
        let text = lines(&scores, &left_out, &warnings);
        if !left_out.is_empty() {
            scores.insert("left_out".to_owned(), serde_json::to_value(left_out)?);
        }
        if !warnings.is_empty() {
            scores.insert("warnings".to_owned(), serde_json::to_value(warnings)?);
        }
        scores.insert("made_from".to_owned(), made);
        Ok(Found {
            json: scores.into(),
            text,
        })
    }

    /// What the figures were made from, for the file: without it nobody can make them again.
    fn made(
        &self,
        job: &Job<'_>,
        generated: &ImageDataset,
        real: &Real,
        network: Option<&InceptionV3>,
    ) -> Value {
        let [channels, height, width] = generated.shape();
        let real_images = match real {
            Real::Images(real) => Some(real.len()),
            Real::Statistics(set) => set.statistics.count(),
            Real::Nothing => None,
        };
        let mut made = json!({
            "generated_images": generated.len(),
            "real_images": real_images,
            "channels": channels,
            "height": height,
            "width": width,
            "seed": job.seed,
        });
        if let Real::Images(real) = real {
            let [_, height, width] = real.shape();
            made["real_height"] = json!(height);
            made["real_width"] = json!(width);
            made["sliced_wasserstein_images"] = json!(self.distance_images(generated, real));
        }
        if let Some(network) = network {
            made["features"] = json!(network.origin().to_string());
            made["splits"] = json!(self.splits);
            made["kid_subset_size"] = json!(self.kid_subset_size);
        }
        made
    }

    /// How many images of each set the sliced Wasserstein distance is of.
    fn distance_images(&self, generated: &ImageDataset, real: &ImageDataset) -> usize {
        generated.len().min(real.len()).min(self.swd_images)
    }

    fn with_resizing(&self, network: InceptionV3) -> InceptionV3 {
        network.with_preprocessing(match self.pytorch_fid {
            true => Preprocessing::PytorchFid,
            false => Preprocessing::TorchFidelity,
        })
    }

    fn open_real(&self) -> anyhow::Result<Real> {
        let Some(real) = &self.real else {
            ensure!(
                self.weights.is_some(),
                "there is nothing to compute of --generated alone: give --real, or --weights, or both"
            );
            return Ok(Real::Nothing);
        };
        if let Some(statistics) = real.statistics()? {
            ensure!(
                self.weights.is_some(),
                "--real has statistics of features: give the --weights of the network too"
            );
            return Ok(Real::Statistics(Box::new(statistics)));
        }
        Ok(Real::Images(real.images(self.size)?))
    }

    fn sliced_wasserstein(
        &self,
        job: &Job<'_>,
        generated: &ImageDataset,
        real: &ImageDataset,
        scores: &mut Map<String, Value>,
    ) -> anyhow::Result<()> {
        let seed = job.seed;
        let count = self.distance_images(generated, real);
        tell!("sliced Wasserstein distance of {count} images of each set");
        ensure!(
            generated.shape() == real.shape(),
            "the images are of {:?} and {:?} (channels, height, width), and only images of one size can \
             be compared: --size scales those of folders and zip files",
            generated.shape(),
            real.shape()
        );
        let [generated, real] = [generated, real].map(|set| set.draw_copy(count, seed));
        let (generated, real) = (generated?, real?);
        let options = SlicedWassersteinOptions::new().with_seed(seed);
        let bar = job.terminal.bar("sliced Wasserstein distance");
        for level in sliced_wasserstein(&generated, &real, options, &bar)? {
            let name = format!("sliced_wasserstein_{}", level.height);
            scores.insert(name, json!(level.distance));
        }
        Ok(())
    }

    /// The scores over the features of Inception v3.
    fn inception_scores(
        &self,
        job: &Job<'_>,
        network: InceptionV3,
        generated: &ImageDataset,
        real: Real,
        left_out: &mut Vec<LeftOut>,
    ) -> anyhow::Result<ImageSetEvaluation> {
        if let Real::Statistics(statistics) = &real
            && let Some(origin) = &statistics.origin
        {
            // Before features are computed.
            check_origin(&network.origin(), origin)?;
        }
        let real_images = match &real {
            Real::Images(real) => Some(real.len()),
            _ => None,
        };
        let kid = KidOptions::new().with_subset_size(self.kid_subset_size);
        let isc = InceptionScoreOptions::new().with_splits(self.splits);
        let options = ImageSetOptions::new()
            .with_kid(Some(kid))
            .with_isc(Some(isc));
        let (options, of_few) = options.fitting(generated.len(), real_images);
        left_out.extend(of_few);
        if let Real::Statistics(_) = real {
            let because = "the real images are there as the mean and covariance of features alone";
            for score in ["KID", "precision and recall"] {
                left_out.push(LeftOut::new(score, because));
            }
        }
        let features = |set: &ImageDataset, keep: KeptFeatures, task: &str| {
            extract(&network, set, keep, job.batch, &job.terminal.bar(task))
        };
        // Features of each image are for the comparison with those of others.
        let keep = KeptFeatures {
            pool: matches!(real, Real::Images(_)),
            ..options.of_generated()
        };
        let generated = features(generated, keep, "generated")?;
        if let Some(path) = &self.save_statistics {
            generated.save_statistics(path)?;
            say!("wrote {}", path.display());
        }
        let real = match real {
            Real::Images(real) => Some(features(&real, options.of_real(), "real")?),
            Real::Statistics(statistics) => Some(*statistics),
            Real::Nothing => None,
        };
        Ok(image_set_scores(&generated, real.as_ref(), &options)?)
    }
}

/// Refuses statistics of features that were computed in another way than those of the generated images
/// will be.
fn check_origin(ours: &FeatureOrigin, theirs: &FeatureOrigin) -> anyhow::Result<()> {
    let advice = match theirs.preprocessing {
        theirs if theirs == ours.preprocessing => "give the --weights that they were made with",
        Preprocessing::PytorchFid => "give --pytorch-fid too",
        _ => "leave --pytorch-fid out",
    };
    ensure!(
        ours.is_comparable_with(theirs),
        "the statistics of --real are of {theirs}, and those of the generated images would be of {ours}, so \
         that no distance between them means anything: {advice}, or save the statistics again"
    );
    Ok(())
}

/// The scores in lines, each with what is to be known of it below.
fn lines(scores: &Map<String, Value>, left_out: &[LeftOut], warnings: &[ScoreWarning]) -> String {
    /// The last of the names that a score has in the file.
    const NAMES: [(&str, &str); 4] = [
        ("FID", "frechet_inception_distance"),
        ("Inception score", "inception_score_std"),
        ("KID", "kernel_inception_distance_std"),
        ("precision and recall", "f_score"),
    ];
    let mut lines = Vec::new();
    for (name, score) in scores {
        lines.push(format!("{name}: {score}"));
        for warning in warnings {
            if NAMES.contains(&(&*warning.score, name)) {
                lines.push(format!("  WARNING: {}: {}", warning.score, warning.because));
            }
        }
    }
    for LeftOut { score, because, .. } in left_out {
        lines.push(format!("no {score}: {because}"));
    }
    lines.join("\n")
}

/// Makes two sets of one number of channels, where one of them is grey: a set of colour images that have
/// no colour becomes grey, and a grey set beside one with colours becomes one of colour images.
fn of_one_kind(
    first: ImageDataset,
    second: ImageDataset,
) -> anyhow::Result<(ImageDataset, ImageDataset)> {
    let channels = [&first, &second].map(|set| set.shape()[0]);
    Ok(match channels {
        [1, 3] if second.is_grey() => (first, second.into_grey()?),
        [3, 1] if first.is_grey() => (first.into_grey()?, second),
        [1, 3] => (first.into_colour()?, second),
        [3, 1] => (first, second.into_colour()?),
        _ => (first, second),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_images_are_compared_with_those_that_have_no_colour() {
        let set =
            |levels: &[u8], channels| ImageDataset::new(levels.to_vec(), [channels, 1, 2]).unwrap();
        let grey = set(&[1, 2, 3, 4], 1);
        let same = set(&[1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4], 3);
        let both = (grey.clone(), grey.clone());
        assert_eq!(of_one_kind(grey.clone(), same.clone()).unwrap(), both);
        assert_eq!(of_one_kind(same.clone(), grey.clone()).unwrap(), both);
        let colour = set(&[1, 2, 1, 2, 1, 9], 3);
        let (first, second) = of_one_kind(colour.clone(), grey).unwrap();
        assert_eq!((first, second), (colour, same));
    }

    #[test]
    fn what_is_to_be_known_stands_below_the_figure() {
        let mut scores = Map::new();
        scores.insert("frechet_inception_distance".into(), json!(1.5));
        scores.insert("precision".into(), json!(1.0));
        let warnings = [ScoreWarning::new("FID", "of 12 images")];
        let left_out = [LeftOut::new("KID", "of few")];
        assert_eq!(
            lines(&scores, &left_out, &warnings),
            "frechet_inception_distance: 1.5\n  WARNING: FID: of 12 images\nprecision: 1.0\nno KID: of few"
        );
    }

    #[test]
    fn statistics_of_another_resizing_or_network_are_refused() {
        let origin = FeatureOrigin::new;
        let (ours, theirs) = (Preprocessing::TorchFidelity, Preprocessing::PytorchFid);
        assert!(check_origin(&origin(ours, "a"), &origin(ours, "a")).is_ok());
        for (a, b, advice) in [
            (origin(ours, "a"), origin(theirs, "a"), "give --pytorch-fid"),
            (
                origin(theirs, "a"),
                origin(ours, "a"),
                "leave --pytorch-fid out",
            ),
            (origin(ours, "a"), origin(ours, "b"), "--weights"),
        ] {
            let error = check_origin(&a, &b).unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
    }
}
