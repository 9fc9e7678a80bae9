use std::ffi::OsString;

/// How a [`Session`](crate::Session) shows itself while it trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Display {
    /// Burn's dashboard, which takes the whole terminal; `q` asks whether to stop. It needs the
    /// feature `dashboard`; without it this is [`Plain`](Self::Plain).
    Dashboard,
    /// Nothing is shown but what the callbacks of the session print.
    Plain,
}

impl Display {
    /// Chooses the dashboard if the program has it and writes to a terminal that can show it: not where
    /// `TERM` is `dumb`, and not where `NO_COLOR` is set, as the dashboard has no form without colours.
    pub fn detect() -> Self {
        let can_show = pixel_iqn_data::can_redraw(&std::io::stdout());
        match cfg!(feature = "dashboard") && can_show && wants_colour(std::env::var_os("NO_COLOR"))
        {
            true => Self::Dashboard,
            false => Self::Plain,
        }
    }

    /// Whether something takes the whole terminal.
    pub(crate) fn takes_terminal(self) -> bool {
        cfg!(feature = "dashboard") && self == Self::Dashboard
    }
}

/// Whether `NO_COLOR` leaves a program its colours (<https://no-color.org>): set, and not empty, it does not.
fn wants_colour(no_color: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_is_honoured() {
        assert!(wants_colour(None) && wants_colour(Some("".into())));
        assert!(!wants_colour(Some("1".into())));
    }
}
