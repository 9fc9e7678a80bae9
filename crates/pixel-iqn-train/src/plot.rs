//! Line and point charts as PNG files, with a font of their own.

use core::ops::Range;
use std::path::Path;
use std::sync::Once;

use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::error::RunError;

/// Width and height of a chart in pixels.
const SIZE: [usize; 2] = [960, 600];
/// Charts are drawn this much larger and scaled down, which smooths their lines.
const SCALE: usize = 2;
const FONT: &str = "sans-serif";

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// Under the horizontal axis.
    pub x_label: &'a str,
    /// Beside the vertical axis.
    pub y_label: &'a str,
    /// What to draw, the lowest first.
    pub series: Vec<Series<'a>>,
    /// The range of the vertical axis, where it is not that of the points. Lines are cut there,
    /// dots beyond it are drawn on its edge.
    pub y_range: Option<Range<f64>>,
}

/// Points of a [`Chart`] with the same meaning.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    /// Its name in the legend; empty for none.
    pub label: &'a str,
    /// Red, green, blue.
    pub color: [u8; 3],
    /// How to draw it.
    pub mark: Mark,
    /// `(x, y)`.
    pub points: Vec<(f64, f64)>,
}

/// How a [`Series`] is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line of this width in pixels.
    Line(u32),
    /// A dashed line of this width in pixels.
    Dashes(u32),
    /// Dots of this radius in pixels.
    Dots(u32),
}

/// Colours that go together, the most important first.
pub mod color {
    /// Blue.
    pub const BLUE: [u8; 3] = [31, 95, 168];
    /// Light blue.
    pub const LIGHT_BLUE: [u8; 3] = [183, 208, 234];
    /// Orange.
    pub const ORANGE: [u8; 3] = [224, 108, 20];
    /// Green.
    pub const GREEN: [u8; 3] = [38, 140, 72];
    /// Light grey.
    pub const GRAY: [u8; 3] = [178, 178, 184];
}

impl Chart<'_> {
    /// Writes the chart as a PNG of 960 x 600 pixels.
    ///
    /// # Errors
    ///
    /// [`RunError::Plot`] where there is nothing finite to draw, and [`RunError::Data`] where the
    /// file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), RunError> {
        let [width, height] = SIZE.map(|length| length * SCALE);
        let mut pixels = vec![0; width * height * 3];
        let drawn = self.draw(&mut pixels, [width as u32, height as u32]);
        drawn.map_err(|message| RunError::Plot {
            path: path.to_owned(),
            message,
        })?;
        let planes = scale_down(&pixels, width);
        let shape = [1, 3, SIZE[1], SIZE[0]];
        Ok(pixel_iqn_data::ImageGrid::new(&planes, shape)?.save(path)?)
    }

    fn draw(&self, pixels: &mut [u8], size: [u32; 2]) -> Result<(), String> {
        register();
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = range(points().map(|point| point.0)).ok_or("there is nothing to draw")?;
        let y = range(points().map(|point| point.1)).ok_or("there is nothing to draw")?;
        let y = self.y_range.clone().unwrap_or_else(|| {
            let margin = 0.05 * (y.end - y.start);
            y.start - margin..y.end + margin
        });
        self.draw_on(pixels, size, x, y)
            .map_err(|error| error.to_string())
    }

    fn draw_on(
        &self,
        pixels: &mut [u8],
        size: [u32; 2],
        x: Range<f64>,
        y: Range<f64>,
    ) -> Result<(), DrawingAreaErrorKind<<BitMapBackend<'static> as DrawingBackend>::ErrorType>>
    {
        let unit = SCALE as u32;
        let root = BitMapBackend::with_buffer(pixels, size.into()).into_drawing_area();
        root.fill(&WHITE)?;
        let ink = RGBColor(60, 60, 66);
        let text = |size: u32| (FONT, size * unit).into_font().color(&ink);
        let mut chart = ChartBuilder::on(&root)
            .margin(18 * unit)
            .caption(self.title, text(22))
            .x_label_area_size(52 * unit)
            .y_label_area_size(72 * unit)
            .build_cartesian_2d(x, y.clone())?;
        let axis = RGBColor(120, 120, 126).stroke_width(unit);
        chart
            .configure_mesh()
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .axis_desc_style(text(17))
            .label_style(text(15))
            .axis_style(axis)
            .bold_line_style(RGBColor(228, 228, 232).stroke_width(unit))
            .light_line_style(TRANSPARENT)
            .set_all_tick_mark_size(4 * unit)
            .y_label_formatter(&|value| short(*value))
            .x_label_formatter(&|value| short(*value))
            .draw()?;
        for series in &self.series {
            let [r, g, b] = series.color;
            let color = RGBColor(r, g, b);
            let parts = match series.mark {
                Mark::Dots(_) => vec![on_edge(&series.points, &y)],
                Mark::Line(_) | Mark::Dashes(_) => pieces(&series.points, &y),
            };
            for (part, points) in parts.into_iter().enumerate() {
                let drawn = match series.mark {
                    Mark::Line(width) => {
                        let style = color.stroke_width(width * unit);
                        chart.draw_series(LineSeries::new(points, style))?
                    }
                    Mark::Dashes(width) => {
                        let style = color.stroke_width(width * unit);
                        chart.draw_series(DashedLineSeries::new(
                            points,
                            9 * unit,
                            6 * unit,
                            style,
                        ))?
                    }
                    Mark::Dots(radius) => {
                        let dot = |point| Circle::new(point, radius * unit, color.filled());
                        chart.draw_series(points.into_iter().map(dot))?
                    }
                };
                // One entry in the legend, whatever the number of parts.
                if part == 0 && !series.label.is_empty() {
                    let mark = series.mark;
                    let end = 26 * unit as i32;
                    drawn.label(series.label).legend(move |(x, y)| match mark {
                        Mark::Line(width) | Mark::Dashes(width) => {
                            let style = color.stroke_width(width.max(2) * unit);
                            PathElement::new(vec![(x, y), (x + end, y)], style).into_dyn()
                        }
                        Mark::Dots(radius) => {
                            let size = radius.max(3) * unit;
                            Circle::new((x + end / 2, y), size, color.filled()).into_dyn()
                        }
                    });
                }
            }
        }
        if self.series.iter().any(|series| !series.label.is_empty()) {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .legend_area_size(34 * unit)
                .margin(12 * unit)
                .label_font(text(16))
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(210, 210, 214).stroke_width(unit))
                .draw()?;
        }
        root.present()
    }
}

