use super::*;
use crate::terminal::show::emulator::{Drawn, Emulator};
use crate::terminal::show::screen_size::ScreenSize;
use crate::terminal::show::style::Style;

const PROTOCOLS: [Protocol; 2] = [Protocol::Kitty, Protocol::Iterm2];

/// 40 x 12 characters of 8 x 16 pixels.
fn show(medium: Medium) -> Show {
    Show {
        medium,
        screen: ScreenSize {
            characters: 40,
            lines: 12,
            character: [8, 16],
        },
    }
}

/// Grey images of 4 x 6 pixels, each of its own levels.
fn canvas(images: usize, columns: usize) -> Canvas {
    let levels: Vec<u8> = (0..images * 24).map(|i| (i % 200 + 20) as u8).collect();
    Canvas::of(&levels, [images, 1, 4, 6], columns)
}

/// Checks every pixel of a picture of so many rows of images, from the first on: those of the images are
/// squares, and around them is nothing.
fn check_pixels(drawn: &Drawn, canvas: &Canvas, [first, rows]: [usize; 2], scale: usize) {
    for (x, y, &image::Rgba(found)) in drawn.pixels.enumerate_pixels() {
        let [column, row] = [x, y].map(|i| i as usize / scale);
        let expected = canvas.pixel(first * 5 + row, column);
        let expected = expected.filter(|_| row < 5 * rows);
        let expected = expected.map_or([0; 4], |[r, g, b]| [r, g, b, 255]);
        assert_eq!(found, expected, "{x}, {y}");
    }
}

#[test]
fn pictures_have_the_pixels_of_the_images_as_squares() {
    for protocol in PROTOCOLS {
        // Two images below each other: 6 x 9 pixels of 8 pixels are 6 characters, and 4.5 lines.
        let canvas = canvas(2, 1);
        let mut terminal = Emulator::new(12, 0);
        terminal.feed(&Picture::new(show(Medium::Pictures(protocol))).draw(&canvas));
        let drawn = &terminal.pictures[0];
        assert_eq!(drawn.cells, [6, 5]);
        assert_eq!(drawn.pixels.dimensions(), (48, 80));
        check_pixels(drawn, &canvas, [0, 2], 8);
    }
}

#[test]
fn a_picture_is_drawn_anew_in_its_place_and_nothing_scrolls() {
    let media = PROTOCOLS.map(Medium::Pictures);
    let media = media
        .into_iter()
        .chain([Medium::Characters(Style::Palette)]);
    for medium in media {
        // Near the end of the screen and far from it.
        for line in [0, 11] {
            let mut terminal = Emulator::new(12, line);
            let mut picture = Picture::new(show(medium));
            terminal.feed(&picture.draw(&canvas(2, 1)));
            let (scrolled, below) = (terminal.scrolled, terminal.line());
            assert_eq!(scrolled, if line == 0 { 0 } else { 5 });
            assert_eq!(below, line + 5);
            for _ in 0..5 {
                terminal.feed(&picture.draw(&canvas(2, 1)));
                assert_eq!(terminal.scrolled, scrolled);
                assert_eq!((terminal.line(), terminal.cursor[1]), (below, 0));
            }
            // One picture is there, and not those that it took the place of.
            let expected = usize::from(medium != Medium::Characters(Style::Palette));
            assert_eq!(terminal.pictures.len(), expected);
            assert!(terminal.pictures.iter().all(|drawn| drawn.line == line));

            // As where Ctrl-C is typed, which terminals show.
            terminal.feed("^C");
            terminal.feed(&picture.erase());
            assert_eq!((terminal.line(), terminal.cursor[1]), (line, 0));
            assert!(terminal.pictures.is_empty());
            assert_eq!(picture.erase(), "");
        }
    }
}

#[test]
fn what_is_finished_is_all_there_and_stays() {
    for protocol in PROTOCOLS {
        let show = show(Medium::Pictures(protocol));
        // 40 rows of images, of 5 pixels each of at least 2 x 2: the screen has room for 17.
        let canvas = canvas(40, 1);
        let mut terminal = Emulator::new(12, 3);
        let mut picture = Picture::new(show);
        terminal.feed(&picture.draw(&canvas));
        assert_eq!(terminal.pictures[0].pixels.dimensions(), (16, 176));
        check_pixels(&terminal.pictures[0], &canvas, [0, 17], 2);
        terminal.feed(&picture.finish(canvas.clone(), false));

        let mut line = 3;
        assert_eq!(terminal.pictures.len(), 3);
        for (i, drawn) in terminal.pictures.iter().enumerate() {
            assert_eq!(drawn.line, line);
            line += drawn.cells[1];
            check_pixels(drawn, &canvas, [17 * i, 17], 2);
        }
        assert_eq!((terminal.line(), terminal.cursor[1]), (line, 0));
        // It belongs to the terminal now.
        assert_eq!(picture.erase(), "");
    }
}

#[test]
fn pictures_of_two_programs_have_different_numbers() {
    let numbers: Vec<u32> = (0..8)
        .map(|_| Picture::new(show(Medium::Pictures(Protocol::Kitty))).image)
        .collect();
    assert!(numbers.iter().any(|&number| number != numbers[0]));
}

#[test]
fn pixels_are_as_large_as_the_screen_allows() {
    let show = show(Medium::Pictures(Protocol::Kitty));
    // 320 x 176 pixels, without the line of the cursor.
    assert_eq!(show.scale(&canvas(1, 1)), 8);
    // 6 images of 7 pixels but one gap: 41 pixels across.
    assert_eq!(show.scale(&canvas(6, 6)), 7);
    assert_eq!(show.scale(&canvas(7, 1)), 5);
    // Not all fit, also by the smallest.
    assert_eq!(show.scale(&canvas(40, 1)), 2);
    // One image that would not fit alone, and one that is larger than the screen.
    let large = |size: usize| Canvas::empty([1, 1, size, size], 1);
    assert_eq!(show.scale(&large(100)), 1);
    assert_eq!(show.scale(&large(400)), 1);
    let mut terminal = Emulator::new(12, 0);
    let mut picture = Picture::new(show);
    for text in [picture.draw(&large(400)), picture.finish(large(400), false)] {
        terminal.feed(&text);
        assert_eq!(terminal.pictures.last().unwrap().cells, [40, 11]);
    }
    assert_eq!(terminal.scrolled, 0);
}

#[test]
fn characters_are_cut_where_the_screen_ends() {
    let show = show(Medium::Characters(Style::Palette));
    let large = Canvas::empty([1, 1, 60, 60], 1);
    let mut picture = Picture::new(show);
    let text = picture.draw(&large);
    assert_eq!(
        (text.lines().count(), text.matches('▀').count()),
        (11, 11 * 40)
    );
    let text = picture.finish(large, false);
    assert_eq!(text.matches('▀').count(), 30 * 40);
}
