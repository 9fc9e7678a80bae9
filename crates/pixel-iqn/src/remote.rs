//! Devices of other machines.

use core::time::Duration;

use burn::tensor::Device;

use crate::device::DeviceError;

/// How the name of a device of another machine begins.
const PREFIX: &str = "remote:";

/// The `HOST:PORT` of a device of another machine; `None` for the name of another device.
pub(crate) fn address_of(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)
}

/// Connects to the server of a device of another machine.
#[cfg(feature = "remote")]
pub(crate) fn connect(address: &str, limit: Duration) -> Result<Device, DeviceError> {
    if cfg!(any(feature = "wgpu-tuned", feature = "cuda-tuned")) {
        // Fusion describes a permutation of numbers as one of integers, which servers on the CPU refuse.
        return Err(DeviceError::Unavailable(
            "a program with fusion cannot compute on devices of other machines: build it without the \
             features wgpu-tuned and cuda-tuned"
                .to_owned(),
        ));
    }
    let token = std::env::var(pixel_iqn_remote::TOKEN).ok();
    let device = pixel_iqn_remote::connect(address, token.as_deref(), limit);
    device.map_err(|error| DeviceError::Unavailable(error.to_string()))
}

#[cfg(not(feature = "remote"))]
pub(crate) fn connect(_: &str, _: Duration) -> Result<Device, DeviceError> {
    Err(DeviceError::NotCompiledIn("remote", "remote"))
}

/// Lets trainings on other machines compute on the [device](crate::device()) called `name`, until the
/// process gets SIGINT or SIGTERM; `listening` is called with the address when it listens.
///
/// The token that clients must present is in the environment variable `PIXEL_IQN_TOKEN`; without one it
/// listens on the loopback alone, such as `127.0.0.1:7447`. Nothing is encrypted.
///
/// # Errors
///
/// [`DeviceError::NotCompiledIn`] without the crate feature `remote`, the errors of
/// [`device`](crate::device()), and [`DeviceError::NotServed`] where the address cannot be listened on.
#[cfg(feature = "remote")]
pub fn serve_device(
    name: &str,
    address: &str,
    listening: impl FnOnce(core::net::SocketAddr),
) -> Result<(), DeviceError> {
    let device = crate::device(name)?;
    let token = std::env::var(pixel_iqn_remote::TOKEN).ok();
    let not_served = |error: pixel_iqn_remote::ServeError| {
        DeviceError::NotServed(pixel_iqn_train::with_causes(&error))
    };
    let server = pixel_iqn_remote::Server::bind(address, token.as_deref()).map_err(not_served)?;
    #[cfg(feature = "cpu")]
    crate::keep_freed_memory();
    listening(server.address());
    server.serve(device).map_err(not_served)
}

/// Fails: this program was built without the crate feature `remote`.
///
/// # Errors
///
/// [`DeviceError::NotCompiledIn`].
#[cfg(not(feature = "remote"))]
pub fn serve_device(
    _name: &str,
    _address: &str,
    _listening: impl FnOnce(core::net::SocketAddr),
) -> Result<(), DeviceError> {
    Err(DeviceError::NotCompiledIn("remote", "remote"))
}
