//! Laws of neighbours on a torus of few columns, exactly: a row at a time, by transfer matrices.
//!
//! ```text
//! log R = sum of terms inside row y, log D_y(r_y), and between rows y and y + 1, log V_y(r_y, r_{y+1});   row `height` is row 0
//! B_y(c, r)  = sum_{r'} V_y(r, r') D_{y+1}(r') B_{y+1}(c, r'),      B_{height-1}(c, r) = V_{height-1}(r, c)
//! Z          = sum_c D_0(c) B_0(c, c)
//! p(r_0 = c) = D_0(c) B_0(c, c) / Z,    p(r_{y+1} | r_y, c) ~ V_y(r_y, r_{y+1}) D_{y+1}(r_{y+1}) B_{y+1}(c, r_{y+1})
//! ```
//!
//! `V_y` is a product over the columns: it is multiplied by a column at a time.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::ExactLaw;
use super::listed::{cumulated, placed};
use crate::math::log_sum_exp;
use crate::rng::Noise;

/// The most configurations of a row.
pub(super) const MOST_ROWS: usize = 1024;

/// A torus with a coupling `K [x_i = x_j]` for each pair of neighbours and a field for each site.
pub(super) struct Strip {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: usize,
    /// Of a site and the one to its right, `[height, width]`.
    pub(super) across: Vec<f64>,
    /// Of a site and the one below it, `[height, width]`.
    pub(super) down: Vec<f64>,
    /// `[height, width, values]`.
    pub(super) field: Vec<f64>,
}

/// The law of a strip.
struct Rows {
    strip: Strip,
    /// `log D_y(r)`, `[height, rows]`.
    inside: Vec<f64>,
    log_z: f64,
    /// `B_y` but for a factor, each `[rows, rows]`; found when draws are asked for.
    behind: OnceLock<Vec<Vec<f64>>>,
    first: Vec<f64>,
}

impl Strip {
    fn rows(&self) -> usize {
        self.values.pow(self.width as u32)
    }

    /// The value of column `x` in row configuration `row`.
    fn value(&self, row: usize, x: usize) -> usize {
        row / self.values.pow(x as u32) % self.values
    }

    /// `log D_y` of every configuration.
    fn inside(&self, y: usize) -> Vec<f64> {
        let of = |row: usize| -> f64 {
            let term = |x: usize| {
                let (here, next) = (self.value(row, x), self.value(row, (x + 1) % self.width));
                let site = y * self.width + x;
                let bond = if here == next { self.across[site] } else { 0.0 };
                bond + self.field[site * self.values + here]
            };
            (0..self.width).map(term).sum()
        };
        (0..self.rows()).map(of).collect()
    }

    /// Multiplies a function of row `y + 1` by `V_y`, in place: it becomes one of row `y`.
    fn cross(&self, y: usize, of_rows: &mut [f64]) {
        let mut column = vec![0.0; self.values];
        for x in 0..self.width {
            let (stride, same) = (self.values.pow(x as u32), self.down[y * self.width + x].exp());
            for block in of_rows.chunks_exact_mut(stride * self.values) {
                for at in 0..stride {
                    (0..self.values).for_each(|v| column[v] = block[v * stride + at]);
                    let sum: f64 = column.iter().sum();
                    (0..self.values).for_each(|v| block[v * stride + at] = sum + (same - 1.0) * column[v]);
                }
            }
        }
    }

    /// `log V_y(row, .)` of every configuration of the next row.
    fn towards(&self, y: usize, row: usize) -> Vec<f64> {
        let bond = |next: usize, x: usize| {
            if self.value(row, x) == self.value(next, x) { self.down[y * self.width + x] } else { 0.0 }
        };
        (0..self.rows()).map(|next| (0..self.width).map(|x| bond(next, x)).sum()).collect()
    }

    /// `B_y` of all `y`, the last one first, each scaled to a largest entry of 1; and the logarithms of all factors together.
    fn behind(&self, inside: &[f64], mut keep: impl FnMut(&[f64])) -> (Vec<f64>, f64) {
        let rows = self.rows();
        let mut all = vec![0.0; rows * rows];
        all.par_chunks_exact_mut(rows).enumerate().for_each(|(c, row)| {
            row[c] = 1.0;
            self.cross(self.height - 1, row);
        });
        let mut log_scale = rescaled(&mut all);
        keep(&all);
        for y in (0..self.height - 1).rev() {
            let inside = &inside[(y + 1) * rows..][..rows];
            let largest = inside.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            log_scale += largest;
            all.par_chunks_exact_mut(rows).for_each(|row| {
                row.iter_mut().zip(inside).for_each(|(b, d)| *b *= (d - largest).exp());
                self.cross(y, row);
            });
            log_scale += rescaled(&mut all);
            keep(&all);
        }
        (all, log_scale)
    }

    /// The law itself.
    pub(super) fn law(self) -> Box<dyn ExactLaw> {
        let rows = self.rows();
        let inside: Vec<f64> = (0..self.height).flat_map(|y| self.inside(y)).collect();
        let (last, log_scale) = self.behind(&inside, |_| {});
        let first: Vec<f64> = (0..rows).map(|c| inside[c] + last[c * rows + c].ln()).collect();
        let log_z = log_sum_exp(&first) + log_scale;
        Box::new(Rows { strip: self, inside, log_z, behind: OnceLock::new(), first: cumulated(first).1 })
    }
}

/// Divides by the largest entry, and answers its logarithm.
fn rescaled(all: &mut [f64]) -> f64 {
    let largest = all.par_iter().copied().reduce(|| 0.0, f64::max);
    all.par_iter_mut().for_each(|entry| *entry /= largest);
    largest.ln()
}

impl ExactLaw for Rows {
    fn log_z(&self) -> f64 {
        self.log_z
    }

    fn draw(&self, count: usize, noise: &Noise) -> Vec<u8> {
        let Strip { height, width, .. } = self.strip;
        let rows = self.strip.rows();
        let behind = self.behind.get_or_init(|| {
            let mut kept = Vec::new();
            self.strip.behind(&self.inside, |all| kept.push(all.to_vec()));
            kept.reverse();
            kept
        });
        let mut all = vec![0; count * height * width];
        all.par_chunks_exact_mut(height * width).enumerate().for_each(|(row, state)| {
            let mut stream = noise.stream(row);
            let first = placed(&self.first, stream.uniform());
            let mut here = first;
            for (y, cells) in state.chunks_exact_mut(width).enumerate() {
                if y > 0 {
                    let mut masses = self.strip.towards(y - 1, here);
                    let ahead = &behind[y][first * rows..][..rows];
                    let terms = masses.iter_mut().zip(&self.inside[y * rows..]).zip(ahead);
                    terms.for_each(|((mass, inside), ahead)| *mass += inside + ahead.ln());
                    here = placed(&cumulated(masses).1, stream.uniform());
                }
                cells.iter_mut().enumerate().for_each(|(x, cell)| *cell = self.strip.value(here, x) as u8);
            }
        });
        all
    }
}