/// The curve of a training run: the loss of each step, its running mean, and the held-out losses,
/// `(step, loss)`, if there are any.
///
/// # Errors
///
/// As [`Chart::save`].
pub fn save_curve(
    path: &Path,
    loss_name: &str,
    losses: &[f32],
    held_out: &[(usize, f32)],
) -> Result<(), RunError> {
    let steps = |values: &[f64]| (1..).map(f64::from).zip(values.iter().copied()).collect();
    let raw: Vec<f64> = losses.iter().copied().map(f64::from).collect();
    let mean = running_mean(&raw, (raw.len() / 50).max(1));
    let mut series = vec![
        Series {
            label: "each step",
            color: color::LIGHT_BLUE,
            mark: Mark::Line(1),
            points: steps(&raw),
        },
        Series {
            label: "running mean",
            color: color::BLUE,
            mark: Mark::Line(3),
            points: steps(&mean),
        },
    ];
    if !held_out.is_empty() {
        series.push(Series {
            label: "held out, averaged weights",
            color: color::ORANGE,
            mark: Mark::Dots(4),
            points: held_out
                .iter()
                .map(|&(step, loss)| (step as f64 + 1.0, f64::from(loss)))
                .collect(),
        });
    }
    let chart = Chart {
        title: "Training",
        x_label: "step",
        y_label: loss_name,
        y_range: range_without_start(&series),
        series,
    };
    chart.save(path)
}

/// A range for the vertical axis of training curves: from just under the lowest value to the 97th
/// percentile, so that the fall of the first steps does not flatten all the rest. None where no
/// value is finite.
pub fn range_without_start(series: &[Series<'_>]) -> Option<Range<f64>> {
    let points = series.iter().flat_map(|series| &series.points);
    let mut values: Vec<f64> = points.map(|point| point.1).collect();
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, values[(values.len() - 1) * 97 / 100]);
    let margin = 0.05 * (high - low).max(1e-3 * high.abs());
    Some(low - margin..high + margin)
}

/// The mean over the `half` values before and after each, as far as they are numbers.
fn running_mean(values: &[f64], half: usize) -> Vec<f64> {
    (0..values.len())
        .map(|i| {
            let window = &values[i.saturating_sub(half)..values.len().min(i + half + 1)];
            let finite = || window.iter().filter(|value| value.is_finite());
            finite().sum::<f64>() / finite().count() as f64
        })
        .collect()
}

/// The points that are numbers, those beyond a range of y on its ends.
fn on_edge(points: &[(f64, f64)], range: &Range<f64>) -> Vec<(f64, f64)> {
    let finite = points.iter().filter(|point| point.1.is_finite());
    let inside = |&(x, y): &(f64, f64)| (x, y.clamp(range.start, range.end));
    finite.map(inside).collect()
}

/// The parts of a line that lie in a range of y, cut where the line crosses its ends.
fn pieces(points: &[(f64, f64)], range: &Range<f64>) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = vec![Vec::new()];
    let inside = |y: f64| (range.start..=range.end).contains(&y);
    for (i, &(x, y)) in points.iter().enumerate() {
        if let Some(&(x0, y0)) = i.checked_sub(1).map(|before| &points[before])
            && inside(y) != inside(y0)
            && y.is_finite()
            && y0.is_finite()
        {
            let outside = if inside(y) { y0 } else { y };
            let end = outside.clamp(range.start, range.end);
            let crossing = x0 + (x - x0) * (end - y0) / (y - y0);
            pieces
                .last_mut()
                .expect("there is one")
                .push((crossing, end));
        }
        if inside(y) {
            pieces.last_mut().expect("there is one").push((x, y));
        } else if pieces.last().is_some_and(|piece| !piece.is_empty()) {
            pieces.push(Vec::new());
        }
    }
    pieces
}

