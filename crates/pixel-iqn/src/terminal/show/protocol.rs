use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A way to send a picture to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The graphics protocol of kitty: <https://sw.kovidgoyal.net/kitty/graphics-protocol/>.
    Kitty,
    /// The inline images of iTerm2: <https://iterm2.com/documentation-images.html>.
    Iterm2,
}

/// Most characters of base64 in one sequence of kitty's protocol.
const CHUNK: usize = 4096;

/// Set by multiplexers, which stand between a program and the terminal and do not pass pictures on.
const MULTIPLEXERS: [&str; 3] = ["TMUX", "STY", "ZELLIJ"];

/// Set by terminals without these protocols, or with a part of them alone, which inherit the variables
/// of the terminal that they were started from.
const OTHERS: [&str; 3] = ["XTERM_VERSION", "VTE_VERSION", "KONSOLE_VERSION"];

impl Protocol {
    /// The protocol of the terminal that the variables of the environment tell of, if any.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let value = |name: &str| variable(name).unwrap_or_default();
        let is_set = |name: &&str| !value(name).is_empty();
        let term = value("TERM");
        let is = |name: &str| term.contains(name);
        if MULTIPLEXERS.iter().any(is_set) || is("screen") || is("tmux") {
            return None;
        }
        // It is the terminal's own word, which goes through SSH, too.
        if is("kitty") || is("ghostty") {
            return Some(Self::Kitty);
        }
        if is("wezterm") {
            return Some(Self::Iterm2);
        }
        // Many terminals call themselves xterm. One of another name, as `alacritty`, is that.
        if !is("xterm") || OTHERS.iter().any(is_set) {
            return None;
        }
        match value("TERM_PROGRAM").as_str() {
            "ghostty" => Some(Self::Kitty),
            "iTerm.app" | "WezTerm" | "mintty" => Some(Self::Iterm2),
            "" if is_set(&"KITTY_WINDOW_ID") => Some(Self::Kitty),
            // SSH passes this one on.
            "" if value("LC_TERMINAL") == "iTerm2" => Some(Self::Iterm2),
            _ => None,
        }
    }

    /// Draws a PNG file from the cursor on, over so many columns and lines of characters. `image` is
    /// its number, at least 1.
    pub fn draw(self, png: &[u8], [columns, lines]: [usize; 2], image: u32) -> String {
        let data = STANDARD.encode(png);
        match self {
            Self::Kitty => {
                let mut text = String::new();
                // The terminal answers nothing (q=2): there is nobody to read it.
                let mut keys = format!("a=T,f=100,i={image},c={columns},r={lines},q=2,");
                let mut rest = data.as_str();
                loop {
                    let (chunk, more) = rest.split_at(rest.len().min(CHUNK));
                    let goes_on = u8::from(!more.is_empty());
                    text += &format!("\x1b_G{keys}m={goes_on};{chunk}\x1b\\");
                    if more.is_empty() {
                        return text;
                    }
                    rest = more;
                    keys = "q=2,".to_owned();
                }
            }
            Self::Iterm2 => {
                let size = png.len();
                format!(
                    "\x1b]1337;File=inline=1;size={size};width={columns};height={lines};\
                     preserveAspectRatio=0:{data}\x07"
                )
            }
        }
    }

    /// Takes a picture from the screen and from the memory of the terminal. One of iTerm2 goes with the
    /// characters in its place.
    pub fn delete(self, image: u32) -> String {
        match self {
            Self::Kitty => format!("\x1b_Ga=d,d=I,i={image},q=2\x1b\\"),
            Self::Iterm2 => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment;
    use super::*;

    #[test]
    fn terminals_are_known_by_their_variables() {
        let of = |variables: &[_]| Protocol::of(environment::of(variables));
        let xterm = ("TERM", "xterm-256color");
        for variables in [
            &[("TERM", "xterm-kitty")][..],
            &[("TERM", "xterm-ghostty")],
            &[xterm, ("TERM_PROGRAM", "ghostty")],
            &[xterm, ("KITTY_WINDOW_ID", "1")],
            // A kitty that was started from another terminal.
            &[("TERM", "xterm-kitty"), ("VTE_VERSION", "7600")],
            &[("TERM", "xterm-kitty"), ("TERM_PROGRAM", "WezTerm")],
        ] {
            assert_eq!(of(variables), Some(Protocol::Kitty), "{variables:?}");
        }
        for variables in [
            &[xterm, ("TERM_PROGRAM", "iTerm.app")][..],
            &[xterm, ("TERM_PROGRAM", "WezTerm")],
            &[xterm, ("TERM_PROGRAM", "mintty")],
            &[("TERM", "wezterm")],
            &[xterm, ("LC_TERMINAL", "iTerm2")],
        ] {
            assert_eq!(of(variables), Some(Protocol::Iterm2), "{variables:?}");
        }
        for variables in [
            &[][..],
            &[xterm],
            &[xterm, ("TERM_PROGRAM", "Apple_Terminal")],
            // Multiplexers.
            &[("TERM", "tmux-256color"), ("TERM_PROGRAM", "WezTerm")],
            &[("TERM", "screen"), ("KITTY_WINDOW_ID", "1")],
            &[("TERM", "xterm-kitty"), ("TMUX", "/tmp/tmux-1000/default")],
            &[("TERM", "xterm-kitty"), ("ZELLIJ", "0")],
            // Terminals that were started from others.
            &[("TERM", "alacritty"), ("KITTY_WINDOW_ID", "1")],
            &[xterm, ("KITTY_WINDOW_ID", "1"), ("TERM_PROGRAM", "vscode")],
            &[xterm, ("TERM_PROGRAM", "vscode"), ("LC_TERMINAL", "iTerm2")],
            &[xterm, ("KITTY_WINDOW_ID", "1"), ("VTE_VERSION", "7600")],
        ] {
            assert_eq!(of(variables), None, "{variables:?}");
        }
    }

    #[test]
    fn a_small_picture_is_one_sequence() {
        assert_eq!(
            Protocol::Kitty.draw(b"png", [2, 1], 7),
            "\x1b_Ga=T,f=100,i=7,c=2,r=1,q=2,m=0;cG5n\x1b\\"
        );
        assert_eq!(
            Protocol::Iterm2.draw(b"png", [2, 1], 7),
            "\x1b]1337;File=inline=1;size=3;width=2;height=1;preserveAspectRatio=0:cG5n\x07"
        );
        assert_eq!(Protocol::Kitty.delete(7), "\x1b_Ga=d,d=I,i=7,q=2\x1b\\");
        assert_eq!(Protocol::Iterm2.delete(7), "");
    }

    #[test]
    fn kitty_takes_a_large_picture_in_pieces() {
        // Two pieces that are full, and one of four characters.
        let data = "AAAA".repeat(2 * CHUNK / 4 + 1);
        let (first, rest) = data.split_at(CHUNK);
        let expected = format!(
            "\x1b_Ga=T,f=100,i=1,c=3,r=4,q=2,m=1;{first}\x1b\\\x1b_Gq=2,m=1;{}\x1b\\\x1b_Gq=2,m=0;AAAA\x1b\\",
            &rest[..CHUNK]
        );
        let bytes = vec![0; data.len() / 4 * 3];
        assert_eq!(Protocol::Kitty.draw(&bytes, [3, 4], 1), expected);
        let full = Protocol::Kitty.draw(&bytes[..CHUNK / 4 * 3], [3, 4], 1);
        assert_eq!(full.matches("m=0").count(), 1);
        assert_eq!(full.matches("\x1b_G").count(), 1);
    }
}
