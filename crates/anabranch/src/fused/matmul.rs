//! Matrix products over row-major slices, with the right factor packed and the result handed over tile by tile.
//!
//! ```text
//! rows     C = A B,     A [rows, depth] row-major,   B packed      (layers, and gradients of their inputs)
//! columns  C = A^T B,   A [depth, rows] row-major,   B packed      (gradients of weights)
//! ```
//!
//! `B` is cut into panels of [`PANEL`] columns, each stored `[depth, PANEL]`, so that the innermost loop reads it in
//! order. A tile of `C` has [`TILE`] rows and [`PANEL`] columns and stays in registers (12 of AVX2's 16) while it is
//! summed in the order of the depth; whoever asked for the product then adds a bias, applies an activation or scales
//! by a slope before anything is stored. Plain safe code: the compiler makes fused multiply-adds of the inner loops.

use super::scratch::Scratch;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Rows of a tile.
pub const TILE: usize = 6;
/// Columns of a panel.
pub const PANEL: usize = 16;

/// A tile of a product: rows, then columns.
pub type Tile = [[f32; PANEL]; TILE];

/// `columns` rounded up to whole panels.
pub fn padded(columns: usize) -> usize {
    columns.next_multiple_of(PANEL)
}

/// A right factor `[depth, columns]`, cut into panels; columns past the end are zero.
#[derive(Debug)]
pub struct Panels {
    values: Scratch,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// Packs the first `columns` columns of a row-major matrix of `depth` rows, `stride` apart.
    ///
    /// # Panics
    /// If a row is shorter than `columns`.
    pub fn pack(matrix: &[f32], stride: usize, depth: usize, columns: usize) -> Self {
        assert!(columns <= stride, "{columns} columns of rows {stride} apart");
        let mut values = Scratch::take(padded(columns) * depth);
        for (p, panel) in values.chunks_exact_mut((depth * PANEL).max(1)).enumerate() {
            let (start, end) = (p * PANEL, columns.min(p * PANEL + PANEL));
            for (to, row) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(matrix.chunks(stride)) {
                *to = head(&row[start..end]);
            }
        }
        Self { values, depth, columns }
    }

    /// Packs the transpose of a row-major matrix `[columns, depth]`.
    pub fn pack_transposed(matrix: &[f32], columns: usize, depth: usize) -> Self {
        let mut values = Scratch::take(padded(columns) * depth);
        // In squares, so that neither side is read or written across the whole matrix.
        let panels = values.chunks_exact_mut((depth * PANEL).max(1));
        for (panel, rows) in panels.zip(matrix.chunks((depth * PANEL).max(1))) {
            let mut square = [[0.0; PANEL]; PANEL];
            for (block, to) in panel.chunks_mut(PANEL * PANEL).enumerate() {
                for (c, row) in rows.chunks_exact(depth).enumerate() {
                    let row: [f32; PANEL] = head(&row[block * PANEL..]);
                    square.iter_mut().zip(row).for_each(|(to, value)| to[c] = value);
                }
                // Whole lines of the cache at once: the panel may still be in another core's.
                to.copy_from_slice(&square.as_flattened()[..to.len()]);
            }
        }
        Self { values, depth, columns }
    }

    /// Rows of the factor.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the factor.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// `out += factor * row`, with `out` padded.
    pub fn add_row(&self, row: usize, factor: f32, out: &mut [f32]) {
        for (panel, out) in out.chunks_exact_mut(PANEL).enumerate() {
            let values = &self.panel(panel, row + 1)[row * PANEL..];
            out.iter_mut().zip(values).for_each(|(o, v)| *o += factor * v);
        }
    }

    /// `out = row B` at the columns from `first` on alone, as many as `out` holds.
    ///
    /// # Panics
    /// If there are not so many columns.
    pub fn row_times(&self, row: &[f32], first: usize, out: &mut [f32]) {
        assert!(first + out.len() <= self.columns, "columns of the factor");
        Arch::new().dispatch(RowTimes { row, b: self, first, out });
    }

    fn panels(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }

    #[inline(always)]
    fn panel(&self, index: usize, depth: usize) -> &[f32] {
        &self.values[index * self.depth * PANEL..][..depth * PANEL]
    }
}

/// The first numbers of a slice, followed by zeros where it is shorter.
#[inline(always)]
fn head<const N: usize>(values: &[f32]) -> [f32; N] {
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut head = [0.0; N];
        head[..values.len()].copy_from_slice(values);
        head
    })
}

