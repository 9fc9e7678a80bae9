use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use burn::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};
use burn::tensor::Device;

use crate::TOKEN;

/// Lets other programs compute on a device of this machine.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<TokenAuthorizer>,
}

impl Server {
    /// Takes the port of `HOST:PORT`; port 0 takes a free one. Whoever connects must present the
    /// token.
    ///
    /// # Errors
    ///
    /// [`ServeError::NoToken`] where there is no token, or an empty one, and the address can be
    /// reached from other machines, and [`ServeError::Listen`] where the address cannot be listened
    /// on.
    pub fn bind(address: &str, token: Option<&str>) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen {
            address: address.to_owned(),
            source,
        };
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
        let token = token.and_then(|token| TokenAuthorizer::new(token).ok());
        if token.is_none() && addresses.iter().any(|address| !address.ip().is_loopback()) {
            return Err(ServeError::NoToken(address.to_owned()));
        }
        let listener = TcpListener::bind(&addresses[..]).map_err(failed)?;
        Ok(Self {
            address: listener.local_addr().map_err(failed)?,
            listener,
            token,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `device` until the process gets SIGINT or SIGTERM.
    ///
    /// # Errors
    ///
    /// [`ServeError::Broken`] where Burn's server ends.
    pub fn serve(self, device: Device) -> Result<(), ServeError> {
        let server = RemoteServer::new([device]);
        let server = match self.token {
            Some(token) => server.with_authorizer(token),
            None => server,
        };
        let transport = WebSocketTransport::from_listener(self.listener);
        let served = server.serve(transport);
        served.map_err(|error| ServeError::Broken(error.to_string()))
    }
}

/// Why a device cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// There is no token, and other machines could connect.
    #[error(
        "{0} can be reached from other machines, and there is no token: set {TOKEN} to a long random \
         text, here and where the training runs, or listen on 127.0.0.1"
    )]
    NoToken(String),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: give HOST:PORT, an address of this machine and a free port"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server of Burn ended.
    #[error("the server ended: {0}")]
    Broken(String),
}
