//! Matrix products over row-major slices, with the right factor packed and the result handed over tile by tile.
//!
//! ```text
//! rows     C = A B,     A [rows, depth] row-major,   B packed      (layers, and gradients of their inputs)
//! columns  C = A^T B,   A [depth, rows] and B row-major            (gradients of weights)
//! ```
//!
//! A packed `B` is cut into panels of [`PANEL`] columns, each stored `[depth, PANEL]`, so that the innermost loop reads it in
//! order. A tile of `C` has a few rows and one panel's columns, or two panels', and stays in registers while it is summed
//! in the order of the depth; whoever asked for the product then adds a bias, applies an activation or scales by a slope
//! before anything is stored. Plain safe code: the compiler makes fused multiply-adds of the inner loops.

use super::chunk::chunk_rows;
use super::scratch::Scratch;
use pulp::{Arch, NullaryFnOnce, Scalar, Simd};
use rayon::prelude::*;

/// Columns of a panel.
pub const PANEL: usize = 16;

/// A kernel that forms products in tiles of at most `ROWS` rows and `PANELS` panels, a panel's row being `VECTORS`
/// vectors.
///
/// Everything that `call` calls must be inlined into it (`#[inline(always)]`), so that it is compiled for the machine's
/// vectors: else tiles leave the registers.
pub trait Tiled {
    /// What the kernel answers.
    type Output;

    /// Runs the kernel.
    fn call<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(
        self,
        simd: S,
    ) -> Self::Output;
}

/// Runs a kernel with vectors and tiles as the machine has them: 8 rows and two panels in AVX-512's 32 registers, 6 rows
/// and one panel in AVX2's 16. Entries are summed in the same order either way, so that the machine changes no bit.
pub fn dispatch<K: Tiled>(kernel: K) -> K::Output {
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => simd.vectorize(On::<_, 8, 1, 2, K> { simd, kernel }),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => simd.vectorize(On::<_, 6, 2, 1, K> { simd, kernel }),
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(simd) => simd.vectorize(On::<_, 6, 4, 1, K> { simd, kernel }),
        _ => On::<_, 4, PANEL, 1, K> { simd: Scalar, kernel }.call(),
    }
}

/// A kernel on one kind of machine.
struct On<S, const ROWS: usize, const VECTORS: usize, const PANELS: usize, K> {
    simd: S,
    kernel: K,
}

impl<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize, K: Tiled> NullaryFnOnce
    for On<S, ROWS, VECTORS, PANELS, K>
{
    type Output = K::Output;

    #[inline(always)]
    fn call(self) -> K::Output {
        self.kernel.call::<S, ROWS, VECTORS, PANELS>(self.simd)
    }
}

/// Rows of the next tile where `left` are left: no more than half of the last tiles is wasted, for a tile of fewer than 8
/// vectors keeps the multipliers waiting.
#[inline(always)]
fn tile_rows<const ROWS: usize>(left: usize) -> usize {
    match left {
        0..=4 => 4,
        7..=8 if ROWS < 8 => 4,
        _ => ROWS,
    }
}

/// `columns` rounded up to whole panels.
pub fn padded(columns: usize) -> usize {
    columns.next_multiple_of(PANEL)
}

/// How far apart the rows of a buffer of `columns` columns lie: whole panels, and an odd number of cache lines. Of rows a
/// power of two apart, a column's lines would share few sets of the cache and drive each other out.
pub fn row_stride(columns: usize) -> usize {
    (columns.div_ceil(PANEL) | 1) * PANEL
}

/// Rows of a buffer, `stride` numbers apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// From the start of a row to the start of the next.
    pub stride: usize,
    /// How many rows.
    pub count: usize,
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

    /// `out += factor * row`, with `out` at least padded.
    pub fn add_row(&self, row: usize, factor: f32, out: &mut [f32]) {
        for (panel, out) in out.chunks_exact_mut(PANEL).enumerate().take(self.panels()) {
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
}

/// `A B` with the first `depth` numbers of each row of `A`; only the first `depth` rows of `B` are read. `each` is given every tile, of which `Place::rows` rows count.
///
/// # Panics
/// If `B` has fewer rows than `depth`, or `A` is too short.
#[inline(always)]
pub fn rows_times<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(
    simd: S,
    a: Rows<'_>,
    depth: usize,
    b: &Panels,
    mut each: impl FnMut(Place, &[[f32; PANEL]]),
) {
    let a = Left { rows: a, depth };
    let mut panel = 0;
    while panel < b.panels() {
        if panel + PANELS <= b.panels() {
            a.strip::<S, ROWS, VECTORS, PANELS>(simd, b, panel, &mut each);
            panel += PANELS;
        } else {
            a.strip::<S, ROWS, VECTORS, 1>(simd, b, panel, &mut each);
            panel += 1;
        }
    }
}

/// Numbers of a row that are read before the next row's.
const STRETCH: usize = 8;

/// A left factor, row-major.
struct Left<'a> {
    rows: Rows<'a>,
    depth: usize,
}

