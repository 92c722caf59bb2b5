//! Expected visits of a chain that may return: the equations `x_i = b_i + sum_j a_ij x_j`, `a_ij` being the probability of
//! a step from `j` to `i`.
//!
//! A chain that ends with probability 1 has one solution, `I - A` being a nonsingular M-matrix. It is found by elimination
//! where states are few (no pivots are needed: columns are diagonally dominant), by Gauss-Seidel sweeps, in turn forward
//! and backward, where they are many. Sweeps shrink the error by a factor that nears 1 as trajectories grow long; once it
//! is the same factor `f` from sweep to sweep, what is left of it is the last change times `f / (1 - f)`, and is added at
//! once (Lyusternik's extrapolation).
//!
//! Kemeny and Snell, "Finite Markov chains" (1960), theorem 3.2.4; Berman and Plemmons, "Nonnegative matrices in the
//! mathematical sciences" (1994), chapters 6 and 7.

use crate::error::{Error, Result};

/// Up to this many states are eliminated: 8 MB, and a third of a billion multiplications.
const DENSE: usize = 1000;
/// Multiplications before the sweeps are given up: most of a minute.
const WORK: u64 = 20_000_000_000;

/// A sparse matrix by rows: `(j, a_ij)` with `a_ij > 0`.
pub(super) struct Rows {
    starts: Vec<usize>,
    entries: Vec<(u32, f64)>,
}

impl Rows {
    /// From the entries of each row; parallel edges are entries of their own.
    pub fn of<I: Iterator<Item = (u32, f64)>>(rows: usize, row: impl Fn(usize) -> I) -> Self {
        let mut all = Self { starts: vec![0], entries: Vec::new() };
        for i in 0..rows {
            all.entries.extend(row(i).filter(|(_, probability)| *probability > 0.0));
            all.starts.push(all.entries.len());
        }
        all
    }

    fn row(&self, i: usize) -> &[(u32, f64)] {
        &self.entries[self.starts[i]..self.starts[i + 1]]
    }
}

/// Solves the equations for `b = start >= 0`; states that the chain does not visit have 0 visits. None if it visits a state
/// from which it cannot come to one of the `ends`: the visits there are infinitely many.
///
/// # Errors
/// [`Error::Numeric`] if the sweeps do not converge.
pub(super) fn solve(rows: &Rows, start: &[f64], ends: &[bool]) -> Result<Option<Vec<f64>>> {
    let visited = visited(rows, start);
    let ending = ending(rows, ends);
    let active: Vec<usize> = (0..start.len()).filter(|i| visited[*i]).collect();
    if active.iter().any(|i| !ending[*i]) {
        return Ok(None);
    }
    if active.len() <= DENSE {
        Ok(Some(eliminate(rows, start, &active)))
    } else {
        sweep(rows, start, &active).map(Some)
    }
}

/// States that a step from a visited state leads to, from the start on.
fn visited(rows: &Rows, start: &[f64]) -> Vec<bool> {
    let mut visited: Vec<bool> = start.iter().map(|b| *b > 0.0).collect();
    let mut grew = true;
    while grew {
        grew = false;
        for i in 0..start.len() {
            if !visited[i] && rows.row(i).iter().any(|(j, _)| visited[*j as usize]) {
                (visited[i], grew) = (true, true);
            }
        }
    }
    visited
}

/// States from which an end can be reached: those that a walk against the steps finds from the ends.
fn ending(rows: &Rows, ends: &[bool]) -> Vec<bool> {
    let mut ending = ends.to_vec();
    let mut waiting: Vec<usize> = (0..ends.len()).filter(|i| ends[*i]).collect();
    while let Some(i) = waiting.pop() {
        for (j, _) in rows.row(i) {
            if !std::mem::replace(&mut ending[*j as usize], true) {
                waiting.push(*j as usize);
            }
        }
    }
    ending
}

