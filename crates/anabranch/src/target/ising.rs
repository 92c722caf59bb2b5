//! The Ising model and discrete energies of pairs: spins `s_i` of -1 or 1.
//!
//! ```text
//! log R(s) = alpha s^T J s + h^T s = sum_i alpha J_ii + sum_{i<j} K_ij s_i s_j + sum_i h_i s_i,     K_ij = 2 alpha J_ij
//! ```
//!
//! Each pair is counted twice, as in Zhang et al. (2022), torchgfn and gfnx; where a text writes `E = -1/2 s^T J s - h^T s`,
//! `alpha` is 1/2. On a lattice `J = sigma A`, A being the adjacency matrix of the ring or of the N x N torus, and `log Z` is
//! known (`partition`). On the way to an object, the terms of the spins that are there are what is known.
//!
//! Cells: 0 where there is no spin yet, 1 for -1, 2 for 1.

mod partition;

use std::sync::OnceLock;

use super::{Failure, Target, fill_rows, within};
use crate::environment::Cell;
use crate::error::Problem;

/// An energy of pairs of spins.
#[derive(Debug)]
pub struct Ising {
    /// `(j, K_ij)` of the pairs `i < j`, those of i at `starts[i]..starts[i + 1]`.
    pairs: Vec<(u32, f64)>,
    starts: Vec<usize>,
    /// `h_i`.
    field: Vec<f64>,
    /// `alpha J_ii`.
    diagonal: Vec<f64>,
    lattice: Option<Lattice>,
    /// `log Z`, once it was asked for.
    log_z: OnceLock<Option<f64>>,
}

/// A lattice with one coupling K of all neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lattice {
    Ring(f64),
    Torus(usize, f64),
}

/// The largest coupling and field.
const STRONGEST: f64 = 1e6;

/// The most spins.
const MOST_SPINS: usize = 65535;

impl Ising {
    /// A general energy of `n` spins: `matrix` is J, `[n, n]` and symmetric, `field` is h, `[n]`.
    ///
    /// # Errors
    /// If there is no spin, a size is wrong, a number too large or none, or the matrix not symmetric.
    pub fn new(alpha: f64, matrix: &[f64], field: &[f64]) -> Result<Self, Problem> {
        let n = field.len();
        within("alpha", alpha, -STRONGEST, STRONGEST)?;
        if matrix.len() != n * n {
            let found = format!("{} numbers for {n} spins", matrix.len());
            return Err(Problem::new("matrix", found).allowed(format!("{} numbers", n * n)));
        }
        matrix.iter().try_for_each(|value| within("matrix", *value, -STRONGEST, STRONGEST))?;
        let mut pairs = Vec::new();
        for i in 0..n {
            for j in i + 1..n {
                let (above, below) = (matrix[i * n + j], matrix[j * n + i]);
                if above != below {
                    let found = format!("{above} in row {i}, column {j} and {below} across");
                    return Err(Problem::new("matrix", found).allowed("a symmetric matrix"));
                }
                if above != 0.0 {
                    pairs.push((i, j, 2.0 * alpha * above));
                }
            }
        }
        let diagonal = (0..n).map(|i| alpha * matrix[i * n + i]).collect();
        Self::with(pairs, field.to_vec(), diagonal, None)
    }

    /// A ring of spins: each has two neighbours, `J_ij = sigma`. `field` is h, `[n]`.
    ///
    /// # Errors
    /// If there are fewer than 3 spins, or a number is too large or none.
    pub fn ring(alpha: f64, sigma: f64, field: &[f64]) -> Result<Self, Problem> {
        let n = field.len();
        let k = coupling(alpha, sigma)?;
        if n < 3 {
            return Err(Problem::new("spins", n.to_string()).allowed("at least 3 on a ring"));
        }
        let pairs = (0..n).map(|i| (i.min((i + 1) % n), i.max((i + 1) % n), k)).collect();
        Self::with(pairs, field.to_vec(), vec![0.0; n], Some(Lattice::Ring(k)))
    }

    /// A torus of `side * side` spins in rows: each has four neighbours, `J_ij = sigma`. `field` is h, `[side * side]`.
    ///
    /// # Errors
    /// If there are fewer than 3 spins in a row, the field is of another size, or a number is too large or none.
    pub fn torus(side: usize, alpha: f64, sigma: f64, field: &[f64]) -> Result<Self, Problem> {
        let k = coupling(alpha, sigma)?;
        if side < 3 || side.checked_mul(side) != Some(field.len()) {
            let found = format!("{side} x {side} for a field of {}", field.len());
            return Err(Problem::new("spins", found).allowed("a square of at least 3 x 3"));
        }
        let bond = |i: usize, j: usize| (i.min(j), i.max(j), k);
        let bonds = (0..side * side).flat_map(|i| {
            let (y, x) = (i / side, i % side);
            [bond(i, y * side + (x + 1) % side), bond(i, (y + 1) % side * side + x)]
        });
        Self::with(bonds.collect(), field.to_vec(), vec![0.0; side * side], Some(Lattice::Torus(side, k)))
    }

