/// How a terminal draws pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Half blocks in 24-bit colours.
    TrueColour,
    /// Half blocks in the colours of the palette of 256.
    Palette,
    /// Characters of five shades, without colours.
    Shades,
}

impl Style {
    /// The style that the variables of the environment ask for, and `None` for a terminal that cannot
    /// move its cursor.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let has = |name: &str, words: &[&str]| {
            let value = variable(name).unwrap_or_default().to_lowercase();
            words.iter().any(|word| value.contains(word))
        };
        if has("TERM", &["dumb"]) {
            return None;
        }
        // Any text but an empty one: see no-color.org.
        if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            return Some(Self::Shades);
        }
        let true_colour = has("COLORTERM", &["truecolor", "24bit"])
            || has("TERM", &["direct", "kitty", "ghostty", "alacritty"])
            || variable("WT_SESSION").is_some();
        match true_colour {
            true => Some(Self::TrueColour),
            false => Some(Self::Palette),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::of;
    use super::*;

    #[test]
    fn the_environment_says_what_a_terminal_can_do() {
        let style = |pairs: &[_]| Style::of(of(pairs));
        assert_eq!(style(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), None);
        assert_eq!(style(&[("TERM", "xterm-256color")]), Some(Style::Palette));
        let colours = style(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]);
        assert_eq!(colours, Some(Style::TrueColour));
        let none = style(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]);
        assert_eq!(none, Some(Style::Shades));
        assert_eq!(style(&[("NO_COLOR", "")]), Some(Style::Palette));
    }
}
