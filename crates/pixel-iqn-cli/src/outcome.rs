use pixel_iqn::Error;
use pixel_iqn::score::ScoreError;
use pixel_iqn_eval::EvalError;

/// What became of the work of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was done.
    Complete,
    /// Ctrl-C or SIGTERM came first. The message says what is left and how to go on.
    Interrupted(String),
}

impl Outcome {
    /// Makes the cancellation of work, which only a signal asks for, an outcome and not an error.
    pub fn of(work: anyhow::Result<()>, message: impl Into<String>) -> anyhow::Result<Self> {
        match work {
            Ok(()) => Ok(Self::Complete),
            Err(error) if is_cancelled(&error) => Ok(Self::Interrupted(message.into())),
            Err(error) => Err(error),
        }
    }
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(Error::Cancelled(_)))
            || matches!(cause.downcast_ref(), Some(ScoreError::Cancelled(_)))
            || matches!(cause.downcast_ref(), Some(EvalError::Cancelled(_)))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use pixel_iqn::core::Cancelled;

    use super::*;

    #[test]
    fn only_a_cancellation_is_an_interrupt() {
        let of = |work: anyhow::Result<()>| Outcome::of(work, "half of it");
        assert_eq!(of(Ok(())).unwrap(), Outcome::Complete);
        let interrupted = Outcome::Interrupted("half of it".into());
        for error in [
            Error::from(Cancelled).into(),
            ScoreError::from(Cancelled).into(),
            EvalError::from(Cancelled).into(),
        ] {
            let error: anyhow::Error = error;
            assert_eq!(of(Err(error).context("sampling")).unwrap(), interrupted);
        }
        assert!(of(Err(anyhow!("the disk is full"))).is_err());
    }
}
