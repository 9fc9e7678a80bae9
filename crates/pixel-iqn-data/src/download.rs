//! Downloads of the official files, which resume and are verified.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use ureq::{Agent, Body, http::Response};

use crate::{
    atomic::sync_folder_of,
    checksum::Checksum,
    cifar10_files,
    error::{DataError, Result, at, at_write},
    kind::DatasetKind,
    mnist,
};

const CIFAR10_URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
const CIFAR10_MD5: &str = "c32a1d4ab5d03f1284b67883e8d87530";
const MNIST_URL: &str = "https://storage.googleapis.com/cvdf-datasets/mnist/";

/// A machine without a network should say so soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that sends nothing for so long has gone.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two lines of progress where no bar can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Downloads the official files of a data set into `folder`, from where [`open`](crate::open) reads
/// them. Files that are there and whole are not fetched again.
///
/// CIFAR-10 is one archive of 170 MB, MNIST four files of 12 MB together. Progress goes to
/// standard error: a bar on a terminal, else a line every five seconds. A file under its final
/// name is always whole: it grows as `NAME.part`, which a later call resumes, and gets its name
/// after its checksum has been compared.
///
/// # Errors
///
/// [`DataError::NoAddress`] for any other set, [`DataError::Download`] if the server cannot be
/// reached within ten seconds or fails, [`DataError::Checksum`] if it sends other bytes, and
/// [`DataError::Io`] and [`DataError::Write`].
pub fn download(kind: DatasetKind, folder: &Path) -> Result<()> {
    match kind {
        DatasetKind::Cifar10 => fetch(
            CIFAR10_URL,
            Checksum::Md5(CIFAR10_MD5),
            &folder.join(cifar10_files::ARCHIVE),
        ),
        DatasetKind::Mnist => mnist::official_gzip().try_for_each(|(name, md5)| {
            fetch(
                &format!("{MNIST_URL}{name}"),
                Checksum::Md5(md5),
                &folder.join(name),
            )
        }),
        DatasetKind::Imagenet32 | DatasetKind::Folder | DatasetKind::Builtin => {
            Err(DataError::NoAddress(kind))
        }
    }
}

/// Downloads one file from `url` to `target` in the way of [`download`], and verifies its checksum.
/// A file that is there and whole is not fetched again.
///
/// # Errors
///
/// [`DataError::Download`] if the server cannot be reached within ten seconds or fails,
/// [`DataError::Checksum`] if it sends other bytes, and [`DataError::Io`] and
/// [`DataError::Write`].
pub fn fetch(url: &str, checksum: Checksum<'_>, target: &Path) -> Result<()> {
    if target.exists() && checksum.check(target, &read(target)?).is_ok() {
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(at_write(folder))?;
    }
    let part = part_of(target);
    let failed = |source| DataError::Download {
        url: url.to_owned(),
        target: target.to_owned(),
        source,
    };

    let have = fs::metadata(&part).map_or(0, |metadata| metadata.len());
    let response = match request(url, have) {
        // The server has nothing beyond what is here, which therefore is whole or wrong.
        Err(ureq::Error::StatusCode(416)) if have > 0 => None,
        response => Some(response.map_err(|error| failed(error.into_io()))?),
    };
    if let Some(response) = response {
        // A server that does not know ranges answers 200 and sends the file from its start.
        let resumes = response.status() == 206;
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .append(resumes)
            .truncate(!resumes)
            .open(&part)
            .map_err(at_write(&part))?;
        copy(response, if resumes { have } else { 0 }, target, &mut file)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
    }

    let checked = checksum.check(target, &read(&part)?);
    if checked.is_err() {
        // Wrong bytes cannot be resumed.
        fs::remove_file(&part).map_err(at_write(&part))?;
        return checked;
    }
    // The content was flushed when it was written.
    fs::rename(&part, target)
        .and_then(|()| sync_folder_of(target))
        .map_err(at_write(target))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(at(path))
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Asks the server for the bytes of `url` from `start` on.
fn request(url: &str, start: u64) -> Result<Response<Body>, ureq::Error> {
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT))
        // The checksum is that of the compressed file, and ranges count its bytes.
        .accept_encoding("identity")
        .build()
        .into();
    let request = agent.get(url);
    if start > 0 {
        request.header("Range", format!("bytes={start}-"))
    } else {
        request
    }
    .call()
}