    fn with(
        mut pairs: Vec<(usize, usize, f64)>,
        field: Vec<f64>,
        diagonal: Vec<f64>,
        lattice: Option<Lattice>,
    ) -> Result<Self, Problem> {
        let n = field.len();
        within("spins", n as f64, 1.0, MOST_SPINS as f64)?;
        field.iter().try_for_each(|h| within("field", *h, -STRONGEST, STRONGEST))?;
        pairs.sort_unstable_by_key(|(i, j, _)| (*i, *j));
        let starts = (0..=n).map(|i| pairs.partition_point(|pair| pair.0 < i)).collect();
        let pairs = pairs.into_iter().map(|(_, j, k)| (j as u32, k)).collect();
        Ok(Self { pairs, starts, field, diagonal, lattice, log_z: OnceLock::new() })
    }

    /// The terms of the spins that are there.
    fn value(&self, cells: &[Cell]) -> f64 {
        let spin = |i: usize| f64::from(SPINS[usize::from(cells[i])]);
        (0..cells.len())
            .filter(|i| cells[*i] > 0)
            .map(|i| {
                let pairs = &self.pairs[self.starts[i]..self.starts[i + 1]];
                let local: f64 = pairs.iter().map(|(j, k)| k * spin(*j as usize)).sum();
                self.diagonal[i] + spin(i) * (self.field[i] + local)
            })
            .sum()
    }
}

/// The spin of a cell, 0 where there is none.
const SPINS: [i8; 3] = [0, -1, 1];

fn coupling(alpha: f64, sigma: f64) -> Result<f64, Problem> {
    within("alpha", alpha, -STRONGEST, STRONGEST)?;
    within("coupling", sigma, -STRONGEST, STRONGEST)?;
    Ok(2.0 * alpha * sigma)
}

