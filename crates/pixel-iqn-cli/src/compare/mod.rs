mod command;
mod comparison;
mod evaluated;
mod pictures;
mod report;
mod table;

use pixel_iqn::DatasetKind;
use pixel_iqn::terminal::Terminal;

use crate::flags;
use crate::outcome::Outcome;
pub use command::CompareCommand;
use comparison::Comparison;

impl CompareCommand {
    pub fn run(self, terminal: &Terminal) -> anyhow::Result<Outcome> {
        let left = format!(
            "interrupted: the same command goes on with what is in {}",
            self.out.display()
        );
        Outcome::of(self.compare(terminal), left)
    }

    fn compare(&self, terminal: &Terminal) -> anyhow::Result<()> {
        // What would fail after the images are read.
        pixel_iqn::device(&self.device.device)?;
        self.check()?;
        self.check_outputs()?;
        let kind = self.data.dataset.unwrap_or(DatasetKind::Cifar10);
        let images = flags::open(kind, self.data.folder(), &self.data.options())?;
        self.check_counts(images.held_out.len())?;
        let comparison = Comparison::new(self, terminal, images)?;
        let mut all = Vec::new();
        for seed in 0..self.seeds {
            for kind in &self.models {
                all.push(comparison.train_and_evaluate(kind, seed)?);
            }
        }
        let place = |kind| self.models.iter().position(|model| *model == kind);
        all.sort_by_key(|evaluated| (place(evaluated.kind), evaluated.seed));
        report::write(&comparison, &all)
    }

    /// Fails before the work where a file of the report cannot be written after it. Several processes
    /// may share a folder, each with its own models, so that none is kept from the files.
    fn check_outputs(&self) -> anyhow::Result<()> {
        if self.out.is_dir() {
            let [curves, samples] = ["curves.png", "samples.png"].map(|name| self.out.join(name));
            let [table, scores] =
                ["comparison.md", "comparison.json"].map(|name| self.out.join(name));
            flags::claim(
                [Some(&curves), Some(&samples)],
                [Some(&table), Some(&scores)],
            )?;
        }
        Ok(())
    }
}
