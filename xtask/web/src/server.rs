//! A server of the files of a folder, for looking at the page on this machine.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Answers requests until the program ends.
pub fn serve(listener: &TcpListener, folder: &Path) {
    for stream in listener.incoming().flatten() {
        let folder = folder.to_owned();
        // A browser that goes away in the middle concerns nobody.
        thread::spawn(move || answer(&stream, &folder).ok());
    }
}

fn answer(stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    // What follows to the empty line are headers, none of which matters here.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut stream = stream;
    let mut send = |status: &str, kind: &str, body: &[u8]| {
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )?;
        match method {
            "HEAD" => Ok(()),
            _ => stream.write_all(body),
        }
    };
    if !["GET", "HEAD"].contains(&method) {
        return send("405 Method Not Allowed", "text/plain", b"only GET\n");
    }
    let body = file_of(target).and_then(|path| {
        let path = folder.join(path);
        Some((fs::read(&path).ok()?, kind_of(&path)))
    });
    match body {
        Some((body, kind)) => send("200 OK", kind, &body),
        None => send("404 Not Found", "text/plain", b"there is no such file\n"),
    }
}

/// The file of the folder that a target means, unless it leads out of the folder.
fn file_of(target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = match path.is_empty() || path.ends_with('/') {
        true => format!("{path}index.html"),
        false => path.to_owned(),
    };
    let path = PathBuf::from(path);
    let inside = |part| matches!(part, Component::Normal(_));
    path.components().all(inside).then_some(path)
}

fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn no_target_leads_out_of_the_folder() {
        assert_eq!(file_of("/").unwrap(), Path::new("index.html"));
        assert_eq!(file_of("/a/b.js?x=1").unwrap(), Path::new("a/b.js"));
        for target in ["/../secret", "//etc/passwd", "/a/../../b", "nothing", ""] {
            assert_eq!(file_of(target), None, "{target}");
        }
    }

    #[test]
    fn files_have_their_types() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.wasm"), b"\0asm").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let path = folder.path().to_owned();
        thread::spawn(move || serve(&listener, &path));
        let ask = |line: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "{line}\r\nHost: here\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let answer = ask("GET /a.wasm HTTP/1.1");
        assert!(
            answer.contains("200 OK") && answer.contains("application/wasm"),
            "{answer}"
        );
        assert!(answer.ends_with("\0asm"), "{answer}");
        assert!(ask("GET /b HTTP/1.1").contains("404"));
        assert!(ask("POST /a.wasm HTTP/1.1").contains("405"));
    }
}
