use rayon::prelude::*;

/// Rows that are added up at a time: a fixed number, so that the sums do not depend on the threads.
const CHUNK: usize = 256;

/// A matrix in a slice, whose rows start `stride` numbers apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T = f32> {
    /// The slice, from the first row on.
    pub data: &'a [T],
    /// The distance from one row to the next.
    pub stride: usize,
}

/// Adds a bias to each row of a matrix.
///
/// # Shapes
///
/// - `y`: `[rows, columns]`
/// - `bias`: `[columns]`, or `[parts, columns]` with a bias for each of `parts` equal parts of the
///   rows
///
/// # Panics
///
/// Panics if the bias is empty, or if the rows do not divide into the parts.
pub fn add_rows(y: &mut [f32], bias: &[f32], columns: usize) {
    if y.is_empty() {
        return;
    }
    let part = y.len() * columns / bias.len();
    assert_eq!(
        y.len() * columns,
        part * bias.len(),
        "the bias does not fit"
    );
    y.par_chunks_mut(part)
        .zip(bias.par_chunks(columns))
        .for_each(|(y, bias)| {
            y.par_chunks_mut(columns)
                .with_min_len(CHUNK)
                .for_each(|row| {
                    for (y, bias) in row.iter_mut().zip(bias) {
                        *y += bias;
                    }
                });
        });
}

/// Adds up the rows of each of `parts` equal parts of a matrix.
///
/// # Shapes
///
/// - `x`: `[rows, columns]`, with a stride of `columns`
/// - output: `[parts, columns]`
///
/// # Panics
///
/// Panics if there are no parts, or if the rows do not divide into them.
pub fn column_sums(x: Rows<'_>, parts: usize) -> Vec<f32> {
    let columns = x.stride;
    let part = x.data.len() / parts;
    assert_eq!(x.data.len(), parts * part, "the rows do not divide");
    let mut sums = vec![0.0; parts * columns];
    if sums.is_empty() || part == 0 {
        return sums;
    }
    sums.par_chunks_mut(columns)
        .zip(x.data.par_chunks(part))
        .for_each(|(sums, x)| {
            // Chunks of a fixed size, whose sums are added in order, give the same result on any
            // number of threads.
            let chunks: Vec<Vec<f32>> = x
                .par_chunks(CHUNK * columns)
                .map(|rows| {
                    let mut sums = vec![0.0f32; columns];
                    for row in rows.chunks_exact(columns) {
                        for (sum, x) in sums.iter_mut().zip(row) {
                            *sum += x;
                        }
                    }
                    sums
                })
                .collect();
            for chunk in chunks {
                for (sum, x) in sums.iter_mut().zip(chunk) {
                    *sum += x;
                }
            }
        });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    #[test]
    fn rows_are_added_by_part() {
        let mut y = vec![1.0; 8];
        add_rows(&mut y, &[1.0, 2.0, 3.0, 4.0], 2);
        assert_eq!(y, [2.0, 3.0, 2.0, 3.0, 4.0, 5.0, 4.0, 5.0]);
        add_rows(&mut y, &[10.0, 0.0], 2);
        assert_eq!(y, [12.0, 3.0, 12.0, 3.0, 14.0, 5.0, 14.0, 5.0]);
    }

    #[test]
    fn sums_do_not_depend_on_the_threads() {
        let x = values(7, 1500 * 20);
        let rows = Rows {
            data: &x,
            stride: 20,
        };
        let sums = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| column_sums(rows, 3))
        };
        assert_eq!(sums(1), sums(4));
        for (i, sum) in sums(1).iter().enumerate() {
            let (part, column) = (i / 20, i % 20);
            let expected: f64 = (0..500)
                .map(|row| f64::from(x[(part * 500 + row) * 20 + column]))
                .sum();
            assert!((f64::from(*sum) - expected).abs() < 1e-3);
        }
    }
}
