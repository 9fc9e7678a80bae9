use std::ffi::OsString;
use std::io::{ErrorKind, Write, stdout};

use clap::{Command, Parser};
use pixel_iqn_data::tell;

/// The exit code of a program that has not done what it was asked for.
const FAILURE: i32 = 1;

/// Reads the arguments of a program, and ends it where they cannot be used or ask for its help or its
/// version.
///
/// Its exit code is then 2 for arguments that cannot be used, and by the rule of all programs 0 for help
/// that is printed and 1 for help that is not, as on a full disk; a reader that goes away has had enough.
/// A number with a minus is the value of the flag before it, so that its error says what it may be.
pub fn arguments<A: Parser>() -> A {
    parse(std::env::args_os()).unwrap_or_else(|error| end(&error))
}

/// Reads arguments, of which the first is the name of the program, as [`arguments`] does.
///
/// # Errors
///
/// The error of clap for arguments that cannot be used, and for those that ask for the help.
pub fn parse<A: Parser, T: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = T>,
) -> clap::error::Result<A> {
    let mut command = with_negative_numbers(A::command());
    let matches = command.try_get_matches_from_mut(arguments)?;
    A::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The command and all its subcommands with numbers with a minus as values.
fn with_negative_numbers(command: Command) -> Command {
    let command = command.mut_args(|flag| {
        let has_a_value = flag.get_action().takes_values() && !flag.is_positional();
        match has_a_value {
            true => flag.allow_negative_numbers(true),
            false => flag,
        }
    });
    command.mut_subcommands(with_negative_numbers)
}

fn end(error: &clap::Error) -> ! {
    let printed = error.print().and_then(|()| stdout().flush());
    let code = match printed {
        Err(problem) if !error.use_stderr() && problem.kind() != ErrorKind::BrokenPipe => {
            tell!("error: cannot print it: {problem}");
            FAILURE
        }
        _ => error.exit_code(),
    };
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser, Debug)]
    struct Program {
        #[command(subcommand)]
        task: Task,
    }

    #[derive(clap::Subcommand, Debug)]
    enum Task {
        /// Of two tasks, this one has tasks of its own
        #[command(subcommand)]
        Inner(Inner),
    }

    #[derive(clap::Subcommand, Debug)]
    enum Inner {
        Draw {
            #[arg(long, value_parser = super::super::number::count)]
            count: usize,
        },
    }

    #[test]
    fn a_number_with_a_minus_is_a_value_in_every_subcommand() {
        let count = |count: &str| {
            let arguments = ["program", "inner", "draw", "--count", count];
            parse::<Program, _>(arguments).map(|program| {
                let Task::Inner(Inner::Draw { count }) = program.task;
                count
            })
        };
        assert_eq!(count("3").unwrap(), 3);
        let error = count("-3").unwrap_err().to_string();
        assert!(
            error.contains("--count") && error.contains("at least 1"),
            "{error}"
        );
    }
}
