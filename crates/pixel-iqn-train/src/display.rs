use std::io::IsTerminal;

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
    /// Chooses the dashboard if the program has it and writes to a terminal.
    pub fn detect() -> Self {
        if cfg!(feature = "dashboard") && std::io::stdout().is_terminal() {
            Self::Dashboard
        } else {
            Self::Plain
        }
    }

    /// Whether something takes the whole terminal.
    pub(crate) fn takes_terminal(self) -> bool {
        cfg!(feature = "dashboard") && self == Self::Dashboard
    }
}
