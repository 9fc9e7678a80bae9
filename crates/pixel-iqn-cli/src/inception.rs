//! The Inception v3 of FID, whose features the scores of image sets compare.

use std::path::Path;

use pixel_iqn::data::say;
use pixel_iqn_eval::{InceptionV3, InceptionWeights};

/// The names under which the weights are published.
#[cfg(feature = "download")]
const PUBLISHED: [&str; 2] = [
    "pt_inception-2015-12-05-6726825d.pth",
    "weights-inception-2015-12-05-6726825d.pth",
];

/// Opens the network on a device: on the CPU it runs on kernels of its own, elsewhere on Burn. A
/// missing file of a published name is downloaded first.
pub fn open(path: &Path, device: &str) -> anyhow::Result<InceptionV3> {
    #[cfg(feature = "download")]
    if !path.exists() && PUBLISHED.iter().any(|name| path.ends_with(name)) {
        say!("no {}: downloading it", path.display());
        InceptionWeights::download(path)?;
    }
    let weights = InceptionWeights::open(path)?;
    Ok(match device {
        "cpu" => InceptionV3::on_cpu(&weights),
        name => InceptionV3::on_device(&weights, &pixel_iqn::device(name)?),
    })
}
