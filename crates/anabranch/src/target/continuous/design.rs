//! A design matrix times several points at once.
//!
//! ```text
//! margins     m = X w     [rows]        of a block of points      `Design::margins`
//! pull        g = X^T s   [columns]     of what rows say          `Design::pull`
//! ```
//!
//! A block is an array of [`LANES`] numbers for each coordinate, one for each point, so that every sum runs over all of them at
//! once, in the order of its terms. A matrix is stored in panels of [`PANEL`] rows, `[depth, PANEL]` each.

use pulp::{Arch, NullaryFnOnce};

/// Points of a block.
pub(super) const LANES: usize = 8;

/// Sums that are formed together.
const PANEL: usize = 4;

/// A number for each point of a block.
pub(super) type Lane = [f64; LANES];

/// A matrix and its transpose, in panels.
#[derive(Debug, Clone)]
pub(super) struct Design {
    rows: usize,
    columns: usize,
    by_row: Vec<[f64; PANEL]>,
    by_column: Vec<[f64; PANEL]>,
}

impl Design {
    /// Of a row-major matrix.
    pub(super) fn new(values: &[f64], columns: usize) -> Self {
        let rows = values.len() / columns;
        let panels = |count: usize, depth: usize, at: &dyn Fn(usize, usize) -> f64| {
            let panel = |first: usize, k: usize| {
                std::array::from_fn(|r| if first + r < count { at(first + r, k) } else { 0.0 })
            };
            (0..count).step_by(PANEL).flat_map(|first| (0..depth).map(move |k| panel(first, k))).collect()
        };
        Self {
            by_row: panels(rows, columns, &|row, column| values[row * columns + column]),
            by_column: panels(columns, rows, &|column, row| values[row * columns + column]),
            rows,
            columns,
        }
    }

    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// `X w`: from `[columns]` to `[rows]`.
    pub(super) fn margins(&self, points: &[Lane], out: &mut [Lane]) {
        debug_assert_eq!((points.len(), out.len()), (self.columns, self.rows));
        Arch::new().dispatch(Product { panels: &self.by_row, factor: points, out });
    }

    /// `X^T s`: from `[rows]` to `[columns]`.
    pub(super) fn pull(&self, rows: &[Lane], out: &mut [Lane]) {
        debug_assert_eq!((rows.len(), out.len()), (self.rows, self.columns));
        Arch::new().dispatch(Product { panels: &self.by_column, factor: rows, out });
    }
}

struct Product<'a> {
    panels: &'a [[f64; PANEL]],
    factor: &'a [Lane],
    out: &'a mut [Lane],
}

impl NullaryFnOnce for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let depth = self.factor.len();
        for (panel, out) in self.panels.chunks_exact(depth).zip(self.out.chunks_mut(PANEL)) {
            let mut sums = [[0.0; LANES]; PANEL];
            for (rows, lane) in panel.iter().zip(self.factor) {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    sum.iter_mut().zip(lane).for_each(|(sum, x)| *sum = row.mul_add(*x, *sum));
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
    }
}

/// Writes up to [`LANES`] points `[count, columns]` as a block; lanes without one are 0.
pub(super) fn block<T: Copy + Into<f64>>(points: &[T], columns: usize, out: &mut [Lane]) {
    out.fill([0.0; LANES]);
    for (lane, point) in points.chunks_exact(columns).enumerate() {
        out.iter_mut().zip(point).for_each(|(to, x)| to[lane] = (*x).into());
    }
}

/// The numbers of one lane of a block.
pub(super) fn lane(block: &[Lane], lane: usize) -> impl Iterator<Item = f64> + '_ {
    block.iter().map(move |numbers| numbers[lane])
}
