use core::time::Duration;
use std::path::Path;

use anyhow::{Context, ensure};
use pixel_iqn::data::tell;
use pixel_iqn::train::{ConfigFile, ResumeFrom};
use pixel_iqn::{
    DatasetKind, Order, Run, RunConfig, RunOverrides, Training, TrainingImages, expect_weights,
    train_on,
};

use super::TrainCommand;
use crate::flags;

impl TrainCommand {
    /// A new training, or one that goes on.
    pub(super) fn training(&self) -> anyhow::Result<Training> {
        let mut training = match &self.resume {
            Some(folder) => self.resumed(folder)?,
            None => {
                // Clap lets it pass beside flags that exclude --resume.
                ensure!(
                    self.resume_step.is_none(),
                    "--resume-step goes with --resume"
                );
                self.begun()?
            }
        };
        for setting in &self.settings {
            training = training.set(setting);
        }
        let training = training
            .device(&self.device)
            .trust_device(self.trust_device)
            .remote_timeout(Duration::from_secs(self.remote_timeout));
        Ok(training.overrides(self.overrides()))
    }

    /// Checks the numbers of all flags, before images are looked for.
    pub(super) fn check_numbers(&self) -> anyhow::Result<()> {
        if self.resume.is_some() {
            return Ok(());
        }
        Ok(RunConfig::check_changes(
            &self.config_file()?,
            &self.overrides(),
            &self.settings,
        )?)
    }

    fn resumed(&self, folder: &Path) -> anyhow::Result<Training> {
        let run = Run::open(folder)?;
        let steps = run.config().train.steps;
        ensure!(
            self.steps.is_none(),
            "a run that is resumed keeps its config, which has {steps} steps: for more of them begin a new \
             run from its weights, with `pixel-iqn train --init {} --steps STEPS`",
            folder.display()
        );
        let images = flags::images_of(&run, self.data.data.as_deref())?;
        let from = self.resume_step.map_or(ResumeFrom::Last, ResumeFrom::Step);
        Ok(run.resume(images).from_checkpoint(from))
    }

    fn begun(&self) -> anyhow::Result<Training> {
        // Before a data set is read or downloaded.
        if let Some(init) = &self.init {
            expect_weights(init).context("--init")?;
        }
        let file = self.config_file()?;
        let training = train_on(self.images(&file)?)
            .config_file(file)
            .class_conditional(self.class_conditional);
        let training = match &self.init {
            Some(weights) => training.begin_from(weights),
            None => training,
        };
        Ok(match &self.run {
            Some(folder) => training.run_dir(folder),
            None => training,
        })
    }

    fn config_file(&self) -> anyhow::Result<ConfigFile> {
        Ok(match &self.config {
            Some(path) => ConfigFile::open(path)?,
            None => ConfigFile::default(),
        })
    }

    /// The images of the flags, or of the config file where they do not say.
    fn images(&self, file: &ConfigFile) -> anyhow::Result<TrainingImages> {
        let kind: Option<DatasetKind> = match (self.data.dataset, file.dataset()) {
            (None, Some(name)) => Some(name.parse()?),
            (kind, _) => kind,
        };
        let folder = self.data.data.as_deref().or(file.data_path());
        let folder = folder.unwrap_or(self.data.folder());
        let mut options = self.data.options();
        if let (None, Some([height, width])) = (options.size, file.size())
            && height == width
        {
            options = options.with_size(height);
        }
        match kind {
            Some(kind) => flags::open(kind, folder, &options),
            None => {
                let notice = |line: &str| tell!("{line}");
                Ok(TrainingImages::open_default(folder, &options, notice)?)
            }
        }
    }

    fn overrides(&self) -> RunOverrides {
        RunOverrides::new()
            .with_preset(self.preset.clone())
            .with_output(self.output.map(|kind| kind.name.to_owned()))
            .with_steps(self.steps)
            .with_batch(self.batch)
            .with_learning_rate(self.learning_rate)
            .with_seed(self.seed)
            .with_orders(self.all_orders.then_some(Order::COUNT))
            .with_skip_bad_steps(self.skip_bad_steps.then_some(true))
            .with_checkpoint_steps(self.checkpoint_steps)
            .with_eval_images(self.eval_images)
            .with_samples(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::train::tests::parse;

    #[test]
    fn flags_win_over_the_file_and_settings_over_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let text = "[data]\ndataset = \"builtin\"\n[model]\npreset = \"tiny\"\noutput = \"head\"\n\
                    [train]\nsteps = 11\nbatch = 12\nseed = 13\n[report]\nsamples = 14\n";
        fs::write(&file, text).unwrap();
        let base = ["--config", file.to_str().unwrap(), "--size", "8"];
        let config = |flags: &[&str]| {
            let flags = [&base[..], flags].concat();
            parse(&flags).unwrap().training().unwrap().config().unwrap()
        };
        let of_file = config(&[]);
        assert_eq!(of_file.data.dataset, "builtin");
        assert_eq!(of_file.model.output.kind(), "head");
        let train = &of_file.train;
        assert_eq!((train.steps, train.batch, train.seed), (11, 12, 13));

        let flags = [
            "--output",
            "categorical",
            "--steps",
            "21",
            "--batch",
            "22",
            "--samples",
            "24",
            "--learning-rate",
            "1e-30",
            "--skip-bad-steps",
            "--set",
            "train.batch=32",
            "--set",
            "seed=33",
        ];
        let changed = config(&flags);
        assert_eq!(changed.model.output.kind(), "categorical");
        assert_eq!(changed.model.features, of_file.model.features);
        let train = &changed.train;
        assert_eq!((train.steps, train.batch, train.seed), (21, 32, 33));
        assert_eq!((train.learning_rate, train.skip_bad_steps), (1e-30, true));
        assert_eq!(changed.report.samples, 24);
    }
}
