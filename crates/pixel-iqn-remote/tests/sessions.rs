//! Who gets a session, and what those who do not are told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use burn::tensor::{Device, Tensor};
use pixel_iqn_remote::{ConnectError, Meter, ServeError, Server, connect};

const LIMIT: Duration = Duration::from_secs(60);

/// A server in a thread of this process.
fn serve(token: Option<&str>) -> SocketAddr {
    let server = Server::bind("127.0.0.1:0", token).unwrap();
    let address = server.address();
    thread::spawn(move || server.serve(Device::flex()));
    address
}

#[test]
fn a_server_computes_for_those_who_have_its_token() {
    let address = serve(Some("open sesame")).to_string();
    let device = connect(&address, Some("open sesame"), LIMIT).unwrap();
    let product = Tensor::<1>::from_data([2.0, 3.0], &device).prod();
    assert_eq!(product.into_scalar::<f32>(), 6.0);

    for token in [None, Some(""), Some("open"), Some("open sesame!")] {
        let error = connect(&address, token, LIMIT).unwrap_err();
        assert_eq!(error, ConnectError::Token(address.clone()));
        let text = error.to_string();
        assert!(
            text.contains(&address) && text.contains("PIXEL_IQN_TOKEN"),
            "{text}"
        );
    }
}

#[test]
fn without_a_token_there_is_the_loopback_alone() {
    for token in [None, Some("")] {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let error = Server::bind(address, token).unwrap_err();
            assert!(matches!(error, ServeError::NoToken(_)), "{error}");
        }
        Server::bind("127.0.0.1:0", token).unwrap();
    }
    Server::bind("0.0.0.0:0", Some("token")).unwrap();
    let taken = Server::bind("127.0.0.1:0", None).unwrap();
    let error = Server::bind(&taken.address().to_string(), None).unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }), "{error}");
}

#[test]
fn a_server_of_another_version_is_named_with_both() {
    let address = of_another_version(serve(None)).to_string();
    let error = connect(&address, None, LIMIT).unwrap_err();
    let ConnectError::Version {
        address: named,
        client,
        server,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((named, *server), (&address, client + 1));
    assert!(error.to_string().contains("the same release"), "{error}");
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    // It takes the connection, and nothing follows.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = connect(&address, None, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, ConnectError::Silent { .. }), "{error:?}");
    assert!(error.to_string().contains(&address), "{error}");
    for address in ["", "gpu", "gpu:", "gpu:x", "gpu:0", "gpu:70000"] {
        let error = connect(address, None, LIMIT).unwrap_err();
        assert_eq!(error, ConnectError::Address(address.to_owned()));
    }
}

#[test]
fn a_meter_counts_tensors_and_bytes() {
    let meter = Meter::before(serve(None)).unwrap();
    let device = connect(&meter.address().to_string(), None, LIMIT).unwrap();
    device.sync().unwrap();
    meter.take();
    let ones = Tensor::<1>::ones([1000], &device);
    let data = vec![2.0; 1000];
    let sum = ones + Tensor::<1>::from_data(data.as_slice(), &device);
    assert_eq!(sum.clone().sum().into_scalar::<f32>(), 3000.0);
    let traffic = meter.take();
    assert_eq!(traffic.uploads, 1);
    assert!((4000..6000).contains(&traffic.sent), "{traffic:?}");
    assert!(traffic.received < 500, "{traffic:?}");

    sum.into_data();
    let traffic = meter.take();
    assert_eq!(traffic.uploads, 0);
    assert!(traffic.received > 4000 && traffic.sent < 500, "{traffic:?}");
}

/// Passes connections on to a server, and makes the version in its answer one higher.
fn of_another_version(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(server).unwrap();
            let (client_again, server_again) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || copy(client, server, |_| ()));
            thread::spawn(move || {
                copy(server_again, client_again, |bytes| {
                    // MessagePack: the name of the kind, a list of at most 15, and its first number.
                    let name = b"\xa4Init";
                    if let Some(at) = bytes.windows(name.len()).position(|bytes| bytes == name) {
                        let list = &mut bytes[at + name.len()..];
                        assert_eq!(list[0] & 0xf0, 0x90);
                        list[1] += 1;
                    }
                })
            });
        }
    });
    address
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut change: impl FnMut(&mut [u8])) {
    let mut buffer = [0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
