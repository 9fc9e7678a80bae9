use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;
use pixel_iqn::data::{Claim, print_result, say, write_atomically};

use crate::outcome::Outcome;

/// Print a script that completes the program's commands and flags in a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  pixel-iqn completions bash > ~/.local/share/bash-completion/completions/pixel-iqn
  pixel-iqn completions fish > ~/.config/fish/completions/pixel-iqn.fish")]
pub struct CompletionsCommand {
    /// Shell to write for
    shell: Shell,
}

impl CompletionsCommand {
    /// Prints the script for a program.
    pub fn run(self, mut program: clap::Command) -> anyhow::Result<Outcome> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "pixel-iqn", &mut script);
        print(&script)
    }
}

/// Print the manual page of the program, or write those of all commands to a folder
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  pixel-iqn man | man --local-file -
  pixel-iqn man ~/.local/share/man/man1")]
pub struct ManCommand {
    /// Folder to write pixel-iqn.1, pixel-iqn-train.1 and the others to [default: print
    /// pixel-iqn.1 alone]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl ManCommand {
    /// Prints or writes the manual of a program.
    pub fn run(self, program: clap::Command) -> anyhow::Result<Outcome> {
        let Some(folder) = &self.folder else {
            let mut page = Vec::new();
            Man::new(program).render(&mut page)?;
            return print(&page);
        };
        let cannot = || format!("cannot write to {}", folder.display());
        fs::create_dir_all(folder).with_context(cannot)?;
        let mut program = program.disable_help_subcommand(true);
        program.build();
        write_pages(program, folder)?;
        say!("wrote {}", folder.join("pixel-iqn*.1").display());
        Ok(Outcome::Complete)
    }
}

/// Prints what is asked for on standard output.
fn print(text: &[u8]) -> anyhow::Result<Outcome> {
    print_result(&String::from_utf8_lossy(text)).context("cannot print it")?;
    Ok(Outcome::Complete)
}

/// Writes the page of a command and those of its subcommands.
fn write_pages(command: clap::Command, folder: &Path) -> anyhow::Result<()> {
    for subcommand in command.get_subcommands().cloned() {
        write_pages(subcommand, folder)?;
    }
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render(&mut page)?;
    let file = folder.join(man.get_filename());
    // It removes what a killed process was writing.
    let _claim = Claim::file(&file)?;
    Ok(write_atomically(&file, &page)?)
}
