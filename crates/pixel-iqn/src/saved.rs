use std::path::Path;

use pixel_iqn_data::FolderContent;

/// What became of a request to [save](crate::Sampling::save_folder) samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Saved {
    /// Images that were drawn.
    pub drawn: usize,
    /// Images that were there already, by the same job.
    pub kept: usize,
    /// What else is in the folder; nothing for a file.
    pub beside: FolderContent,
}

impl Saved {
    /// Says in whole sentences what a user might not expect of a path after a request for `count`
    /// images.
    pub fn notes(&self, path: impl AsRef<Path>, count: usize) -> Vec<String> {
        let path = path.as_ref().display();
        let FolderContent {
            replaced,
            beyond,
            others,
            ..
        } = self.beside;
        let kept = format!(
            "{path}: {} images were there already, as the same job wrote them",
            self.kept
        );
        let replaced_text = format!(
            "{path}: {replaced} files were not the images that this job wrote, and were drawn again"
        );
        let beyond_text = format!(
            "{path} has {beyond} images more than the {count} that were asked for: they stay, and what \
             reads the folder reads them too"
        );
        let others_text = format!(
            "{path} has {others} files that are not of this job: what reads the folder may take them \
             for samples"
        );
        [
            (self.kept, kept),
            (replaced, replaced_text),
            (beyond, beyond_text),
            (others, others_text),
        ]
        .into_iter()
        .filter_map(|(count, text)| (count > 0).then_some(text))
        .collect()
    }
}
