use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::compare::CompareCommand;
use crate::evaluate::EvaluateCommand;
use crate::inpaint::InpaintCommand;
use crate::manual::{CompletionsCommand, ManCommand};
use crate::sample::SampleCommand;
use crate::serve_device::ServeDeviceCommand;
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

impl Cli {
    /// Reads the arguments of the program, and ends it with a message where they cannot be used.
    pub fn read() -> Self {
        Self::read_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Reads arguments, of which the first is the name of the program.
    pub fn read_from<A, I>(arguments: I) -> clap::error::Result<Self>
    where
        A: Into<std::ffi::OsString> + Clone,
        I: IntoIterator<Item = A>,
    {
        let mut command = Self::command().mut_subcommands(|command| {
            // A number with a minus is a value, whose error says what it may be, and no flag.
            command.mut_args(|flag| {
                let has_a_value = flag.get_action().takes_values() && !flag.is_positional();
                match has_a_value {
                    true => flag.allow_negative_numbers(true),
                    false => flag,
                }
            })
        });
        let matches = command.try_get_matches_from_mut(arguments)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
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
    ServeDevice(ServeDeviceCommand),
    Completions(CompletionsCommand),
    Man(ManCommand),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_flags_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_number_with_a_minus_is_a_value_and_its_error_has_the_range() {
        for (arguments, flag, range) in [
            (
                "sample --run r --seed -1",
                "--seed",
                "from 0 to 18446744073709551615",
            ),
            ("sample --run r --tau -0.5", "--tau", "between 0 and 1"),
            (
                "sample --run r --tau-range -0.1,0.9",
                "--tau-range",
                "0 < LOW < HIGH < 1",
            ),
            ("sample --run r --count -3", "--count", "at least 1"),
            ("sample --run r --batch 0", "--batch", "at least 1"),
            ("sample --run r --shard -1/2", "--shard", "K from 1 to N"),
            ("sample --run r --size -8x8", "--size", "HEIGHTxWIDTH"),
            ("sample --run r --order -1", "--order", "from 0 to 7"),
            ("inpaint --run r --first -1", "--first", "at least 0"),
            ("inpaint --run r --size 0", "--size", "at least 1"),
            ("evaluate --run r --taus 1", "--taus", "at least 2"),
            (
                "evaluate --generated g --kid-subset-size 1",
                "--kid-subset-size",
                "at least 2",
            ),
            (
                "evaluate --run r --cas --cas-images -1",
                "--cas-images",
                "at least 1",
            ),
            (
                "evaluate --run r --cas --cas-steps -1",
                "--cas-steps",
                "at least 1",
            ),
            ("compare --seeds 0", "--seeds", "from 1 to"),
            ("train --learning-rate nan", "--learning-rate", "above 0"),
            ("train --learning-rate -1e-3", "--learning-rate", "above 0"),
            ("train --seed -1", "--seed", "from 0 to 9223372036854775807"),
            ("train --steps 0", "--steps", "at least 1"),
        ] {
            let arguments = format!("pixel-iqn {arguments}");
            let error = Cli::read_from(arguments.split(' '))
                .unwrap_err()
                .to_string();
            assert!(error.contains(flag) && error.contains(range), "{error}");
        }
        let error = Cli::read_from(["pixel-iqn", "evaluate"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--run <DIR>") && error.contains("--generated <PATH>"),
            "{error}"
        );
        assert!(Cli::read_from(["pixel-iqn", "sample", "--run", "--seed"]).is_err());
    }
}
