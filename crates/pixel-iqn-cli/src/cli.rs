use clap::{Parser, Subcommand};

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
    use clap::CommandFactory;
    use pixel_iqn::terminal::parse;

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
            (
                "train --remote-timeout -1",
                "--remote-timeout",
                "from 1 to 1000000",
            ),
        ] {
            let arguments = format!("pixel-iqn {arguments}");
            let error = parse::<Cli, _>(arguments.split(' '))
                .unwrap_err()
                .to_string();
            assert!(error.contains(flag) && error.contains(range), "{error}");
        }
        let error = parse::<Cli, _>(["pixel-iqn", "evaluate"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--run <DIR>") && error.contains("--generated <PATH>"),
            "{error}"
        );
        for command in ["sample", "inpaint"] {
            let error = parse::<Cli, _>(["pixel-iqn", command])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("--run <DIR>") && error.contains("--model <NAME>"),
                "{error}"
            );
        }
        assert!(parse::<Cli, _>(["pixel-iqn", "sample", "--run", "--seed"]).is_err());
    }
}
