//! Partition functions of the Ising model on the ring and the torus, pair coupling K, fields `h_i`.
//!
//! *Transfer matrices.* A row of spins meets the next one through `e^(K s s')` at each site; `Z` is the trace of the product
//! of all these matrices and of the diagonal ones `e^(K s_x s_(x+1) + h_x s_x)` inside rows. All terms are positive and
//! summed in log space, so that no coupling is too strong. A ring's rows are single spins.
//!
//! *Kaufman (1949).* On the N x N torus without field, for `K > 0`,
//!
//! ```text
//! Z = 1/2 (2 sinh 2K)^(N^2 / 2) [ prod_r 2 cosh(N g_(2r+1) / 2) + prod_r 2 sinh(N g_(2r+1) / 2)
//!                               + prod_r 2 cosh(N g_(2r) / 2)   + prod_r 2 sinh(N g_(2r) / 2) ],     r = 0, ..., N - 1
//! cosh g_l = cosh^2(2K) / sinh(2K) - cos(l pi / N),     g_0 = 2K + ln tanh K
//! ```
//!
//! whose last product has the sign of `g_0`. With N even, `Z(-K) = Z(K)`: turn every other spin.

use rayon::prelude::*;

use crate::math::log_sum_exp;

/// The most spins of a row whose configurations are enumerated: 4^10 pairs of rows take about a second.
const LONGEST_ROW: usize = 10;

/// The strongest coupling of Kaufman's formula, beyond which `sinh` overflows.
const STRONGEST: f64 = 300.0;

/// `ln(2 cosh x)`.
pub fn ln_two_cosh(x: f64) -> f64 {
    x.abs() + (-2.0 * x.abs()).exp().ln_1p()
}

/// `ln |2 sinh x|`.
fn ln_two_sinh(x: f64) -> f64 {
    x.abs() + (-(-2.0 * x.abs()).exp_m1()).ln()
}

fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// `log Z` of a ring of `field.len()` spins.
pub fn ring(k: f64, field: &[f64]) -> f64 {
    let trace = [0, 1].map(|first| {
        let mut states = [f64::NEG_INFINITY; 2];
        states[first] = 0.0;
        for h in field {
            states = [states[0] - h, states[1] + h];
            cross_bond(&mut states, 0, k);
        }
        states[first]
    });
    log_add(trace[0], trace[1])
}

/// `log Z` of the torus of `side * side` spins, where it is known: with a field up to 10 spins a row.
pub fn torus(side: usize, k: f64, field: &[f64]) -> Option<f64> {
    if k == 0.0 {
        return Some(field.iter().map(|h| ln_two_cosh(*h)).sum());
    }
    let bipartite = side.is_multiple_of(2);
    if field.iter().all(|h| *h == 0.0) && (k > 0.0 || bipartite) && k.abs() <= STRONGEST {
        return Some(kaufman(side, k.abs()));
    }
    (side <= LONGEST_ROW).then(|| by_rows(side, k, field))
}

/// The torus without field, `k > 0`.
fn kaufman(side: usize, k: f64) -> f64 {
    let n = side as f64;
    let sinh = (2.0 * k).sinh();
    let gamma = |l: usize| {
        if l == 0 {
            let rest = (-2.0 * k).exp();
            return 2.0 * k + (-rest).ln_1p() - rest.ln_1p();
        }
        // cosh g - 1 = (sinh 2K - 1)^2 / sinh 2K + 2 sin^2(l pi / 2N).
        let sine = (l as f64 * std::f64::consts::PI / (2.0 * n)).sin();
        let above = (sinh - 1.0).powi(2) / sinh + 2.0 * sine * sine;
        (above + (above * (above + 2.0)).sqrt()).ln_1p()
    };
    let product = |factor: fn(f64) -> f64, odd: usize| -> f64 {
        (0..side).map(|r| factor(n * gamma(2 * r + odd) / 2.0)).sum()
    };
    let positive = [product(ln_two_cosh, 1), product(ln_two_sinh, 1), product(ln_two_cosh, 0)];
    let (sum, last) = (log_sum_exp(&positive), product(ln_two_sinh, 0));
    let sign = gamma(0).signum();
    n * n / 2.0 * ln_two_sinh(2.0 * k) - 2f64.ln() + sum + (sign * (last - sum).exp()).ln_1p()
}

