//! Trainings under the dashboard, in terminals that `script` makes.

#![cfg(target_os = "linux")]

mod folder;

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use folder::{Folder, TRAIN, wait_until};

/// Runs a training under the dashboard in a terminal, by the commands of a shell, does something to the
/// terminal while the dashboard is drawn, and returns the exit code; `None` where no terminal can be made.
fn under_the_dashboard(
    folder: &Folder,
    shell: &str,
    train: &str,
    run: &str,
    disturb: impl FnOnce(&mut Child),
) -> Option<String> {
    let program = format!("{} {train} --run {run}", env!("CARGO_BIN_EXE_pixel-iqn"));
    let command = shell.replace("PROGRAM", &program) + &format!("; echo $? > {run}.code");
    let mut terminal = Command::new("script")
        .current_dir(folder.file(""))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env("SHELL", "/bin/sh")
        .args(["-qc", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(File::create(folder.file("screen")).unwrap())
        .spawn()
        .ok()?;
    let metrics = folder.file(&format!("{run}/metrics.jsonl"));
    wait_until(&mut terminal, || {
        let screen = folder.read("screen");
        let hides_the_cursor = b"\x1b[?25l";
        let draws = screen
            .windows(hides_the_cursor.len())
            .any(|text| text == hides_the_cursor);
        draws && fs::metadata(&metrics).is_ok_and(|metadata| metadata.len() > 0)
    });
    disturb(&mut terminal);
    let code = folder.file(&format!("{run}.code"));
    while fs::read_to_string(&code).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.kill().ok();
    terminal.wait().unwrap();
    Some(fs::read_to_string(&code).unwrap().trim().to_owned())
}

/// Takes the terminal away. Its shell gets a SIGHUP.
fn take_away(terminal: &mut Child) {
    terminal.kill().unwrap();
}

#[test]
fn a_training_outlives_its_terminal() {
    let folder = Folder::new();
    let train = TRAIN.replace("--plain ", "");
    // As under `nohup`, it goes on.
    let short = format!("{train} --steps 400");
    let ignoring = "trap '' HUP; PROGRAM";
    let Some(code) = under_the_dashboard(&folder, ignoring, &short, "goes-on", take_away) else {
        println!("skipped: there is no program `script`, which makes terminals");
        return;
    };
    assert_eq!(code, "0");
    assert!(folder.file("goes-on/scores.json").exists());
    if hangups_are_ignored() {
        println!(
            "skipped: these tests ignore SIGHUP themselves, as under `nohup`, and so does the program"
        );
        return;
    }
    // Otherwise it ends with a checkpoint. Like the shell of a user, this one passes the signal on.
    let passing_on = "trap 'kill -HUP $!' HUP; PROGRAM < /dev/tty & wait $!; wait $!";
    let long = format!("{train} --steps 100000");
    let code = under_the_dashboard(&folder, passing_on, &long, "ends", take_away);
    assert_eq!(code.as_deref(), Some("129"));
    assert!(folder.file("ends/averaged.safetensors").exists());
}

#[test]
fn a_training_that_is_stopped_at_the_dashboard_has_been_interrupted() {
    let folder = Folder::new();
    let train = TRAIN.replace("--plain ", "") + " --steps 100000";
    // `q` asks whether to stop, `s` does so with a checkpoint, and `k` at once.
    for (run, keys) in [("stopped", "qs"), ("at-once", "qk")] {
        let code = under_the_dashboard(&folder, "PROGRAM", &train, run, |terminal| {
            let mut keyboard = terminal.stdin.take().unwrap();
            keyboard.write_all(keys.as_bytes()).unwrap();
            // An end of what is typed would be an end of the terminal.
            std::mem::forget(keyboard);
        });
        let Some(code) = code else {
            println!("skipped: there is no program `script`, which makes terminals");
            return;
        };
        assert_eq!(code, "130", "{keys}");
    }
    assert!(folder.file("stopped/averaged.safetensors").exists());
    assert!(!folder.file("at-once/averaged.safetensors").exists());
}

/// Whether this process ignores SIGHUP, which what it starts inherits; shells cannot change that.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit 0 is signal 1.
    mask.is_some_and(|mask| mask & 1 == 1)
}