/// Copies the body to `file` and reports progress; `done` bytes are there already.
fn copy(response: Response<Body>, mut done: u64, target: &Path, file: &mut File) -> io::Result<()> {
    let body = response.into_body();
    let total = body.content_length().map(|rest| done + rest);
    let name = target.file_name().unwrap_or_default().display().to_string();
    // Where no bar can be drawn there are lines.
    let lines = !crate::can_redraw(&io::stderr());
    let bar = match (lines, total) {
        (true, _) => ProgressBar::hidden(),
        (false, Some(total)) => ProgressBar::new(total),
        (false, None) => ProgressBar::no_length(),
    };
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.set_style(style.expect("the template is valid"));
    bar.set_message(name.clone());
    bar.set_position(done);

    let mut reader = body.into_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut last_line = Instant::now();
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            bar.finish();
            return Ok(());
        }
        file.write_all(&buffer[..count])?;
        done += count as u64;
        bar.set_position(done);
        if lines && last_line.elapsed() >= LINE_INTERVAL {
            last_line = Instant::now();
            let total = total.map_or_else(String::new, |total| format!(" of {}", total >> 20));
            crate::tell!("{name}: {}{total} MiB", done >> 20);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        thread::{self, JoinHandle},
    };

    use super::*;
    use crate::checksum::md5;

    /// A body that no two positions of make the same bytes.
    fn body() -> Vec<u8> {
        (0..50_000u32).flat_map(u32::to_le_bytes).collect()
    }

    /// A reply that promises `promised` bytes and sends `sent`.
    fn reply(status: &str, promised: usize, sent: &[u8]) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {promised}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), sent].concat()
    }

    /// Gives one reply to each of so many connections; returns the heads of the requests.
    fn serve(replies: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut requests = Vec::new();
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                requests.push(head.join("\n").to_lowercase());
                stream.write_all(&reply).unwrap();
            }
            requests
        });
        (url, server)
    }

    #[test]
    fn a_whole_file_is_fetched_once() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("new/folder/file.bin");
        let (url, server) = serve(vec![reply("200 OK", 200_000, &body())]);
        let md5 = md5(&body());
        let md5 = Checksum::Md5(&md5);
        fetch(&url, md5, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), body());
        assert!(!part_of(&target).exists());
        server.join().unwrap();
        // The server is gone: this must not ask for anything.
        fetch(&url, md5, &target).unwrap();
    }

    #[test]
    fn a_killed_download_looks_unfinished_and_is_resumed() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("file.bin");
        let body = body();
        let md5 = md5(&body);
        let md5 = Checksum::Md5(&md5);
        let (url, server) = serve(vec![
            reply("200 OK", body.len(), &body[..120_000]),
            reply("206 Partial Content", 80_000, &body[120_000..]),
        ]);
        let error = fetch(&url, md5, &target).unwrap_err();
        assert!(matches!(error, DataError::Download { .. }), "{error}");
        assert!(!target.exists());
        assert_eq!(fs::read(part_of(&target)).unwrap(), body[..120_000]);

        fetch(&url, md5, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), body);
        let requests = server.join().unwrap();
        assert!(!requests[0].contains("range:"), "{}", requests[0]);
        assert!(
            requests[1].contains("range: bytes=120000-"),
            "{}",
            requests[1]
        );
    }

    #[test]
    fn a_server_without_ranges_starts_again() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("file.bin");
        fs::write(part_of(&target), "old beginning").unwrap();
        let (url, server) = serve(vec![reply("200 OK", 200_000, &body())]);
        fetch(&url, Checksum::Md5(&md5(&body())), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), body());
        server.join().unwrap();
    }

    #[test]
    fn a_whole_part_needs_only_its_name() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("file.bin");
        fs::write(part_of(&target), body()).unwrap();
        let (url, server) = serve(vec![reply("416 Range Not Satisfiable", 0, &[])]);
        fetch(&url, Checksum::Md5(&md5(&body())), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), body());
        server.join().unwrap();
    }

    #[test]
    fn wrong_bytes_are_thrown_away() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("file.bin");
        let (url, server) = serve(vec![reply("200 OK", 5, b"wrong")]);
        let error = fetch(&url, Checksum::Md5(&md5(&body())), &target).unwrap_err();
        assert!(matches!(error, DataError::Checksum { .. }), "{error}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        server.join().unwrap();
    }

    #[test]
    fn a_refusal_tells_how_to_go_on() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("file.bin");
        let (url, server) = serve(vec![reply("404 Not Found", 0, &[])]);
        let error = fetch(&url, Checksum::Md5("0"), &target).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&url) && message.contains("by hand"),
            "{message}"
        );
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("404"), "{source}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        server.join().unwrap();
        // Nobody listens any more.
        let error = fetch(&url, Checksum::Md5("0"), &target).unwrap_err();
        assert!(matches!(error, DataError::Download { .. }), "{error}");
    }

    #[test]
    fn sets_without_an_address_say_so() {
        let error = download(DatasetKind::Folder, Path::new("x")).unwrap_err();
        assert!(
            matches!(error, DataError::NoAddress(DatasetKind::Folder)),
            "{error}"
        );
    }
}
