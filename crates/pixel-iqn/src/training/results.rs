use burn::tensor::Device;
use pixel_iqn_core::AnyModel;
use pixel_iqn_data::Mask;
use pixel_iqn_score::{ConditionalOptions, MarginalForecaster, conditional_scores};
use pixel_iqn_train::QUANTILE_LEVELS;

use super::Training;
use crate::{Error, Run, TrainingImages};

impl Training {
    /// Scores the averaged weights, and draws.
    pub(super) fn finish(
        &self,
        run: &mut Run,
        network: AnyModel,
        images: &TrainingImages,
        device: &Device,
    ) -> Result<(), Error> {
        let config = &run.config;
        let held_out = &images.held_out;
        let options = ConditionalOptions::new(config.report.eval_images.min(held_out.len()))
            .with_batch(config.train.batch)
            .with_quantile_levels(QUANTILE_LEVELS)
            .with_seed(config.train.seed);
        let marginal = MarginalForecaster::of(&images.train);
        let progress = self.watcher.progress("scoring");
        let scores =
            conditional_scores(&network, held_out, &marginal, &options, device, &*progress)?;
        drop(progress);
        run.dir.save_json("scores.json", &scores)?;
        run.scores = Some(scores);

        let model = run.model_of(network, device.clone());
        let seed = config.train.seed;
        let progress = self.watcher.progress("sampling");
        let samples = model.sample(config.report.samples).seed(seed);
        let samples = samples.progress(&*progress).run()?;
        drop(progress);
        samples.save_grid(run.dir.file("samples.png"))?;

        let (rows, completions) = match config.report.samples {
            16.. => (6, 4),
            _ => (1, 1),
        };
        let broken = held_out.as_ref().clone().take(rows.min(held_out.len()))?;
        let mask = Mask::lower_half(config.data.size);
        let progress = self.watcher.progress("inpainting");
        let inpainting = model.inpaint(&broken, &mask).completions(completions);
        let inpainting = inpainting.seed(seed).originals(true);
        let completed = inpainting.progress(&*progress).run()?;
        drop(progress);
        completed.save_grid(run.dir.file("inpainting.png"))?;
        Ok(())
    }
}
