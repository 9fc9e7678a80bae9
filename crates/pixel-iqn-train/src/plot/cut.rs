//! Points and lines cut to the vertical range of a chart.

use core::ops::Range;

/// The points that are numbers, those beyond a range of y on its ends.
pub(super) fn on_edge(points: &[(f64, f64)], range: &Range<f64>) -> Vec<(f64, f64)> {
    let finite = points.iter().filter(|point| point.1.is_finite());
    let inside = |&(x, y): &(f64, f64)| (x, y.clamp(range.start, range.end));
    finite.map(inside).collect()
}

/// The pieces of a line that lie in a range of y, cut where the line crosses its ends.
pub(super) fn pieces(points: &[(f64, f64)], range: &Range<f64>) -> Vec<Vec<(f64, f64)>> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
