use std::io::Write;
use std::sync::{Arc, Mutex};

use pixel_iqn_core::{Order, Progress};
use pixel_iqn_data::{Mask, builtin};
use pixel_iqn_train::Interrupter;

use super::emulator::Emulator;
use super::protocol::Protocol;
use super::style::Style;
use super::*;
use crate::{Images, Model, ModelConfig};

/// What was written to a terminal.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

const SHOW: Show = Show {
    medium: Medium::Characters(Style::TrueColour),
    screen: ScreenSize {
        characters: 80,
        lines: 24,
        character: [8, 16],
    },
};

fn model() -> Model {
    let device = crate::device("cpu").unwrap();
    let network = ModelConfig::tiny().with_orders(8).init_pixel_iqn(&device);
    Model::new(network, device).with_size([4, 6])
}

fn view(shape: [usize; 4], columns: usize, batch: usize, screen: &Screen) -> LiveView {
    let out = Box::new(screen.clone());
    LiveView::new(SHOW, shape, columns, batch, Interrupter::new(), out)
}

fn picture(images: &Images) -> String {
    let canvas = Canvas::of(images.levels(), images.shape(), images.columns());
    canvas.draw(Style::TrueColour, canvas.size(usize::MAX))
}

#[test]
fn the_last_picture_of_a_sampling_is_that_of_its_images() {
    let model = model();
    for order in [Order::RASTER, Order::new(5).unwrap()] {
        let screen = Screen::default();
        // Of the last batch there is one image.
        let view = view([5, 3, 4, 6], 2, 2, &screen);
        let request = model.sample(5).order(order).batch(2);
        let images = request.progress(&view).run().unwrap();
        let text = screen.text();
        let expected = picture(&images);
        assert!(text.ends_with(&expected), "{order}");
        // There were others before, which it was drawn over.
        let lines = expected.lines().count();
        assert!(text.contains(&format!("\x1b[{lines}A")), "{order}");

        view.finish(&images, false).unwrap();
        let text = screen.text();
        let end = format!("\r\x1b[{lines}A\x1b[0J{expected}");
        assert!(text.ends_with(&end), "{order}");
    }
}

#[test]
fn each_pass_over_the_completions_is_drawn() {
    let model = model().with_size([8, 8]);
    let images = builtin::generate(0, 0..2, 8, 3).unwrap();
    let mask = Mask::lower_half([8, 8]);
    let screen = Screen::default();
    let view = view([4, 3, 8, 8], 2, 3, &screen);
    let request = model
        .inpaint(&images, &mask)
        .completions(2)
        .sweeps(1)
        .batch(3);
    let completions = request.progress(&view).run().unwrap();
    assert!(screen.text().ends_with(&picture(&completions.images)));
    view.finish(&completions.figure, true).unwrap();
    assert!(screen.text().ends_with(&picture(&completions.figure)));
}

#[test]
fn a_terminal_with_pictures_has_those_of_the_images() {
    let model = model();
    for protocol in [Protocol::Kitty, Protocol::Iterm2] {
        let screen = Screen::default();
        let show = Show {
            medium: Medium::Pictures(protocol),
            ..SHOW
        };
        let out = Box::new(screen.clone());
        let view = LiveView::new(show, [5, 3, 4, 6], 2, 2, Interrupter::new(), out);
        let images = model.sample(5).batch(2).progress(&view).run().unwrap();
        view.finish(&images, false).unwrap();

        let mut terminal = Emulator::new(24, 23);
        terminal.feed(&screen.text());
        let [drawn] = &terminal.pictures[..] else {
            panic!("{} pictures", terminal.pictures.len());
        };
        let canvas = Canvas::of(images.levels(), images.shape(), images.columns());
        let [width, height] = canvas.size(9);
        // Each pixel is 8 x 8, half as high as a line.
        let lines = height.div_ceil(2);
        assert_eq!(drawn.cells, [width, lines]);
        assert_eq!((drawn.line, terminal.line()), (23, 23 + lines));
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column)))
        {
            let found = drawn.pixels.get_pixel(8 * column as u32, 8 * row as u32);
            let expected = canvas.pixel(row, column);
            let expected = expected.map_or([0; 4], |[r, g, b]| [r, g, b, 255]);
            assert_eq!(found.0, expected, "{row}, {column}");
        }
    }
}

#[test]
fn an_interrupt_ends_what_is_drawn_and_leaves_nothing() {
    for medium in [SHOW.medium, Medium::Pictures(Protocol::Kitty)] {
        // Between two rows, and after the last one.
        for at_the_end in [false, true] {
            let screen = Screen::default();
            let interrupter = Interrupter::new();
            let out = Box::new(screen.clone());
            let show = Show { medium, ..SHOW };
            let view = LiveView::new(show, [1, 3, 4, 6], 1, 1, interrupter.clone(), out);
            if at_the_end {
                model().sample(1).progress(&view).run().unwrap();
            } else {
                let _ = view.advance(1, 12);
            }
            let mut terminal = Emulator::new(24, 2);
            terminal.feed(&screen.text());
            assert_eq!(terminal.line(), 4);

            let drawn = screen.text().len();
            interrupter.stop(None);
            if !at_the_end {
                let error = model().sample(1).progress(&view).run().unwrap_err();
                assert!(matches!(error, Error::Cancelled(_)), "{error}");
            }
            drop(view);
            terminal.feed(&screen.text()[drawn..]);
            assert_eq!((terminal.line(), terminal.cursor[1]), (2, 0));
            assert!(terminal.pictures.is_empty());
            assert!(screen.text().ends_with("\x1b[0J"));
        }
    }
}
