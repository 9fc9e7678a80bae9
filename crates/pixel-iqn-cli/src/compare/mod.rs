mod command;
mod comparison;
mod evaluated;
mod files;
mod pictures;
mod report;
mod table;

use std::fs;

use pixel_iqn::DatasetKind;
use pixel_iqn::terminal::Terminal;

use crate::flags;
use crate::outcome::Outcome;
pub use command::CompareCommand;
use comparison::Comparison;
use files::ReportFiles;

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
        let files = ReportFiles::claim(&self.out, &self.models)?;
        let compared = self.compare_into(&files, terminal);
        drop(files);
        if compared.is_err() {
            // Where nothing came of it, the folder that it made goes, too; one with a file in it stays.
            fs::remove_dir(&self.out).ok();
        }
        compared
    }

    fn compare_into(&self, files: &ReportFiles, terminal: &Terminal) -> anyhow::Result<()> {
        let kind = self.data.dataset.unwrap_or(DatasetKind::Cifar10);
        let images = flags::open(kind, self.data.folder(), &self.data.options())?;
        self.check_counts(images.held_out.len())?;
        self.check_memory(&images)?;
        let comparison = Comparison::new(self, terminal, images)?;
        let mut all = Vec::new();
        for seed in 0..self.seeds {
            for kind in &self.models {
                all.push(comparison.train_and_evaluate(kind, seed)?);
            }
        }
        let place = |kind| self.models.iter().position(|model| *model == kind);
        all.sort_by_key(|evaluated| (place(evaluated.kind), evaluated.seed));
        report::write(&comparison, &all, files)
    }
}