/// Where a tile of a product belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The first row.
    pub row: usize,
    /// The first column.
    pub column: usize,
    /// How many of the tile's rows are part of the product.
    pub rows: usize,
    /// How many of the tile's columns are part of the product.
    pub columns: usize,
}

/// `A B` with `A` row-major, `depth` numbers in each of `rows` rows that lie `stride` apart; only the first `depth` rows
/// of `B` are read.
///
/// # Panics
/// If `B` has fewer rows than `depth`, or `A` is too short.
///
/// `each` must be inlined (`#[inline(always)]`), and so must the whole call into a function compiled for the machine's
/// vectors (a `NullaryFnOnce` handed to `pulp::Arch::dispatch`): else the tile leaves the registers.
#[inline(always)]
pub fn rows_times(
    a: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    b: &Panels,
    mut each: impl FnMut(Place, &Tile),
) {
    for panel in 0..b.panels() {
        let column = panel * PANEL;
        let values = b.panel(panel, depth);
        for row in (0..rows).step_by(TILE) {
            let at = |i: usize| &a[(row + i).min(rows - 1) * stride..][..depth];
            let [a0, a1, a2, a3, a4, a5] = [at(0), at(1), at(2), at(3), at(4), at(5)];
            let mut tile = [[0.0; PANEL]; TILE];
            let entries = values.chunks_exact(PANEL).zip(a0).zip(a1).zip(a2).zip(a3).zip(a4).zip(a5);
            for ((((((b, x0), x1), x2), x3), x4), x5) in entries {
                let x = [*x0, *x1, *x2, *x3, *x4, *x5];
                for i in 0..TILE {
                    for j in 0..PANEL {
                        tile[i][j] = x[i].mul_add(b[j], tile[i][j]);
                    }
                }
            }
            let place =
                Place { row, column, rows: TILE.min(rows - row), columns: PANEL.min(b.columns - column) };
            each(place, &tile);
        }
    }
}

/// Writes `A^T B` to `out`, row-major `[columns of A, columns of B]`, with `A` row-major: `columns` numbers in each of
/// `B`'s depth rows that lie `stride` apart.
///
/// # Panics
/// If a slice is too short.
pub fn columns_times(a: &[f32], stride: usize, columns: usize, b: &Panels, out: &mut [f32]) {
    let strips = Strips::pack(a, stride, columns, b.depth);
    Arch::new().dispatch(ColumnsTimes { strips, columns, b, out });
}

/// A transposed left factor, cut into strips of [`TILE`] columns, each stored `[depth, TILE]`: read in place, its rows
/// would lie in few sets of the cache and drive each other out.
struct Strips {
    values: Scratch,
    depth: usize,
}

impl Strips {
    fn pack(matrix: &[f32], stride: usize, columns: usize, depth: usize) -> Self {
        let mut values = Scratch::take(columns.div_ceil(TILE) * depth * TILE);
        // A few rows at a time, so that they stay in cache for all strips.
        const ROWS: usize = 16;
        for first in (0..depth).step_by(ROWS) {
            let rows = &matrix[first * stride..];
            for (s, strip) in values.chunks_exact_mut(depth * TILE).enumerate() {
                let tiles = strip[first * TILE..].as_chunks_mut::<TILE>().0.iter_mut().take(ROWS);
                for (to, row) in tiles.zip(rows.chunks(stride)) {
                    *to = head(&row[s * TILE..]);
                }
            }
        }
        Self { values, depth }
    }

    fn strips(&self) -> impl Iterator<Item = &[[f32; TILE]]> {
        self.values.chunks_exact((self.depth * TILE).max(1)).map(|strip| strip.as_chunks::<TILE>().0)
    }
}

struct ColumnsTimes<'a> {
    strips: Strips,
    columns: usize,
    b: &'a Panels,
    out: &'a mut [f32],
}

impl NullaryFnOnce for ColumnsTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { strips, columns, b, out } = self;
        for panel in 0..b.panels() {
            let column = panel * PANEL;
            let width = PANEL.min(b.columns - column);
            let values = b.panel(panel, b.depth);
            for (s, strip) in strips.strips().enumerate() {
                let mut tile = [[0.0; PANEL]; TILE];
                for (b, x) in values.chunks_exact(PANEL).zip(strip) {
                    for i in 0..TILE {
                        for j in 0..PANEL {
                            tile[i][j] = x[i].mul_add(b[j], tile[i][j]);
                        }
                    }
                }
                for (i, row) in tile.iter().enumerate().take(columns - s * TILE) {
                    out[(s * TILE + i) * b.columns + column..][..width].copy_from_slice(&row[..width]);
                }
            }
        }
    }
}

