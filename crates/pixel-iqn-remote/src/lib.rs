//! Devices of other machines for [pixel-iqn](https://docs.rs/pixel-iqn), over the remote backend of
//! Burn: a [`Server`] lets others compute on a device of this machine, and [`connect`] reaches one.
//!
//! ```
//! use std::time::Duration;
//!
//! use burn::tensor::{Device, Tensor};
//! use pixel_iqn_remote::{Server, connect};
//!
//! let server = Server::bind("localhost:0", None)?;
//! let address = server.address().to_string();
//! std::thread::spawn(move || server.serve(Device::flex()));
//!
//! let device = connect(&address, None, Duration::from_secs(30))?;
//! let sum = Tensor::<1>::from_data([1.0, 2.0], &device).sum();
//! assert_eq!(sum.into_scalar::<f32>(), 3.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing is encrypted, and a server computes what it is told to: a token keeps strangers of a private
//! network away, and a tunnel is the way through any other network.

mod connect;
mod meter;
mod server;

pub use connect::{ConnectError, connect};
pub use meter::{Meter, Traffic};
pub use server::{ServeError, Server};

/// The environment variable that programs take the token from.
pub const TOKEN: &str = "PIXEL_IQN_TOKEN";
