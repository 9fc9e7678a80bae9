//! Runs the command `parity` as a user does. A test of the workspace is built with the features of all
//! others, so that Burn is not built once more for it.

use std::process::Command;

#[test]
fn the_vectors_of_the_reference_pass_and_a_missing_folder_is_named() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let parity = |folder: &str| {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = xtask.args(["parity", folder]).current_dir(root).output();
        let output = output.unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.success(), text)
    };
    let (success, text) = parity("crates/pixel-iqn-core/tests/fixtures/reference/vectors");
    assert!(success, "{text}");
    let (success, text) = parity("no-such-folder");
    assert!(!success && text.contains("no-such-folder"), "{text}");
}
