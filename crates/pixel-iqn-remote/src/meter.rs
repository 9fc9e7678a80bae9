use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Counts what a program sends to a [`Server`](crate::Server) and gets from it: connect to the address
/// of the meter in place of the server's.
///
/// All that a program moves to such a device goes through here, also what Burn moves on its own, as for
/// constants that it builds on the host. So it counts the uploads that the same program makes to any
/// device, a GPU included.
#[derive(Debug)]
pub struct Meter {
    address: SocketAddr,
    traffic: Arc<Mutex<Traffic>>,
}

/// What went through a [`Meter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// The tensors that were uploaded.
    pub uploads: u64,
    /// All bytes to the server: tensors, operations and what frames them.
    pub sent: u64,
    /// All bytes from the server.
    pub received: u64,
}

/// Takes the place of [`io::copy`], with every piece shown to `seen`.
fn copy(mut from: TcpStream, mut to: TcpStream, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        // Counted first, so that what was answered was counted.
        seen(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}

impl Meter {
    /// Listens on a free port of the loopback, in front of a server.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let traffic = Arc::new(Mutex::new(Traffic::default()));
        let counted = traffic.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client of a server that is gone is told by a closed connection.
                let _ = pass(client, server, &counted);
            }
        });
        Ok(Self { address, traffic })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went through since the last call.
    pub fn take(&self) -> Traffic {
        core::mem::take(&mut *lock(&self.traffic))
    }
}

fn lock(traffic: &Mutex<Traffic>) -> std::sync::MutexGuard<'_, Traffic> {
    traffic
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Passes the bytes of a connection on in both directions, in two threads.
fn pass(client: TcpStream, server: SocketAddr, traffic: &Arc<Mutex<Traffic>>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (client_again, server_again) = (client.try_clone()?, server.try_clone()?);
    let (up, down) = (traffic.clone(), traffic.clone());
    let mut messages = Messages::default();
    thread::spawn(move || {
        copy(client, server, |bytes| {
            let uploads = messages.uploads(bytes);
            let mut up = lock(&up);
            up.sent += bytes.len() as u64;
            up.uploads += uploads;
        })
    });
    thread::spawn(move || {
        copy(server_again, client_again, |bytes| {
            lock(&down).received += bytes.len() as u64;
        })
    });
    Ok(())
}

/// What a message that uploads a tensor has in it: the name of its kind as MessagePack writes a text of
/// 14 bytes, and the list of three that follows.
const UPLOAD: &[u8] = b"\xaeRegisterTensor\x93";

/// Follows the frames of a WebSocket (RFC 6455, section 5.2), whose payload a client masks.
#[derive(Debug, Default)]
struct Messages {
    /// Whether the answer to the request of HTTP was waited for, after which the frames begin.
    begun: bool,
    /// The bytes of a head that is not whole yet.
    head: Vec<u8>,
    /// The bytes of the payload that are to come, and how many came.
    left: u64,
    done: usize,
    mask: [u8; 4],
    /// How much of [`UPLOAD`] the last bytes are.
    matched: usize,
}

impl Messages {
    /// The messages among these bytes that upload a tensor.
    fn uploads(&mut self, bytes: &[u8]) -> u64 {
        let mut uploads = 0;
        for &byte in bytes {
            if self.left > 0 {
                let byte = byte ^ self.mask[self.done % 4];
                self.done += 1;
                self.left -= 1;
                uploads += u64::from(self.is_last_of_upload(byte));
                continue;
            }
            self.head.push(byte);
            if !self.begun {
                if self.head.ends_with(b"\r\n\r\n") {
                    self.begun = true;
                    self.head.clear();
                }
            } else if let Some((length, mask)) = head(&self.head) {
                (self.left, self.mask, self.done) = (length, mask, 0);
                self.head.clear();
            }
        }
        uploads
    }

    fn is_last_of_upload(&mut self, byte: u8) -> bool {
        // The first byte occurs nowhere else in it.
        self.matched = match byte {
            byte if byte == UPLOAD[self.matched] => self.matched + 1,
            byte if byte == UPLOAD[0] => 1,
            _ => 0,
        };
        let whole = self.matched == UPLOAD.len();
        if whole {
            self.matched = 0;
        }
        whole
    }
}

/// The length of the payload and the mask of a frame, once all of its head is there.
fn head(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let [_, second, rest @ ..] = bytes else {
        return None;
    };
    let width = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let masked = second & 0x80 != 0;
    let length = rest.get(..width)?;
    let mask = rest.get(width..width + 4 * usize::from(masked))?;
    let length = match width {
        0 => u64::from(second & 0x7f),
        _ => length
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    let mut key = [0; 4];
    key[..mask.len()].copy_from_slice(mask);
    Some((length, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it.
    fn frame(payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 250];
        let mut bytes = vec![0x82];
        match payload.len() {
            0..126 => bytes.push(0x80 | payload.len() as u8),
            _ => {
                bytes.push(0x80 | 126);
                bytes.extend((payload.len() as u16).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
        bytes
    }

    #[test]
    fn uploads_are_counted_however_the_bytes_are_cut() {
        let mut payload = vec![7; 300];
        payload.extend(UPLOAD);
        payload.extend(b"\xaeRegisterTensorRemote\x93");
        payload.extend(UPLOAD);
        let stream = [
            b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            frame(&payload),
            frame(b""),
            frame(UPLOAD),
        ]
        .concat();
        for size in [1, 2, 7, 64, stream.len()] {
            let mut messages = Messages::default();
            let pieces = stream.chunks(size);
            let uploads: u64 = pieces.map(|piece| messages.uploads(piece)).sum();
            assert_eq!(uploads, 3, "{size}");
        }
    }
}