impl Target<Cell> for Ising {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        fill_rows(objects, out, |cells| self.value(cells));
        Ok(())
    }

    fn partial(&self, states: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.log_rewards(states, conditions, out).map(|()| true)
    }

    fn log_z(&self, _: &[f32]) -> Option<f64> {
        *self.log_z.get_or_init(|| self.log_z_tempered(1.0, &[]))
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        let field: Vec<f64> = self.field.iter().map(|h| beta * h).collect();
        match self.lattice {
            Some(Lattice::Ring(k)) => Some(partition::ring(beta * k, &field)),
            Some(Lattice::Torus(side, k)) => partition::torus(side, beta * k, &field),
            None if self.pairs.is_empty() => {
                let spins = field.iter().zip(&self.diagonal);
                Some(spins.map(|(h, d)| partition::ln_two_cosh(*h) + beta * d).sum())
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::log_sum_exp;

    /// Every configuration of n spins.
    fn configurations(n: usize) -> Vec<Cell> {
        (0..1usize << n).flat_map(|bits| (0..n).map(move |i| 1 + (bits >> i & 1) as Cell)).collect()
    }

    fn enumerated(reward: &Ising, n: usize) -> f64 {
        let mut out = vec![0.0; 1 << n];
        reward.log_rewards(&configurations(n), &[], &mut out).unwrap();
        log_sum_exp(&out)
    }

    fn uneven_field(n: usize) -> Vec<f64> {
        (0..n).map(|i| 0.3 * ((3 * i + 1) as f64).sin() + 0.1).collect()
    }

    #[test]
    fn each_pair_is_counted_twice() {
        let matrix = [0.5, 1.0, -0.25, 1.0, 0.0, 2.0, -0.25, 2.0, -1.0];
        let reward = Ising::new(0.7, &matrix, &[0.1, -0.2, 0.3]).unwrap();
        let objects = configurations(3);
        let mut out = vec![0.0; 8];
        reward.log_rewards(&objects, &[], &mut out).unwrap();
        for (cells, found) in objects.chunks(3).zip(&out) {
            let s: Vec<f64> = cells.iter().map(|cell| f64::from(*cell) * 2.0 - 3.0).collect();
            let form: f64 = (0..9).map(|at| s[at / 3] * matrix[at] * s[at % 3]).sum();
            let exact = 0.7 * form + 0.1 * s[0] - 0.2 * s[1] + 0.3 * s[2];
            assert!((found - exact).abs() < 1e-14, "{cells:?}: {found}, {exact}");
        }
        // Of an unfinished object, the terms of what is there.
        let mut partial = [f64::NAN; 3];
        assert!(reward.partial(&[0, 0, 0, 0, 2, 0, 1, 0, 2], &[], &mut partial).unwrap());
        let exact = [0.0, -0.2, 0.7 * (0.5 - 1.0) + 2.0 * 0.7 * 0.25 - 0.1 + 0.3];
        assert!(partial.iter().zip(exact).all(|(found, exact)| (found - exact).abs() < 1e-14), "{partial:?}");
        assert_eq!(reward.log_z(&[]), None);
        let free = Ising::new(1.0, &[0.5, 0.0, 0.0, 0.0], &[0.4, -2.0]).unwrap();
        assert!((free.log_z(&[]).unwrap() - enumerated(&free, 2)).abs() < 1e-14);
    }

    #[test]
    fn rings_have_their_enumerated_partition_function() {
        for n in [3, 4, 7] {
            for sigma in [0.4, -0.9, 0.0, 11.0, -11.0] {
                let (alpha, zero) = (0.5, vec![0.0; n]);
                for field in [&zero, &uneven_field(n)] {
                    let reward = Ising::ring(alpha, sigma, field).unwrap();
                    let (found, exact) = (reward.log_z(&[]).unwrap(), enumerated(&reward, n));
                    assert!((found - exact).abs() < 1e-12, "{n}, {sigma}: {found}, {exact}");
                }
                // (2 cosh K)^N + (2 sinh K)^N with K = 2 alpha sigma = sigma.
                let closed = ((2.0 * sigma.cosh()).powi(n as i32) + (2.0 * sigma.sinh()).powi(n as i32)).ln();
                let found = Ising::ring(alpha, sigma, &zero).unwrap().log_z(&[]).unwrap();
                assert!(
                    sigma.abs() > 1.0 || (found - closed).abs() < 1e-12,
                    "{n}, {sigma}: {found}, {closed}"
                );
            }
        }
    }

    #[test]
    fn tori_have_their_enumerated_partition_function() {
        for side in [3, 4] {
            for sigma in [0.2, 0.22, 0.6, -0.35, 0.0] {
                for field in [vec![0.0; side * side], uneven_field(side * side)] {
                    let reward = Ising::torus(side, 1.0, sigma, &field).unwrap();
                    let (found, exact) = (reward.log_z(&[]).unwrap(), enumerated(&reward, side * side));
                    assert!((found - exact).abs() < 1e-11, "{side}, {sigma}: {found}, {exact}");
                    let tempered = reward.log_z_tempered(0.3, &[]).unwrap();
                    let field: Vec<f64> = field.iter().map(|h| 0.3 * h).collect();
                    let scaled = Ising::torus(side, 0.3, sigma, &field).unwrap();
                    assert!((tempered - enumerated(&scaled, side * side)).abs() < 1e-11);
                }
            }
        }
    }

    /// The torus as a matrix has the same rewards.
    #[test]
    fn the_lattice_is_an_adjacency_matrix() {
        let (side, sigma) = (3, -0.3);
        let mut matrix = [0.0; 81];
        for i in 0..9 {
            for (dy, dx) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
                matrix[9 * i + (i / 3 + dy) % 3 * 3 + (i % 3 + dx) % 3] = sigma;
            }
        }
        let field = uneven_field(9);
        let (lattice, general) =
            (Ising::torus(side, 0.4, sigma, &field).unwrap(), Ising::new(0.4, &matrix, &field).unwrap());
        let objects = configurations(9);
        let (mut one, mut other) = (vec![0.0; 512], vec![0.0; 512]);
        lattice.log_rewards(&objects, &[], &mut one).unwrap();
        general.log_rewards(&objects, &[], &mut other).unwrap();
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-13));
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message = |result: Result<Ising, Problem>| result.unwrap_err().to_string();
        assert!(
            message(Ising::new(1.0, &[0.0; 3], &[0.0; 2])).starts_with("matrix: found 3 numbers for 2 spins")
        );
        assert!(message(Ising::new(1.0, &[0.0, 1.0, 2.0, 0.0], &[0.0; 2])).contains("a symmetric matrix"));
        assert!(message(Ising::new(1.0, &[f64::NAN], &[0.0])).starts_with("matrix: found NaN"));
        assert!(message(Ising::new(1.0, &[], &[])).starts_with("spins: found 0"));
        assert!(message(Ising::ring(1.0, 1.0, &[0.0; 2])).starts_with("spins: found 2; allowed: at least 3"));
        assert!(
            message(Ising::torus(3, 1.0, 1.0, &[0.0; 8])).starts_with("spins: found 3 x 3 for a field of 8")
        );
        assert!(message(Ising::torus(3, 1.0, f64::INFINITY, &[0.0; 9])).starts_with("coupling: found inf"));
        assert!(message(Ising::ring(1.0, 1.0, &[0.0, 1e7, 0.0])).starts_with("field: found 10000000"));
    }
}
