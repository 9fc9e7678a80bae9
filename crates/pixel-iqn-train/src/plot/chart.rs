use core::ops::Range;
use std::path::Path;
use std::sync::Once;

use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::cut::{on_edge, pieces};
use super::series::{Mark, Series};
use crate::error::RunError;

/// Width and height of a chart in pixels.
const SIZE: [usize; 2] = [960, 600];
/// Charts are drawn this much larger and scaled down, which smooths their lines.
const SCALE: usize = 2;
const FONT: &str = "sans-serif";

/// A line or point chart.
///
/// ```
/// use pixel_iqn_train::plot::{Chart, Mark, Series};
///
/// let points = (0..10).map(|i| (f64::from(i), f64::from(i * i))).collect();
/// let squares = Series::new(Mark::Line(2), points).with_label("squares");
/// let chart = Chart::new("Squares", "x", "x * x").with_series(vec![squares]);
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("squares.png");
/// chart.save(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    title: &'a str,
    x_label: &'a str,
    y_label: &'a str,
    series: Vec<Series<'a>>,
    y_range: Option<Range<f64>>,
}

impl<'a> Chart<'a> {
    /// Prepares a chart with a title above it and a label for each axis.
    pub fn new(title: &'a str, x_label: &'a str, y_label: &'a str) -> Self {
        Self {
            title,
            x_label,
            y_label,
            series: Vec::new(),
            y_range: None,
        }
    }

    /// Sets what is drawn, the lowest first.
    pub fn with_series(self, series: Vec<Series<'a>>) -> Self {
        Self { series, ..self }
    }

    /// Cuts the vertical axis for training curves: from just under the lowest value of the series to
    /// the 97th percentile, so that the fall of the first steps does not flatten all the rest. Lines
    /// are cut at its ends, dots beyond it are drawn on its edge.
    pub fn without_start(self) -> Self {
        let points = self.series.iter().flat_map(|series| &series.points);
        let mut values: Vec<f64> = points.map(|point| point.1).collect();
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (Some(&low), Some(&high)) = (
            values.first(),
            values.get(values.len().saturating_sub(1) * 97 / 100),
        ) else {
            return self;
        };
        let margin = 0.05 * (high - low).max(1e-3 * high.abs());
        Self {
            y_range: Some(low - margin..high + margin),
            ..self
        }
    }

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
            // The last number of an axis may stand half beyond its end.
            .margin_right(36 * unit)
            .caption(self.title, text(22))
            .x_label_area_size(52 * unit)
            .y_label_area_size(72 * unit)
            .build_cartesian_2d(x.clone(), y.clone())?;
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
                .position(self.emptier_corner(&x, &y))
                .legend_area_size(34 * unit)
                .margin(12 * unit)
                .label_font(text(16))
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(210, 210, 214).stroke_width(unit))
                .draw()?;
        }
        root.present()
    }

    /// Where the legend hides fewer points: in the upper right corner, unless the upper left one has fewer.
    fn emptier_corner(&self, x: &Range<f64>, y: &Range<f64>) -> SeriesLabelPosition {
        // The part of each axis that a legend of a few entries takes.
        let [width, height] = [0.3 * (x.end - x.start), 0.2 * (y.end - y.start)];
        let high = |point: &&(f64, f64)| (y.end - height..=y.end).contains(&point.1);
        let points = || self.series.iter().flat_map(|series| &series.points);
        let left = points().filter(high).filter(|at| at.0 < x.start + width);
        let right = points().filter(high).filter(|at| at.0 > x.end - width);
        match left.count() < right.count() {
            true => SeriesLabelPosition::UpperLeft,
            false => SeriesLabelPosition::UpperRight,
        }
    }
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
    use crate::plot::color;

    #[test]
    fn marks_have_the_colour_and_the_size_of_their_series() {
        let mut pixels = vec![0; 12 * SIZE[0] * SIZE[1]];
        let size = SIZE.map(|length| (length * SCALE) as u32);
        let mut inked = |mark| {
            let series = Series::new(mark, vec![(0.0, 0.0), (1.0, 1.0)]).with_color(color::ORANGE);
            let chart = Chart::new("t", "x", "y").with_series(vec![series]);
            chart.draw(&mut pixels, size).unwrap();
            let pixels = pixels.chunks(3);
            pixels.filter(|pixel| *pixel == color::ORANGE).count()
        };
        let (thin, thick) = (inked(Mark::Line(1)), inked(Mark::Line(4)));
        assert!(0 < thin && thin < thick, "{thin} {thick}");
        let dashes = inked(Mark::Dashes(4));
        assert!(thick / 3 < dashes && dashes < thick, "{dashes} {thick}");
        assert!(inked(Mark::Dots(5)) > 0);
    }

    #[test]
    fn long_numbers_stay_within_the_picture() {
        let mut pixels = vec![0; 12 * SIZE[0] * SIZE[1]];
        let size = SIZE.map(|length| (length * SCALE) as u32);
        let points = vec![(1.0, 0.0), (1_000_000.0, 0.0123)];
        let series = Series::new(Mark::Line(1), points).with_label("s");
        let chart = Chart::new("t", "x", "y").with_series(vec![series]);
        chart.draw(&mut pixels, size).unwrap();
        let width = 3 * SIZE[0] * SCALE;
        let white = |pixels: &[u8]| pixels.iter().all(|value| *value == 255);
        for row in pixels.chunks(width) {
            assert!(white(&row[..3 * SCALE]) && white(&row[width - 3 * SCALE..]));
        }
        let rows: Vec<_> = pixels.chunks(width).collect();
        assert!(white(rows[0]) && white(rows[rows.len() - 1]));
    }

    #[test]
    fn the_legend_is_where_it_hides_fewer_points() {
        let corner = |points: &[(f64, f64)]| {
            let series = Series::new(Mark::Dots(1), points.to_vec()).with_label("s");
            let chart = Chart::new("t", "x", "y").with_series(vec![series]);
            chart.emptier_corner(&(0.0..1.0), &(0.0..1.0))
        };
        let is_left =
            |points: &[(f64, f64)]| matches!(corner(points), SeriesLabelPosition::UpperLeft);
        assert!(is_left(&[(0.9, 0.95), (0.8, 0.9), (0.1, 0.1)]));
        assert!(!is_left(&[(0.1, 0.95), (0.9, 0.2)]));
        assert!(!is_left(&[]));
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