/// The range of the finite values, widened if it is a point.
fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .map(|value| (value, value))
        .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))?;
    Some(if low < high {
        low..high
    } else {
        low - 0.5..high + 0.5
    })
}

/// A number of an axis without the noise of binary fractions.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The means of squares of `SCALE` pixels, from `[height, width, 3]` to `[3, height, width]`.
fn scale_down(pixels: &[u8], width: usize) -> Vec<u8> {
    let [columns, rows] = SIZE;
    let mut planes = Vec::with_capacity(3 * rows * columns);
    for channel in 0..3 {
        for row in 0..rows {
            for column in 0..columns {
                let sum: usize = (0..SCALE * SCALE)
                    .map(|i| {
                        let (y, x) = (row * SCALE + i / SCALE, column * SCALE + i % SCALE);
                        usize::from(pixels[(y * width + x) * 3 + channel])
                    })
                    .sum();
                planes.push((sum / (SCALE * SCALE)) as u8);
            }
        }
    }
    planes
}

/// The font comes with the program, so that a chart needs none of the system.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        if register_font(FONT, FontStyle::Normal, font).is_err() {
            unreachable!("the embedded font is an OpenType font");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_the_colours_of_its_series() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.png");
        let losses: Vec<f32> = (0..200)
            .map(|i| 0.05 + 0.2 / (1.0 + i as f32) + 0.002 * (i % 3) as f32)
            .collect();
        save_curve(&path, "loss", &losses, &[(50, 0.06), (150, 0.055)]).unwrap();

        let mut pixels = vec![0; 12 * SIZE[0] * SIZE[1]];
        let chart = |mark| Chart {
            title: "t",
            x_label: "x",
            y_label: "y",
            series: vec![Series {
                label: "",
                color: color::ORANGE,
                mark,
                points: vec![(0.0, 0.0), (1.0, 1.0)],
            }],
            y_range: None,
        };
        let size = SIZE.map(|length| (length * SCALE) as u32);
        let mut inked = |mark| {
            chart(mark).draw(&mut pixels, size).unwrap();
            let pixels = pixels.chunks(3);
            pixels.filter(|pixel| *pixel == color::ORANGE).count()
        };
        let (thin, thick) = (inked(Mark::Line(1)), inked(Mark::Line(4)));
        assert!(0 < thin && thin < thick, "{thin} {thick}");
        let dashes = inked(Mark::Dashes(4));
        assert!(thick / 3 < dashes && dashes < thick, "{dashes} {thick}");
        assert!(inked(Mark::Dots(5)) > 0);
        assert!(path.metadata().unwrap().len() > 5_000);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.png");
        for losses in [&[][..], &[f32::NAN]] {
            let error = save_curve(&path, "loss", losses, &[]).unwrap_err();
            assert!(matches!(error, RunError::Plot { .. }), "{error}");
        }
        assert!(!path.exists());
    }

    #[test]
    fn a_line_is_cut_where_it_leaves_the_range() {
        let points = [
            (0.0, 3.0),
            (1.0, 1.0),
            (2.0, 0.5),
            (3.0, f64::NAN),
            (4.0, 0.0),
        ];
        let cut = pieces(&points, &(0.0..2.0));
        let expected = [vec![(0.5, 2.0), (1.0, 1.0), (2.0, 0.5)], vec![(4.0, 0.0)]];
        assert_eq!(cut, expected);
        let steep = pieces(
            &[(0.0, 1.0), (1.0, 3.0), (2.0, 3.0), (3.0, 1.0)],
            &(0.0..2.0),
        );
        let expected = [vec![(0.0, 1.0), (0.5, 2.0)], vec![(2.5, 2.0), (3.0, 1.0)]];
        assert_eq!(steep, expected);
    }

    #[test]
    fn the_running_mean_is_centred() {
        assert_eq!(running_mean(&[1.0, 2.0, 6.0], 1), [1.5, 3.0, 4.0]);
        let line: Vec<f64> = (0..50).map(f64::from).collect();
        assert_eq!(running_mean(&line, 5)[5..45], line[5..45]);
    }

    #[test]
    fn scaling_down_averages_squares() {
        let width = SIZE[0] * SCALE;
        let mut pixels = vec![0; width * SIZE[1] * SCALE * 3];
        // The four pixels of the first square, green.
        for (pixel, value) in [(0, 10), (1, 20), (width, 30), (width + 1, 40)] {
            pixels[3 * pixel + 1] = value;
        }
        let planes = scale_down(&pixels, width);
        assert_eq!(planes[SIZE[0] * SIZE[1]], 25);
        assert_eq!(planes.iter().filter(|&&value| value > 0).count(), 1);
    }
}