impl Left<'_> {
    /// A row; past the end it is the last.
    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        let Rows { values, stride, count } = self.rows;
        if self.depth == 0 { &[] } else { &values[row.min(count - 1) * stride..][..self.depth] }
    }

    /// All rows times some panels.
    #[inline(always)]
    fn strip<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(
        &self,
        simd: S,
        b: &Panels,
        first: usize,
        each: &mut impl FnMut(Place, &[[f32; PANEL]]),
    ) {
        let panels: [&[f32]; PANELS] = std::array::from_fn(|p| b.panel(first + p, self.depth));
        let mut row = 0;
        while row < self.rows.count {
            let left = self.rows.count - row;
            let size = tile_rows::<ROWS>(left);
            let place = |panel: usize| Place { row, column: (first + panel) * PANEL, rows: size.min(left) };
            match size {
                4 => {
                    let tiles = self.tile::<S, 4, VECTORS, PANELS>(simd, row, panels);
                    tiles.iter().enumerate().for_each(|(panel, tile)| each(place(panel), tile));
                }
                _ => {
                    let tiles = self.tile::<S, ROWS, VECTORS, PANELS>(simd, row, panels);
                    tiles.iter().enumerate().for_each(|(panel, tile)| each(place(panel), tile));
                }
            }
            row += size;
        }
    }

    /// The rows from `first` on times some panels `[depth, PANEL]`.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(
        &self,
        simd: S,
        first: usize,
        panels: [&[f32]; PANELS],
    ) -> [[[f32; PANEL]; ROWS]; PANELS] {
        let mut sums = [[[simd.splat_f32s(0.0); VECTORS]; ROWS]; PANELS];
        let panels = panels.map(
            #[inline(always)]
            |panel| S::as_simd_f32s(panel).0.as_chunks::<VECTORS>().0,
        );
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        rows.iter_mut().enumerate().for_each(|(i, row)| *row = self.row(first + i));
        let stretches = self.depth / STRETCH;
        for at in 0..stretches {
            let mut x: [&[f32; STRETCH]; ROWS] = [&[0.0; STRETCH]; ROWS];
            for (x, row) in x.iter_mut().zip(&rows) {
                *x = &row.as_chunks::<STRETCH>().0[at];
            }
            let b = panels.map(
                #[inline(always)]
                |panel| &panel.as_chunks::<STRETCH>().0[at],
            );
            for k in 0..STRETCH {
                for i in 0..ROWS {
                    let x = simd.splat_f32s(x[i][k]);
                    for p in 0..PANELS {
                        for v in 0..VECTORS {
                            sums[p][i][v] = simd.mul_add_f32s(x, b[p][k][v], sums[p][i][v]);
                        }
                    }
                }
            }
        }
        for k in stretches * STRETCH..self.depth {
            for i in 0..ROWS {
                let x = simd.splat_f32s(rows[i][k]);
                for p in 0..PANELS {
                    for v in 0..VECTORS {
                        sums[p][i][v] = simd.mul_add_f32s(x, panels[p][k][v], sums[p][i][v]);
                    }
                }
            }
        }
        sums.map(
            #[inline(always)]
            |sums| stored::<S, ROWS, VECTORS>(&sums),
        )
    }
}

/// A tile's vectors as numbers.
#[inline(always)]
fn stored<S: Simd, const ROWS: usize, const VECTORS: usize>(
    sums: &[[S::f32s; VECTORS]; ROWS],
) -> [[f32; PANEL]; ROWS] {
    let mut tile = [[0.0; PANEL]; ROWS];
    for (row, sums) in tile.iter_mut().zip(sums) {
        let (vectors, _) = S::as_mut_simd_f32s(row);
        vectors.copy_from_slice(sums);
    }
    tile
}

