//! Builds, serves and tests the web page: `cargo xtask web`.
//!
//! It is a program of its own, so that the page needs no build of Burn, and the other tasks none of
//! wasm-bindgen.

mod browser_tests;
mod build;
mod models;
mod pictures;
mod program;
mod server;

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

/// Build the web page into dist/
#[derive(Parser, Debug)]
#[command(name = "web", bin_name = "cargo xtask web")]
struct Args {
    /// Folder for the page; what is in it is replaced
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// Show the page on this machine after building it
    #[arg(long)]
    serve: bool,
    /// Port for --serve
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Test the page in a browser after building it (needs Node.js, and Chromium: the variable CHROMIUM says
    /// where, unless it is in a usual place)
    #[arg(long)]
    test: bool,
    /// Say whether the page can be built and tested here, get the packages of its tests, and build nothing: the exit
    /// code is 0 where it can
    #[arg(long, conflicts_with_all = ["serve", "test", "no_build"])]
    check: bool,
    /// Take the page that is in the folder already
    #[arg(long)]
    no_build: bool,
    /// A further folder of models, each a folder with config.toml and weights.safetensors
    #[arg(long, value_name = "DIR")]
    models: Vec<PathBuf>,
    /// A further argument for the cargo that compiles for wasm32, such as -Zbuild-std=std,panic_abort. Cargo,
    /// toolchain and flags are those of the variables CARGO_WASM, PATH and RUSTFLAGS
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    cargo_arg: Vec<String>,
    /// Root of the repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let program = program::Cargo::new(&args.root, &args.cargo_arg);
    if args.check {
        program.expect_target()?;
        browser_tests::expect_tools()?;
        return browser_tests::get_packages(&args.root);
    }
    // What is missing is said before minutes of compiling.
    let shown = args.serve.then(|| port(args.port)).transpose()?;
    if args.test {
        browser_tests::expect_tools()?;
        browser_tests::get_packages(&args.root)?;
    }
    if !args.no_build {
        build::build(&args.root, &args.out, &args.models, &program)?;
    }
    if args.test {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot open a port")?;
        let address = format!("http://{}/", listener.local_addr()?);
        let folder = args.out.clone();
        std::thread::spawn(move || server::serve(&listener, &folder));
        browser_tests::run(&args.root, &args.out, &address)?;
    }
    if let Some(listener) = shown {
        say(&format!(
            "http://{}/ (Ctrl-C ends it)",
            listener.local_addr()?
        ));
        server::serve(&listener, &args.out);
    }
    Ok(())
}

/// Opens a port of this machine.
fn port(number: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", number))
        .with_context(|| format!("port {number} cannot be opened: choose another by --port"))
}

/// Prints a line, also where nobody reads it any more.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_told_before_anything_is_built() {
        let taken = port(0).unwrap();
        let number = taken.local_addr().unwrap().port().to_string();
        let out = tempfile::tempdir().unwrap();
        let args = ["web", "--serve", "--port", &number, "--root", "nowhere"];
        let mut args = Args::parse_from(args);
        args.out = out.path().join("dist");
        let error = run(&args).unwrap_err().to_string();
        assert!(error.contains(&format!("port {number}")), "{error}");
        assert!(!args.out.exists());
    }
}
