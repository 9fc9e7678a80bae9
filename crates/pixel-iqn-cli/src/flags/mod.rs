//! Flags that several commands share, and the types of their values.

mod data;
mod device;
mod model;
mod order;
mod out;
mod shard;
mod show;
mod size;
mod tau_range;

pub use data::{DataFlags, images_of, open};
pub use device::DeviceFlags;
pub use model::{ModelFlags, warn_without_label_dropout};
pub use order::parse_order;
pub use out::{claim, keep_inputs, keep_run};
pub use pixel_iqn::terminal::number;
pub use shard::Shard;
pub use show::ShowFlag;
pub use size::ImageSize;
pub use tau_range::TauRange;
