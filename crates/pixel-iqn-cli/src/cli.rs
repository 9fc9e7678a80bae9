use clap::{Parser, Subcommand};

use crate::compare::CompareCommand;
use crate::evaluate::EvaluateCommand;
use crate::inpaint::InpaintCommand;
use crate::manual::{CompletionsCommand, ManCommand};
use crate::sample::SampleCommand;
use crate::train::TrainCommand;

/// Train PixelIQN and Gated PixelCNN on images, draw from them, and evaluate them
///
/// Both models draw an image value by value, each given the values before it. A PixelIQN learns the
/// quantile function of each value by quantile regression, a Gated PixelCNN the probabilities of its
/// levels.
#[derive(Parser, Debug)]
#[command(name = "pixel-iqn", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  pixel-iqn train --steps 5000 --run runs/first
  pixel-iqn sample --run runs/first --count 64 --out samples.png
  pixel-iqn inpaint --run runs/first --out filled.png
  pixel-iqn evaluate --run runs/first --out scores.json

`pixel-iqn COMMAND --help` explains all flags of a command.";

/// What the program can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    Train(Box<TrainCommand>),
    Sample(SampleCommand),
    Inpaint(InpaintCommand),
    Evaluate(EvaluateCommand),
    Compare(CompareCommand),
    Completions(CompletionsCommand),
    Man(ManCommand),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn all_flags_fit_together() {
        Cli::command().debug_assert();
    }
}
