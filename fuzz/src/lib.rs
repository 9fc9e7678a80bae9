//! Targets of cargo-fuzz for every parser of what users bring: `cargo xtask fuzz --write-seeds`, then
//! `cargo +nightly fuzz run npz`. `cargo xtask fuzz` feeds the same parsers without a nightly compiler.

#[path = "../../xtask/src/fuzz/parsers.rs"]
mod parsers;

use std::path::Path;
use std::sync::LazyLock;

pub use libfuzzer_sys;

static FOLDER: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    std::env::temp_dir().join(format!("pixel-iqn-fuzz-{}", std::process::id()))
});

/// Gives bytes to the parser of a name.
pub fn read(name: &str, bytes: &[u8]) {
    let parser = parsers::PARSERS.iter().find(|(known, _)| *known == name);
    let (_, read) = parser.expect("the target has the name of a parser");
    let folder: &Path = &FOLDER;
    let _ = read(folder, bytes);
}

/// The program of a target.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::read($name, bytes));
    };
}
