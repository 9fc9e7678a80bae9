use clap::Args;
use pixel_iqn::data::tell;
use pixel_iqn::terminal::{Graphics, Show, Terminal};

/// The flag of commands that can draw their images on the terminal.
#[derive(Args, Debug)]
pub struct ShowFlag {
    /// Also draw the images on the terminal, row by row while they are sampled; `--show=HOW` says how
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "auto"
    )]
    show: Option<Graphics>,
}

impl ShowFlag {
    /// Whether the flag was given.
    pub fn is_given(&self) -> bool {
        self.show.is_some()
    }

    /// Prepares to draw images on the terminal, if that was asked for. Where it cannot be it says why: the
    /// files are what was asked for first.
    pub fn prepare(&self, terminal: &Terminal) -> Option<Show> {
        match terminal.show(self.show?) {
            Ok(show) => Some(show),
            Err(error) => {
                tell!("NOTE: --show draws nothing: {error}");
                None
            }
        }
    }
}
