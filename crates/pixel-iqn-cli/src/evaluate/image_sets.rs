use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use pixel_iqn::data::ImageDataset;
use pixel_iqn_eval::{
    FeatureSet, GaussianStatistics, ImageSetOptions, ImageSetScores, KeptFeatures, KidOptions,
    Preprocessing, SlicedWassersteinOptions, extract, image_set_scores, sliced_wasserstein,
};
use serde_json::{Map, Value, json};

use super::image_source::ImageSource;
use super::job::Job;
use crate::inception;

/// Flags on the sets of images to compare.
#[derive(clap::Args, Debug)]
pub struct ImageSetFlags {
    /// Generated images: a folder, an npz file with uint8 images [N, H, W, C] as arr_0, or a data
    /// set, as cifar10:DIR for its training images and cifar10:DIR:held-out for the others
    #[arg(long, value_name = "PATH", help_heading = "Sets of images")]
    pub generated: Option<ImageSource>,
    /// Real images, in the same forms; or an npz file of statistics with mu and sigma
    #[arg(
        long,
        value_name = "PATH",
        help_heading = "Sets of images",
        requires = "generated"
    )]
    real: Option<ImageSource>,
    /// Height and width to which the images of folders are cut and scaled [default: they must be of
    /// one size, and stay as they are]
    #[arg(
        long,
        value_name = "PIXELS",
        help_heading = "Sets of images",
        conflicts_with = "runs"
    )]
    size: Option<usize>,
    /// Images of each set for the sliced Wasserstein distance, drawn at random; 0 leaves it out
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1000,
        help_heading = "Sets of images",
        conflicts_with = "runs"
    )]
    swd_images: usize,
    /// Inception v3 of FID: pt_inception-2015-12-05-6726825d.pth, which is downloaded (96 MB) if it
    /// is not there, or safetensors
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Sets of images",
        requires = "generated"
    )]
    weights: Option<PathBuf>,
    /// Resize and scale images as pytorch-fid does, not as torch-fidelity
    #[arg(
        long,
        help_heading = "Sets of images",
        requires = "weights",
        conflicts_with = "runs"
    )]
    pytorch_fid: bool,
    /// Images in a subset of KID
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1000,
        help_heading = "Sets of images",
        conflicts_with = "runs"
    )]
    kid_subset_size: usize,
    /// Write the statistics of the generated images, as pytorch-fid does
    #[arg(
        long,
        value_name = "FILE.npz",
        help_heading = "Sets of images",
        requires = "weights",
        conflicts_with = "runs"
    )]
    pub save_statistics: Option<PathBuf>,
}

/// What the generated images are compared with.
enum Real {
    Images(ImageDataset),
    Statistics(GaussianStatistics),
    Nothing,
}

impl ImageSetFlags {
    /// Compares the sets, and prints and returns the scores by their names.
    pub fn evaluate(&self, job: &Job<'_>, generated: &ImageSource) -> anyhow::Result<Value> {
        let real = self.open_real()?;
        let generated = generated.images(self.size)?;
        let mut scores = Map::new();
        if let (Real::Images(real), 1..) = (&real, self.swd_images) {
            self.sliced_wasserstein(&generated, real, job.seed, &mut scores)?;
        }
        if let Some(weights) = &self.weights {
            let found = self.inception_scores(job, weights, &generated, real)?;
            if let Value::Object(found) = serde_json::to_value(found)? {
                scores.extend(found);
            }
        }
        for (name, score) in &scores {
            writeln!(std::io::stdout(), "{name}: {score}")?;
        }
        Ok(scores.into())
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
            return Ok(Real::Statistics(statistics));
        }
        Ok(Real::Images(real.images(self.size)?))
    }

    fn sliced_wasserstein(
        &self,
        generated: &ImageDataset,
        real: &ImageDataset,
        seed: u64,
        scores: &mut Map<String, Value>,
    ) -> anyhow::Result<()> {
        let count = generated.len().min(real.len()).min(self.swd_images);
        eprintln!("sliced Wasserstein distance of {count} images of each set");
        if generated.shape() != real.shape() {
            ensure!(
                self.weights.is_some(),
                "the images are of {:?} and {:?} (channels, height, width), and without --weights \
                 only images of one size can be compared: --size scales those of folders",
                generated.shape(),
                real.shape()
            );
            eprintln!("the images differ in size: no sliced Wasserstein distance");
            return Ok(());
        }
        let draw = |set: &ImageDataset| set.clone().draw(count, seed);
        let (generated, real) = (draw(generated)?, draw(real)?);
        let options = SlicedWassersteinOptions::new().with_seed(seed);
        for level in sliced_wasserstein(&generated, &real, options)? {
            let name = format!("sliced_wasserstein_{}", level.height);
            scores.insert(name, json!(level.distance));
        }
        Ok(())
    }

    /// The scores over the features of Inception v3.
    fn inception_scores(
        &self,
        job: &Job<'_>,
        weights: &Path,
        generated: &ImageDataset,
        real: Real,
    ) -> anyhow::Result<ImageSetScores> {
        let preprocessing = match self.pytorch_fid {
            true => Preprocessing::PytorchFid,
            false => Preprocessing::TorchFidelity,
        };
        let network = inception::open(weights, job.device)?.with_preprocessing(preprocessing);
        let fewest = match &real {
            Real::Images(real) => real.len().min(generated.len()),
            _ => generated.len(),
        };
        let options = ImageSetOptions::new().with_kid(self.kid(fewest));
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
            generated.statistics.save(path)?;
            println!("wrote {}", path.display());
        }
        let real = match real {
            Real::Images(real) => Some(features(&real, options.of_real(), "real")?),
            Real::Statistics(statistics) => Some(FeatureSet {
                statistics,
                pool: None,
                logits: None,
            }),
            Real::Nothing => None,
        };
        Ok(image_set_scores(&generated, real.as_ref(), &options)?)
    }

    /// The options of KID; none, with a warning before the long work, where its subsets are too large.
    fn kid(&self, fewest: usize) -> Option<KidOptions> {
        let subset_size = self.kid_subset_size;
        if fewest < subset_size {
            eprintln!(
                "WARNING: no KID: its subsets of {subset_size} are larger than a set of {fewest} \
                 images; --kid-subset-size makes them smaller"
            );
            return None;
        }
        Some(KidOptions::new().with_subset_size(subset_size))
    }
}
