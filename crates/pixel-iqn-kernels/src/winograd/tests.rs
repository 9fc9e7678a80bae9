//! The convolutions of grids against those of their taps.

use proptest::prelude::*;

use super::{
    GridPanels, RowPanels, RowTaps, TapGrid, convolve_grid, convolve_grid_onto,
    grid_weight_gradient,
};
use crate::batch_reduce::{Init, OutputMatrix};
use crate::conv::{Tap, convolve, convolve_onto};
use crate::panels::Panels;
use crate::rows::Rows;
use crate::testing::{distance, values};
use crate::weight_gradient::weight_gradient;

#[test]
fn errors_are_those_of_single_precision() {
    let (dims, [inputs, outputs]) = ([1, 8, 12], [96, 40]);
    let positions = dims.iter().product::<usize>();
    let first = Tap {
        row: -1,
        column: -1,
    };
    let grid = TapGrid { first, dilation: 1 };
    let taps = grid.taps();
    let x = values(1, positions * inputs);
    let w = values(2, taps.len() * inputs * outputs);
    let at = |tap: usize, i: usize, o: usize| w[(tap * inputs + i) * outputs + o];
    let mut expected = vec![0.0f64; positions * outputs];
    for (position, expected) in expected.chunks_exact_mut(outputs).enumerate() {
        let (row, column) = ((position / 12) as isize, (position % 12) as isize);
        for (t, tap) in taps.iter().enumerate() {
            let (row, column) = (row + tap.row, column + tap.column);
            if !(0..8).contains(&row) || !(0..12).contains(&column) {
                continue;
            }
            for (i, &x) in x[(row * 12 + column) as usize * inputs..][..inputs]
                .iter()
                .enumerate()
            {
                for (o, sum) in expected.iter_mut().enumerate() {
                    *sum += f64::from(x) * f64::from(at(t, i, o));
                }
            }
        }
    }
    let panels = GridPanels::new([inputs, outputs], |i, o| {
        core::array::from_fn(|tap| at(tap, i, o))
    });
    let found = convolve_grid(&x, dims, &panels, grid, None);
    let scale = (expected.iter().map(|y| y * y).sum::<f64>() / expected.len() as f64).sqrt();
    let errors = found
        .iter()
        .zip(&expected)
        .map(|(&y, e)| (f64::from(y) - e).abs());
    let error = errors.fold(0.0, f64::max) / scale;
    assert!(error < 5e-6, "{error}");
}

proptest! {
    #[test]
    fn rows_equal_their_taps(
        (columns, images, dilation) in (1..14usize, 1..5usize, 1..4usize),
        (inputs, outputs) in (1..40usize, 1..70usize),
        gap in 0..3usize,
        seed in any::<u32>(),
    ) {
        let row = (columns + 2 * dilation) * images;
        let starts = [gap, gap + row];
        let x = values(seed, (gap + 2 * row) * inputs);
        let w = values(seed ^ 1, 6 * inputs * outputs);
        let at = |tap: usize, i: usize, o: usize| w[(tap * inputs + i) * outputs + o];
        let before = values(seed ^ 2, columns * images * outputs);
        let direct = Panels::new([6, inputs, outputs], |k, o| at(k / inputs, k % inputs, o));
        let taps: Vec<usize> = (starts.iter())
            .flat_map(|start| (0..3).map(move |c| (start + c * dilation * images) * inputs))
            .collect();
        let mut expected = before.clone();
        let output = OutputMatrix {
            data: &mut expected,
            row_stride: outputs,
            rows: columns * images,
            columns: outputs,
        };
        direct.multiply(Rows { data: &x, stride: inputs }, &taps, Init::Output, output);
        let panels = RowPanels::new([inputs, outputs], |row, i, o| {
            core::array::from_fn(|c| at(3 * row + c, i, o))
        });
        let taps = RowTaps { starts, columns, images, dilation };
        let mut found = before.clone();
        panels.accumulate(&x, taps, panels.part(0, 1), &mut found);
        prop_assert!(distance(&found, &expected) < 1e-4);
        for part in (0..3).map(|thread| panels.part(thread, 3)) {
            let of_part = |all: &[f32]| -> Vec<f32> {
                all.chunks(outputs).flat_map(|row| &row[part.clone()]).copied().collect()
            };
            let mut sums = of_part(&before);
            panels.accumulate(&x, taps, part.clone(), &mut sums);
            prop_assert_eq!(sums, of_part(&found));
        }
    }

    #[test]
    fn grids_equal_their_taps(
        dims in (1..3usize, 1..14usize, 1..14usize),
        (inputs, outputs) in (1..40usize, 1..40usize),
        (first, dilation) in ((-6..4isize, -6..4isize), 1..4usize),
        by_image in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let dims = [dims.0, dims.1, dims.2];
        let positions = dims.iter().product::<usize>();
        let grid = TapGrid { first: Tap { row: first.0, column: first.1 }, dilation };
        let taps = grid.taps();
        let x = values(seed, positions * inputs);
        let w = values(seed ^ 1, taps.len() * inputs * outputs);
        let bias = values(seed ^ 2, outputs * if by_image { dims[0] } else { 1 });
        let dy = values(seed ^ 3, positions * outputs);
        let at = |tap: usize, i: usize, o: usize| w[(tap * inputs + i) * outputs + o];

        let direct = Panels::new([6, inputs, outputs], |k, o| at(k / inputs, k % inputs, o));
        let panels = GridPanels::new([inputs, outputs], |i, o| {
            core::array::from_fn(|tap| at(tap, i, o))
        });
        let expected = convolve(&x, dims, &direct, &taps, Some(&bias));
        let found = convolve_grid(&x, dims, &panels, grid, Some(&bias));
        prop_assert!(distance(&found, &expected) < 1e-4);
        let (mut expected, mut found) = (dy.clone(), dy.clone());
        convolve_onto(&x, dims, &direct, &taps, &mut expected);
        convolve_grid_onto(&x, dims, &panels, grid, &mut found);
        prop_assert!(distance(&found, &expected) < 1e-4);

        let mirrored: Vec<Tap> = taps.iter().map(|tap| tap.mirrored()).collect();
        let transposed =
            Panels::new([6, outputs, inputs], |k, i| at(k / outputs, i, k % outputs));
        let panels = GridPanels::new([outputs, inputs], |o, i| {
            core::array::from_fn(|tap| at(TapGrid::TAPS - 1 - tap, i, o))
        });
        let expected = convolve(&dy, dims, &transposed, &mirrored, None);
        let found = convolve_grid(&dy, dims, &panels, grid.mirrored(), None);
        prop_assert!(distance(&found, &expected) < 1e-4);

        let expected = weight_gradient(&x, &dy, dims, &taps, None);
        let found = grid_weight_gradient(&x, &dy, dims, grid);
        prop_assert!(distance(&found, &expected) < 2e-4);
    }
}
