use pixel_iqn::DEFAULT_DEVICE;

/// Flags that say where to compute.
#[derive(clap::Args, Debug)]
pub struct DeviceFlags {
    /// Device: cpu, ndarray, wgpu, vulkan, cuda, or with the index of a GPU, cuda:1
    #[arg(long, value_name = "NAME", default_value = DEFAULT_DEVICE)]
    pub device: String,
}
