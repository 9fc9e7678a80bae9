use super::Graphics;
use super::protocol::Protocol;
use super::style::Style;

/// What images are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// Characters, each of which is two pixels.
    Characters(Style),
    /// Pictures in which each pixel of an image is a square.
    Pictures(Protocol),
}

impl Medium {
    /// What was asked for, or else what the variables of the environment say; `None` for a terminal
    /// that cannot move its cursor.
    pub fn of(graphics: Graphics, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let style = Style::of(&variable)?;
        let protocol = match graphics {
            Graphics::Kitty => Some(Protocol::Kitty),
            Graphics::Iterm2 => Some(Protocol::Iterm2),
            Graphics::Blocks => None,
            // Pictures have colours, which a flag asks for and which a variable forbids.
            Graphics::Auto if style == Style::Shades => None,
            Graphics::Auto => Protocol::of(&variable),
        };
        Some(protocol.map_or(Self::Characters(style), Self::Pictures))
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment;
    use super::*;

    fn of<const N: usize>(graphics: Graphics, variables: [(&str, &str); N]) -> Option<Medium> {
        Medium::of(graphics, environment::of(&variables))
    }

    const PALETTE: Option<Medium> = Some(Medium::Characters(Style::Palette));
    const SHADES: Option<Medium> = Some(Medium::Characters(Style::Shades));
    const KITTY: Option<Medium> = Some(Medium::Pictures(Protocol::Kitty));

    #[test]
    fn pictures_are_for_terminals_that_have_them_and_characters_for_all_others() {
        let auto = Graphics::Auto;
        assert_eq!(of(auto, [("TERM", "xterm-256color")]), PALETTE);
        assert_eq!(of(auto, [("TERM", "xterm-kitty")]), KITTY);
        let without_colours = [("TERM", "xterm-kitty"), ("NO_COLOR", "1")];
        assert_eq!(of(auto, without_colours), SHADES);
    }

    #[test]
    fn what_is_asked_for_goes_before_the_variables() {
        let kitty = of(Graphics::Kitty, [("TERM", "screen"), ("NO_COLOR", "1")]);
        assert_eq!(kitty, KITTY);
        let iterm2 = of(Graphics::Iterm2, [("TERM", "xterm-kitty")]);
        assert_eq!(iterm2, Some(Medium::Pictures(Protocol::Iterm2)));
        let blocks = of(Graphics::Blocks, [("TERM_PROGRAM", "WezTerm")]);
        assert_eq!(blocks, PALETTE);
        let blocks = of(Graphics::Blocks, [("NO_COLOR", "1")]);
        assert_eq!(blocks, SHADES);
        // Its cursor cannot go back to the picture.
        assert_eq!(of(Graphics::Kitty, [("TERM", "dumb")]), None);
    }
}
