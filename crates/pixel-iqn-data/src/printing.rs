//! Lines on standard output and standard error, whose reader may go away while a program works.
//!
//! `println!` panics where a line cannot be printed: at the end of `| head`, on a full disk, or after
//! the terminal was closed. No work of hours may depend on that, so here such a stream is closed for
//! good and the program goes on.

use std::ffi::OsString;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints a line to standard output, as `println!`, but where it cannot be printed the printing ends and
/// not the program.
///
/// ```
/// pixel_iqn_data::say!("wrote {}", "samples.png");
/// ```
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => { $crate::print_line(format_args!($($line)*)) };
}

/// Prints a line to standard error, as `eprintln!`, but where it cannot be printed the printing ends and
/// not the program.
///
/// ```
/// pixel_iqn_data::tell!("WARNING: {} of memory are free", "1 GiB");
/// ```
#[macro_export]
macro_rules! tell {
    ($($line:tt)*) => { $crate::print_error_line(format_args!($($line)*)) };
}

static OUTPUT: Stream = Stream::new();
static ERRORS: Stream = Stream::new();

/// Prints a line to standard output: what [`say!`](crate::say) calls.
pub fn print_line(line: Arguments<'_>) {
    OUTPUT.line(&mut io::stdout().lock(), line);
}

/// Prints a line to standard error: what [`tell!`](crate::tell) calls.
pub fn print_error_line(line: Arguments<'_>) {
    ERRORS.line(&mut io::stderr().lock(), line);
}

/// Prints text that is nowhere else, such as the script of a shell or scores that no file keeps.
///
/// A reader that goes away has had enough, which is no error.
///
/// # Errors
///
/// The error of the operating system where the text cannot be printed, as on a full disk: a program has
/// then not done what it was asked for.
pub fn print_result(text: &str) -> io::Result<()> {
    OUTPUT.result(&mut io::stdout().lock(), text)
}

/// Whether a bar can be drawn again and again in its place: on a terminal, unless `TERM` says that it is a
/// dumb one.
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && can_move(std::env::var_os("TERM"))
}

fn can_move(term: Option<OsString>) -> bool {
    term.is_none_or(|term| term != "dumb")
}

/// What is known of a stream.
struct Stream {
    closed: AtomicBool,
}

impl Stream {
    const fn new() -> Self {
        Self {
            closed: AtomicBool::new(false),
        }
    }

    fn line(&self, out: &mut impl Write, line: Arguments<'_>) {
        // Lines of several threads do not mix, as each is written at once.
        self.write(out, &format!("{line}\n")).ok();
    }

    fn result(&self, out: &mut impl Write, text: &str) -> io::Result<()> {
        match self.write(out, text) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    fn write(&self, out: &mut impl Write, text: &str) -> io::Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // A reader that is slow loses a line, one that is gone loses them all.
        if let Err(error) = &written
            && error.kind() != ErrorKind::WouldBlock
        {
            self.closed.store(true, Ordering::Relaxed);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that takes some bytes and then fails.
    struct Failing {
        left: usize,
        error: ErrorKind,
        calls: usize,
    }

    impl Failing {
        fn new(left: usize, error: ErrorKind) -> Self {
            let calls = 0;
            Self { left, error, calls }
        }
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.left < bytes.len() {
                return Err(self.error.into());
            }
            self.left -= bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_that_fails_is_left_alone() {
        for error in [ErrorKind::BrokenPipe, ErrorKind::StorageFull] {
            let (stream, mut out) = (Stream::new(), Failing::new(4, error));
            for _ in 0..5 {
                stream.line(&mut out, format_args!("abc"));
            }
            assert_eq!((out.left, out.calls), (0, 2));
        }
        let (stream, mut slow) = (Stream::new(), Failing::new(0, ErrorKind::WouldBlock));
        stream.line(&mut slow, format_args!("abc"));
        slow.left = 4;
        stream.line(&mut slow, format_args!("abc"));
        assert_eq!(slow.left, 0);
    }

    #[test]
    fn a_dumb_terminal_takes_lines_alone() {
        assert!(can_move(None) && can_move(Some("xterm".into())));
        assert!(!can_move(Some("dumb".into())));
    }

    #[test]
    fn a_result_that_is_not_printed_is_an_error_unless_nobody_wants_it() {
        let result = |error| Stream::new().result(&mut Failing::new(0, error), "abc");
        assert!(result(ErrorKind::BrokenPipe).is_ok());
        assert_eq!(
            result(ErrorKind::StorageFull).unwrap_err().kind(),
            ErrorKind::StorageFull
        );
    }
}
