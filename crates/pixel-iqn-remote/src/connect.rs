use core::time::Duration;
use std::sync::mpsc;
use std::thread;

use burn::remote::{ConnectError as Refusal, RemoteHost};
use burn::tensor::Device;

use crate::TOKEN;

/// Connects to the device of a [`Server`](crate::Server) at `HOST:PORT`. A server that does not listen
/// yet is tried again, for 16 seconds.
///
/// A device that was connected before is returned with the session that it has.
///
/// # Errors
///
/// [`ConnectError`], which names the server and says what to do.
pub fn connect(
    address: &str,
    token: Option<&str>,
    limit: Duration,
) -> Result<Device, ConnectError> {
    let port = address
        .rsplit_once(':')
        .map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(1..))) {
        return Err(ConnectError::Address(address.to_owned()));
    }
    let host = RemoteHost::websocket(&format!("ws://{address}"));
    let host = match token {
        Some(token) => host.with_credential(token),
        None => host,
    };
    let (sender, answer) = mpsc::channel();
    // Burn waits for the answer without a limit.
    thread::spawn(move || {
        let _ = sender.send(Device::remote_options(&host).init());
    });
    match answer.recv_timeout(limit) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(refusal)) => Err(ConnectError::of(address, refusal)),
        Err(_) => Err(ConnectError::Silent {
            address: address.to_owned(),
            limit,
        }),
    }
}

/// Why there is no session with a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error("`remote:{0}` is no device of another machine: write remote:HOST:PORT")]
    Address(String),
    /// The token is not that of the server.
    #[error(
        "the server at {0} refused the token: set {TOKEN} to the same text here and where \
         `serve-device` runs"
    )]
    Token(String),
    /// The server was built with another version of Burn.
    #[error(
        "the server at {address} speaks version {server} of Burn's protocol, and this program version \
         {client}: build both from the same release"
    )]
    Version {
        /// The server's address.
        address: String,
        /// The version of this program.
        client: u16,
        /// The version of the server.
        server: u16,
    },
    /// The server did not answer in time.
    #[error("the server at {address} did not answer within {} s", limit.as_secs_f64())]
    Silent {
        /// The server's address.
        address: String,
        /// The time limit.
        limit: Duration,
    },
    /// There is no session for another reason.
    #[error("cannot reach the server at {address}: {reason}")]
    Unreachable {
        /// The server's address.
        address: String,
        /// What Burn said.
        reason: String,
    },
}

impl ConnectError {
    fn of(address: &str, refusal: Refusal) -> Self {
        let address = address.to_owned();
        match refusal {
            Refusal::Unauthorized => Self::Token(address),
            Refusal::IncompatibleProtocol {
                client_version,
                server_version,
            } => Self::Version {
                address,
                client: client_version,
                server: server_version,
            },
            other => Self::Unreachable {
                address,
                reason: other.to_string(),
            },
        }
    }
}
