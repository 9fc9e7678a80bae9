//! Images on terminals that `script` makes.

#![cfg(target_os = "linux")]

mod folder;

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use folder::{Folder, wait_until};

const SKIPPED: &str = "skipped: there is no program `script`, which makes terminals";

/// A command on a terminal of a name.
fn on_a_terminal(folder: &Folder, term: &str, arguments: &str) -> Command {
    // Without `noflsh`, Ctrl-C drops what the terminal has not read yet, which may be half of a picture.
    let program = env!("CARGO_BIN_EXE_pixel-iqn");
    let program = format!("stty noflsh && exec {program} {arguments}");
    let mut command = Command::new("script");
    command
        .current_dir(folder.file(""))
        .env("TERM", term)
        .env("SHELL", "/bin/sh")
        .args(["-eqc", &program, "/dev/null"])
        .stdin(Stdio::null());
    // Those of the terminal in which the tests run.
    for name in [
        "NO_COLOR",
        "TERM_PROGRAM",
        "LC_TERMINAL",
        "KITTY_WINDOW_ID",
        "TMUX",
        "STY",
        "ZELLIJ",
        "XTERM_VERSION",
        "VTE_VERSION",
        "KONSOLE_VERSION",
        "WT_SESSION",
        "COLORTERM",
    ] {
        command.env_remove(name);
    }
    command
}

#[test]
fn images_are_pictures_where_the_terminal_has_them_and_characters_elsewhere() {
    let folder = Folder::new();
    let picture = "\x1b_Ga=T,f=100,";
    for (term, flag, pictures) in [
        ("xterm-kitty", "--show", true),
        ("xterm-kitty", "--show=blocks", false),
        ("xterm", "--show=auto", false),
        ("xterm", "--show=kitty", true),
    ] {
        for command in ["sample --count 1", "inpaint --count 1 --completions 2"] {
            let arguments = format!("{command} --model shapes {flag}");
            let Ok(output) = on_a_terminal(&folder, term, &arguments).output() else {
                println!("{SKIPPED}");
                return;
            };
            let screen = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{screen}");
            assert_eq!(screen.contains(picture), pictures, "{term} {arguments}");
            assert_eq!(screen.contains('▀'), !pictures, "{term} {arguments}");
        }
    }
}

#[test]
fn ctrl_c_takes_the_picture_away() {
    for (how, picture) in [("kitty", "\x1b_Ga=T"), ("blocks", "▀")] {
        let folder = Folder::new();
        let arguments = format!("sample --model shapes --count 4000 --batch 4 --show={how}");
        let mut command = on_a_terminal(&folder, "xterm", &arguments);
        command
            .stdin(Stdio::piped())
            .stdout(File::create(folder.file("screen")).unwrap());
        let Ok(mut terminal) = command.spawn() else {
            println!("{SKIPPED}");
            return;
        };
        let screen = || String::from_utf8_lossy(&folder.read("screen")).into_owned();
        wait_until(&mut terminal, || screen().contains(picture));
        let mut keyboard = terminal.stdin.take().unwrap();
        keyboard.write_all(b"\x03").unwrap();
        let status = terminal.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{}", screen());

        // Nothing was written between the picture and what takes it away, but the key.
        let screen = screen().replace("\r\n", "\n").replace("^C", "");
        let end = "\x1b[0Jinterrupted: nothing was written\n";
        let drawn = screen
            .strip_suffix(end)
            .unwrap_or_else(|| panic!("{screen}"));
        let (drawn, lines) = drawn.rsplit_once("\r\x1b[").unwrap();
        let lines = lines.strip_suffix('A').unwrap();
        let is_all = match how {
            "kitty" => {
                let (drawn, _) = drawn.rsplit_once("\x1b_Ga=d,d=I,i=").unwrap();
                drawn.ends_with(&format!("\x1b[{lines}B"))
            }
            _ => drawn.ends_with("\x1b[0m\n"),
        };
        assert!(is_all, "{screen}");
    }
}

#[test]
fn the_way_to_draw_is_one_of_the_known_ones() {
    let folder = Folder::new();
    let output = folder.command("sample --show=paint").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = folder::errors(&output);
    for name in ["auto", "kitty", "iterm2", "blocks"] {
        assert!(message.contains(name), "{message}");
    }
}