/// The torus by transfer matrices.
fn by_rows(side: usize, k: f64, field: &[f64]) -> f64 {
    let rows = 1 << side;
    let spin = |row: usize, x: usize| if row >> x & 1 == 0 { -1.0 } else { 1.0 };
    let inside: Vec<f64> = (0..side * rows)
        .map(|at| {
            let (y, row) = (at / rows, at % rows);
            let term = |x| spin(row, x) * (k * spin(row, (x + 1) % side) + field[y * side + x]);
            (0..side).map(term).sum()
        })
        .collect();
    let closed = |first: usize| {
        let mut states = vec![f64::NEG_INFINITY; rows];
        states[first] = 0.0;
        for inside in inside.chunks_exact(rows) {
            states.iter_mut().zip(inside).for_each(|(state, inside)| *state += inside);
            (0..side).for_each(|x| cross_bond(&mut states, x, k));
        }
        states[first]
    };
    let trace: Vec<f64> = (0..rows).into_par_iter().map(closed).collect();
    log_sum_exp(&trace)
}

/// Replaces the spin `x` of every row by that of the next row, through the bond between the two.
fn cross_bond(states: &mut [f64], x: usize, k: f64) {
    for pair in states.chunks_exact_mut(2 << x) {
        let (down, up) = pair.split_at_mut(1 << x);
        for (down, up) in down.iter_mut().zip(up) {
            (*down, *up) = (log_add(*down + k, *up - k), log_add(*down - k, *up + k));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two derivations that share nothing agree, below, at and above the critical coupling ln(1 + sqrt 2) / 2.
    #[test]
    fn kaufman_agrees_with_transfer_matrices() {
        let critical = 0.5 * (1.0 + 2f64.sqrt()).ln();
        for side in [3, 4, 5, 6, 8] {
            for k in [1e-3, 0.2, critical, 0.5, 2.0, 40.0] {
                let (one, other) = (kaufman(side, k), by_rows(side, k, &vec![0.0; side * side]));
                assert!((one - other).abs() < 1e-11 * one.abs().max(1.0), "{side}, {k}: {one}, {other}");
            }
        }
        let (one, other) = (kaufman(10, 0.4), by_rows(10, 0.4, &[0.0; 100]));
        assert!((one - other).abs() < 1e-10, "{one}, {other}");
    }

    /// Onsager (1944): `ln 2 / 2 + 2 G / pi` per spin at the critical point, G Catalan's constant; on the finite torus
    /// `ln(2^(1/4) + 2^(-1/2))` more for all spins together (Ferdinand and Fisher 1969).
    #[test]
    fn large_tori_approach_onsager() {
        let critical = 0.5 * (1.0 + 2f64.sqrt()).ln();
        let per_spin = 0.5 * 2f64.ln() + 2.0 * 0.915_965_594_177_219 / std::f64::consts::PI;
        let more = (2f64.powf(0.25) + 0.5f64.sqrt()).ln();
        let found = kaufman(200, critical) - 40_000.0 * per_spin;
        assert!((found - more).abs() < 1e-4, "{found}, {more}");
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        assert!(torus(11, 0.3, &[0.0; 121]).is_some() && torus(11, 0.0, &[0.5; 121]).is_some());
        assert_eq!(torus(11, -0.3, &[0.0; 121]), None);
        assert_eq!(torus(12, 0.3, &[0.1; 144]), None);
        assert_eq!(torus(12, -0.3, &[0.0; 144]), torus(12, 0.3, &[0.0; 144]));
        // Beyond Kaufman's range the rows still are: two ground states of 18 bonds.
        assert!((torus(3, 1000.0, &[0.0; 9]).unwrap() - 18_000.0 - 2f64.ln()).abs() < 1e-9);
    }
}
