/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScreenSize {
    /// Characters in a line.
    pub characters: usize,
    pub lines: usize,
    /// Width and height of a character in pixels of the screen.
    pub character: [usize; 2],
}

/// The size of a character where the terminal does not tell it. Pictures are drawn over a number of
/// characters, so that a wrong size costs sharpness and no place.
const CHARACTER: [usize; 2] = [8, 16];

impl ScreenSize {
    /// The size of the terminal that is standard output.
    pub fn of_output() -> Self {
        // Terminals that do not tell their size had this one once.
        let size = terminal_size::terminal_size();
        let screen = size.map_or([80, 24], |(width, height)| [width.0, height.0]);
        Self::new(screen, pixels())
    }

    /// A screen of so many characters and lines, and of so many pixels, 0 where that is not known.
    fn new(screen: [u16; 2], pixels: [u16; 2]) -> Self {
        let character = [0, 1].map(|i| usize::from(pixels[i].checked_div(screen[i]).unwrap_or(0)));
        Self {
            characters: screen[0].into(),
            lines: screen[1].into(),
            character: match character.contains(&0) {
                true => CHARACTER,
                false => character,
            },
        }
    }
}

/// Width and height of the screen in pixels, as the operating system knows them.
#[cfg(unix)]
fn pixels() -> [u16; 2] {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or([0; 2], |size| [size.ws_xpixel, size.ws_ypixel])
}

#[cfg(not(unix))]
fn pixels() -> [u16; 2] {
    [0; 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_its_part_of_the_screen() {
        let size = ScreenSize::new([80, 24], [800, 480]);
        let expected = ScreenSize {
            characters: 80,
            lines: 24,
            character: [10, 20],
        };
        assert_eq!(size, expected);
        // There may be a margin.
        assert_eq!(ScreenSize::new([80, 24], [805, 483]), expected);
        for (screen, pixels) in [
            ([80, 24], [0, 0]),
            ([80, 24], [800, 0]),
            ([0, 0], [800, 480]),
        ] {
            assert_eq!(ScreenSize::new(screen, pixels).character, CHARACTER);
        }
    }
}