/// Gaussian elimination on the active states.
fn eliminate(rows: &Rows, start: &[f64], active: &[usize]) -> Vec<f64> {
    let n = active.len();
    let mut place = vec![usize::MAX; start.len()];
    active.iter().enumerate().for_each(|(k, i)| place[*i] = k);
    let mut x: Vec<f64> = active.iter().map(|i| start[*i]).collect();
    let mut matrix = vec![0.0; n * n];
    for (k, i) in active.iter().enumerate() {
        matrix[k * n + k] = 1.0;
        let from = rows.row(*i).iter().filter(|(j, _)| place[*j as usize] < n);
        from.for_each(|(j, probability)| matrix[k * n + place[*j as usize]] -= probability);
    }
    for k in 0..n {
        let (above, below) = matrix.split_at_mut((k + 1) * n);
        let pivot = &above[k * n + k..];
        for (row, below) in below.chunks_exact_mut(n).enumerate() {
            let factor = below[k] / pivot[0];
            if factor != 0.0 {
                below[k..].iter_mut().zip(pivot).for_each(|(value, pivot)| *value -= factor * pivot);
                x[k + 1 + row] -= factor * x[k];
            }
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| matrix[k * n + j] * x[j]).sum();
        x[k] = (x[k] - known) / matrix[k * n + k];
    }
    scatter(&x, active, start.len())
}

/// Symmetric Gauss-Seidel.
fn sweep(rows: &Rows, start: &[f64], active: &[usize]) -> Result<Vec<f64>> {
    let mut x = vec![0.0; start.len()];
    let mut before = x.clone();
    let (mut last_change, mut last_factor) = (f64::INFINITY, f64::NAN);
    let sweeps = (WORK / (2 * rows.entries.len() as u64 + 1)).max(100);
    for _ in 0..sweeps {
        before.copy_from_slice(&x);
        for i in active.iter().chain(active.iter().rev()) {
            let (mut sum, mut stay) = (start[*i], 0.0);
            for (j, probability) in rows.row(*i) {
                if *j as usize == *i { stay += probability } else { sum += probability * x[*j as usize] }
            }
            x[*i] = sum / (1.0 - stay);
        }
        let change: f64 = x.iter().zip(&before).map(|(x, before)| (x - before).abs()).sum();
        // Beyond this all change is rounding.
        if change <= 2e-15 * x.iter().sum::<f64>() {
            return Ok(x);
        }
        let factor = change / last_change;
        if factor < 1.0 && (factor - last_factor).abs() < 0.1 * (1.0 - factor) {
            let rest = factor / (1.0 - factor);
            x.iter_mut().zip(&before).for_each(|(x, before)| *x = (*x + rest * (*x - before)).max(0.0));
            (last_change, last_factor) = (f64::INFINITY, f64::NAN);
        } else {
            (last_change, last_factor) = (change, factor);
        }
    }
    let visits: f64 = x.iter().sum();
    Err(Error::Numeric {
        step: sweeps,
        term: "expected visits".into(),
        detail: format!("{visits} in all after so many sweeps, and still changing"),
    })
}

fn scatter(x: &[f64], active: &[usize], len: usize) -> Vec<f64> {
    let mut all = vec![0.0; len];
    active.iter().zip(x).for_each(|(i, x)| all[*i] = *x);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    /// Both ways to solve the same equations: a chain of chance that ends after some thousand steps, with self-loops and
    /// parallel edges.
    #[test]
    fn sweeps_agree_with_elimination() {
        let n = 400;
        let steps: Vec<(u32, u32, f64)> = (0..4 * n)
            .map(|step| {
                let noise = Noise::new(2, Purpose::Choice).from_trajectory(step as u64);
                let weight = [0.1, 0.2, 0.3, 0.4][step % 4] * if step / 4 == 7 { 0.5 } else { 0.9999 };
                ((step / 4) as u32, noise.below(0, n) as u32, weight)
            })
            .collect();
        let into =
            |i: usize| steps.iter().filter(move |step| step.1 as usize == i).map(|step| (step.0, step.2));
        let rows = Rows::of(n, into);
        let start: Vec<f64> = (0..n).map(|i| if i == 3 { 1.0 } else { 0.0 }).collect();
        let active: Vec<usize> = (0..n).collect();
        let (exact, swept) = (eliminate(&rows, &start, &active), sweep(&rows, &start, &active).unwrap());
        assert!(exact.iter().sum::<f64>() > 300.0);
        exact.iter().zip(&swept).for_each(|(exact, swept)| assert!((exact - swept).abs() <= 1e-11 * exact));
        // What enters a state is what its visits are: the equations themselves.
        for i in 0..n {
            let entered: f64 = rows.row(i).iter().map(|(j, a)| a * exact[*j as usize]).sum();
            assert!((start[i] + entered - exact[i]).abs() < 1e-12 * (1.0 + exact[i]));
        }
    }
}
