use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;

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
        std::io::stdout().write_all(&script)?;
        Ok(Outcome::Complete)
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
            std::io::stdout().write_all(&page)?;
            return Ok(Outcome::Complete);
        };
        let written = || format!("cannot write to {}", folder.display());
        fs::create_dir_all(folder).with_context(written)?;
        clap_mangen::generate_to(program, folder).with_context(written)?;
        println!("wrote {}", folder.join("pixel-iqn*.1").display());
        Ok(Outcome::Complete)
    }
}