/// Writes `A^T B` to `out`, row-major `[columns, width]`: of each row of `A` the first `columns` numbers count, of `B` the
/// first `width`. Rows are read where they are, up to whole panels: they should lie a [`row_stride`] apart.
///
/// # Panics
/// If there are not as many rows of both, rows are not whole panels apart, or a slice is too short.
pub fn columns_times(a: Rows<'_>, columns: usize, b: Rows<'_>, width: usize, out: &mut [f32]) {
    assert_eq!(a.count, b.count, "rows of both factors");
    assert!(a.stride >= padded(columns) && b.stride >= padded(width), "room for whole panels in a row");
    let enough = |rows: Rows<'_>| rows.values.len() >= rows.count * rows.stride;
    assert!(enough(a) && enough(b), "as many rows as are counted");
    dispatch(ColumnsTimes { a, columns, b, width, out });
}

struct ColumnsTimes<'a> {
    a: Rows<'a>,
    columns: usize,
    b: Rows<'a>,
    width: usize,
    out: &'a mut [f32],
}

impl Tiled for ColumnsTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(mut self, simd: S) {
        let panels = self.width.div_ceil(PANEL);
        let mut panel = 0;
        while panel < panels {
            if panel + PANELS <= panels {
                self.strip::<S, ROWS, VECTORS, PANELS>(simd, panel);
                panel += PANELS;
            } else {
                self.strip::<S, ROWS, VECTORS, 1>(simd, panel);
                panel += 1;
            }
        }
    }
}

impl ColumnsTimes<'_> {
    /// All columns of `A` times some panels of `B`.
    #[inline(always)]
    fn strip<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(
        &mut self,
        simd: S,
        panel: usize,
    ) {
        let Self { a, columns, b, width, ref mut out } = *self;
        let mut next = 0;
        while next < columns {
            // The last tile starts earlier, rather than read beyond a row.
            let first = next.min(a.stride - ROWS);
            let mut sums = [[[simd.splat_f32s(0.0); VECTORS]; ROWS]; PANELS];
            let rows = a.values.chunks_exact(a.stride).zip(b.values.chunks_exact(b.stride)).take(a.count);
            for (a, b) in rows {
                let (vectors, _) = S::as_simd_f32s(&b[panel * PANEL..][..PANELS * PANEL]);
                let b = vectors.as_chunks::<VECTORS>().0;
                for (i, a) in a[first..][..ROWS].iter().enumerate() {
                    let a = simd.splat_f32s(*a);
                    for p in 0..PANELS {
                        for v in 0..VECTORS {
                            sums[p][i][v] = simd.mul_add_f32s(a, b[p][v], sums[p][i][v]);
                        }
                    }
                }
            }
            let tiles = sums.map(
                #[inline(always)]
                |sums| stored::<S, ROWS, VECTORS>(&sums),
            );
            for (p, tile) in tiles.iter().enumerate() {
                let column = (panel + p) * PANEL;
                for (row, values) in (first..columns).zip(tile) {
                    put(values, &mut out[row * width + column..(row + 1) * width]);
                }
            }
            next += ROWS;
        }
    }
}

/// Writes as much of a tile's row as there is room for.
#[inline(always)]
fn put(values: &[f32; PANEL], out: &mut [f32]) {
    match out.first_chunk_mut() {
        Some(out) => *out = *values,
        None => out.copy_from_slice(&values[..out.len()]),
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

impl Tiled for RowsTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(self, simd: S) {
        let Self { a, b, out } = self;
        let (depth, columns) = (b.depth, b.columns);
        rows_times::<S, ROWS, VECTORS, PANELS>(
            simd,
            Rows { values: a, stride: depth, count: a.len() / depth },
            depth,
            b,
            #[inline(always)]
            |place, tile| {
                for (i, row) in tile.iter().enumerate().take(place.rows) {
                    let row_of_c = place.row + i;
                    put(row, &mut out[row_of_c * columns + place.column..(row_of_c + 1) * columns]);
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
    let block = chunk_rows(rows);
    let blocks = out.par_chunks_mut(block * columns).zip(a.par_chunks(block * depth));
    blocks.for_each(|(out, a)| dispatch(RowsTimes { a, b: &b, out }));
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

    /// Rows a stride apart, with nothing to be read between them.
    fn apart(values: &[f32], columns: usize) -> Vec<f32> {
        let row = |row: &[f32]| {
            let mut row = row.to_vec();
            row.resize(row_stride(columns), f32::NAN);
            row
        };
        values.chunks(columns).flat_map(row).collect()
    }

    fn of(values: &[f32], columns: usize) -> Rows<'_> {
        let stride = row_stride(columns);
        Rows { values, stride, count: values.len() / stride }
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
            let (a, b) = (apart(&transposed(&a, depth), rows), apart(&b, columns));
            columns_times(of(&a, rows), rows, of(&b, columns), columns, &mut out);
            assert!(close(&out), "transposed, {shape:?}");
        }
    }
}
