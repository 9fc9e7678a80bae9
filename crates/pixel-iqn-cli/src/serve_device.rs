use pixel_iqn::data::say;
use pixel_iqn::serve_device;

use crate::flags::DeviceFlags;
use crate::outcome::Outcome;

/// Let trainings on other machines compute on a device of this one
///
/// A training takes it as a further device: `pixel-iqn train --device cpu,remote:HOST:PORT`. Both
/// programs need the crate feature `remote` and, for addresses that other machines reach, the same token
/// in the environment variable PIXEL_IQN_TOKEN. Nothing is encrypted: use a private network or a
/// tunnel. Ctrl-C ends it.
#[derive(clap::Args, Debug)]
pub struct ServeDeviceCommand {
    #[command(flatten)]
    device: DeviceFlags,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7447")]
    listen: String,
}

impl ServeDeviceCommand {
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let device = &self.device.device;
        serve_device(device, &self.listen, |address| {
            say!("serving {device} on {address}: Ctrl-C ends it");
        })?;
        Ok(Outcome::Complete)
    }
}
