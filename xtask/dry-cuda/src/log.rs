//! What is written down of a run.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

static LOG: LazyLock<Option<Mutex<BufWriter<File>>>> = LazyLock::new(|| {
    let path = env::var_os("DRY_CUDA_LOG")?;
    let file = File::create(&path);
    let file = file.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    Some(Mutex::new(BufWriter::new(file)))
});

static PROGRAMS: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| env::var_os("DRY_CUDA_PTX").map(PathBuf::from));

fn write(event: &str, what: &str, flush: bool) {
    let Some(log) = &*LOG else { return };
    let mut log = log.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // A log that cannot be written must not end the program that runs.
    let _ = writeln!(log, "{event} {what}");
    if flush {
        let _ = log.flush();
    }
}

/// A program was loaded: its kernel stands behind `.entry`.
pub(crate) fn module(program: &CStr) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let text = program.to_string_lossy();
    let name = text.split_once(".entry ").map_or("?", |(_, rest)| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        &rest[..end.unwrap_or(rest.len())]
    });
    write("module", name, true);
    if let Some(folder) = &*PROGRAMS {
        let path = folder.join(format!("{number:04}.ptx"));
        if let Err(error) =
            fs::create_dir_all(folder).and_then(|()| fs::write(&path, program.to_bytes()))
        {
            write(
                "error",
                &format!("cannot write {}: {error}", path.display()),
                true,
            );
        }
    }
}

/// A kernel would have been launched.
pub(crate) fn launch(name: &CStr) {
    write("launch", &name.to_string_lossy(), false);
}

/// The host reads from the device.
pub(crate) fn read(bytes: usize) {
    write("read", &bytes.to_string(), true);
}

/// Memory is asked for.
pub(crate) fn allocation(bytes: usize) {
    write("allocate", &bytes.to_string(), false);
}
