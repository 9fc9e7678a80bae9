//! A terminal for tests, which does what it is told and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbaImage;

/// A picture on a terminal.
pub struct Drawn {
    /// The line where it begins, from the first that there ever was.
    pub line: usize,
    /// Columns and lines that it takes.
    pub cells: [usize; 2],
    pub pixels: RgbaImage,
    /// Its number, 0 in the protocol that has none.
    pub image: u32,
}

/// A terminal with the protocols of kitty and of iTerm2.
pub struct Emulator {
    lines: usize,
    /// Line and column.
    pub cursor: [usize; 2],
    saved: [usize; 2],
    /// Lines that have left the screen at its top.
    pub scrolled: usize,
    /// The pictures that can be seen.
    pub pictures: Vec<Drawn>,
    /// The keys and the data of a picture that is not complete.
    pending: Option<(String, String)>,
}

impl Emulator {
    /// A terminal whose cursor is on a line.
    pub fn new(lines: usize, line: usize) -> Self {
        Self {
            lines,
            cursor: [line, 0],
            saved: [0, 0],
            scrolled: 0,
            pictures: Vec::new(),
            pending: None,
        }
    }

    /// The line of the cursor, from the first that there ever was.
    pub fn line(&self) -> usize {
        self.scrolled + self.cursor[0]
    }

    pub fn feed(&mut self, mut text: &str) {
        while let Some(first) = text.chars().next() {
            text = &text[first.len_utf8()..];
            match first {
                '\n' => self.next_line(),
                '\r' => self.cursor[1] = 0,
                '\x1b' => text = self.escape(text),
                symbol => {
                    assert!(!symbol.is_control(), "{symbol:?}");
                    self.cursor[1] += 1;
                }
            }
        }
    }

    fn next_line(&mut self) {
        self.cursor[1] = 0;
        match self.cursor[0] + 1 < self.lines {
            true => self.cursor[0] += 1,
            false => self.scrolled += 1,
        }
    }

    /// Does what a sequence says, and returns what is behind it.
    fn escape<'a>(&mut self, text: &'a str) -> &'a str {
        let (kind, rest) = text.split_at(1);
        match kind {
            "7" => self.saved = self.cursor,
            "8" => self.cursor = self.saved,
            "_" => {
                let (body, rest) = rest.split_once("\x1b\\").expect("it ends");
                self.kitty(body.strip_prefix('G').expect("the protocol of kitty"));
                return rest;
            }
            "]" => {
                let (body, rest) = rest.split_once('\x07').expect("it ends");
                let body = body.strip_prefix("1337;File=").expect("an inline image");
                let (keys, data) = body.split_once(':').unwrap();
                assert!(keys.contains("inline=1") && keys.contains("preserveAspectRatio=0"));
                let size: usize = value(keys, ';', "size").unwrap();
                assert_eq!(size, STANDARD.decode(data).unwrap().len());
                let cells = ["width", "height"].map(|key| value(keys, ';', key).unwrap());
                self.place(data, cells, 0);
                return rest;
            }
            "[" => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let (parameters, rest) = rest.split_at(end);
                let count = || -> usize { parameters.parse().unwrap() };
                match &rest[..1] {
                    "A" => self.cursor[0] = self.cursor[0].checked_sub(count()).unwrap(),
                    "B" => self.cursor[0] += count(),
                    // Pictures that are no characters stay.
                    "J" => {
                        let line = self.line();
                        self.pictures.retain(|p| p.image > 0 || p.line < line);
                    }
                    "m" => {}
                    other => panic!("{other}"),
                }
                assert!(self.cursor[0] < self.lines, "below the screen");
                return &rest[1..];
            }
            other => panic!("{other}"),
        }
        rest
    }

    fn kitty(&mut self, body: &str) {
        let (keys, data) = body.split_once(';').unwrap_or((body, ""));
        assert!(data.len() <= 4096);
        // Nothing may be answered.
        assert_eq!(value(keys, ',', "q"), Some(2));
        if keys.starts_with("a=d,d=I,") {
            let image: u32 = value(keys, ',', "i").unwrap();
            self.pictures.retain(|picture| picture.image != image);
            return;
        }
        let (first, before) = self
            .pending
            .take()
            .unwrap_or((keys.to_owned(), String::new()));
        let data = before + data;
        if value(keys, ',', "m") == Some(1) {
            self.pending = Some((first, data));
            return;
        }
        assert!(first.starts_with("a=T,f=100,"));
        let cells = ["c", "r"].map(|key| value(&first, ',', key).unwrap());
        self.place(&data, cells, value(&first, ',', "i").unwrap());
    }

    /// Places a picture, and leaves the cursor where it does most harm, on the line below it.
    fn place(&mut self, data: &str, cells @ [columns, lines]: [usize; 2], image: u32) {
        let file = STANDARD.decode(data).unwrap();
        let line = self.line();
        // New characters take the place of those that were there.
        self.pictures
            .retain(|p| p.image > 0 || p.line + p.cells[1] <= line);
        self.pictures.push(Drawn {
            line,
            cells,
            pixels: image::load_from_memory(&file).unwrap().to_rgba8(),
            image,
        });
        for _ in 0..lines {
            self.next_line();
        }
        self.cursor[1] = columns;
    }
}

/// The value of a key in a list.
fn value<T: std::str::FromStr>(keys: &str, separator: char, name: &str) -> Option<T> {
    let mut pairs = keys
        .split(separator)
        .filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    value.parse().ok()
}