/// One row times some columns of `B`.
struct RowTimes<'a> {
    row: &'a [f32],
    b: &'a Panels,
    first: usize,
    out: &'a mut [f32],
}

impl NullaryFnOnce for RowTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { row, b, first, out } = self;
        let end = first + out.len();
        for panel in first / PANEL..end.div_ceil(PANEL) {
            let start = panel * PANEL;
            let mut sum = [0.0; PANEL];
            for (b, x) in b.panel(panel, b.depth).chunks_exact(PANEL).zip(row) {
                for j in 0..PANEL {
                    sum[j] = x.mul_add(b[j], sum[j]);
                }
            }
            let (from, to) = (first.max(start), end.min(start + PANEL));
            out[from - first..to - first].copy_from_slice(&sum[from - start..to - start]);
        }
    }
}

/// `A B` with `A` row-major `[rows, depth]` into `out`, row-major `[rows, columns]`.
struct RowsTimes<'a> {
    a: &'a [f32],
    b: &'a Panels,
    out: &'a mut [f32],
}

impl NullaryFnOnce for RowsTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { a, b, out } = self;
        let (depth, columns) = (b.depth, b.columns);
        rows_times(
            a,
            depth,
            a.len() / depth,
            depth,
            b,
            #[inline(always)]
            |place, tile| {
                for (i, row) in tile.iter().enumerate().take(place.rows) {
                    let to = &mut out[(place.row + i) * columns + place.column..][..place.columns];
                    to.copy_from_slice(&row[..place.columns]);
                }
            },
        );
    }
}

/// `A B` of row-major matrices `[rows, depth]` and `[depth, columns]`, into `out`, on the threads of the current pool.
///
/// # Panics
/// If a slice has another length than its shape says.
pub fn multiply(a: &[f32], b: &[f32], [rows, depth, columns]: [usize; 3], out: &mut [f32]) {
    assert_eq!((a.len(), b.len(), out.len()), (rows * depth, depth * columns, rows * columns), "the shapes");
    let b = Panels::pack(b, columns, depth, columns);
    const BLOCK: usize = 16 * TILE;
    let blocks = out.par_chunks_mut(BLOCK * columns).zip(a.par_chunks(BLOCK * depth));
    blocks.for_each(|(out, a)| Arch::new().dispatch(RowsTimes { a, b: &b, out }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    fn oracle(a: &[f32], b: &[f32], [rows, depth, columns]: [usize; 3]) -> Vec<f64> {
        let entry = |i: usize, j: usize| -> f64 {
            (0..depth).map(|k| f64::from(a[i * depth + k]) * f64::from(b[k * columns + j])).sum()
        };
        (0..rows * columns).map(|at| entry(at / columns, at % columns)).collect()
    }

    fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
        let rows = values.len() / columns;
        (0..values.len()).map(|at| values[at % rows * columns + at / rows]).collect()
    }

    #[test]
    fn products_agree_with_the_definition() {
        for shape in [[1, 1, 1], [6, 16, 16], [7, 3, 17], [13, 40, 5], [200, 9, 33], [2, 64, 100], [5, 5, 1]]
        {
            let [rows, depth, columns] = shape;
            let a = Noise::new(1, Purpose::Metric).normal(rows, depth);
            let b = Noise::new(2, Purpose::Metric).normal(depth, columns);
            let expected = oracle(&a, &b, shape);
            let close = |found: &[f32]| {
                found.iter().zip(&expected).all(|(f, e)| (f64::from(*f) - e).abs() < 1e-5 * (1.0 + e.abs()))
            };
            let mut out = vec![f32::NAN; rows * columns];
            multiply(&a, &b, shape, &mut out);
            assert!(close(&out), "{shape:?}");
            out.fill(f32::NAN);
            let panels = Panels::pack_transposed(&transposed(&b, columns), columns, depth);
            assert_eq!(panels.values[..], Panels::pack(&b, columns, depth, columns).values[..]);
            columns_times(&transposed(&a, depth), rows, rows, &panels, &mut out);
            assert!(close(&out), "transposed, {shape:?}");
        }
    }
}
