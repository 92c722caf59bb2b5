//! One site at a time, proposed blindly or by what its change is worth.
//!
//! ```text
//! q(i, v | x) = exp(d(x)_{iv} / 2) / sum_{j, u != x_j} exp(d(x)_{ju} / 2)          v != x_i
//! ```
//!
//! Of two values with `d` exact this is the locally balanced proposal `g(t) = sqrt t` of Zanella (2020, section 2).

use super::{CategoricalDensity, drawn};
use crate::math::log_sum_exp;
use crate::rng::Stream;

/// Turns changes, `[sites, values]`, into `log q(i, v | x)`, staying being excluded.
fn proposals(state: &[u8], changes: &mut [f64]) {
    let values = changes.len() / state.len();
    changes.iter_mut().for_each(|change| *change *= 0.5);
    state.iter().enumerate().for_each(|(i, x)| changes[i * values + usize::from(*x)] = f64::NEG_INFINITY);
    let sum = log_sum_exp(changes);
    changes.iter_mut().for_each(|change| *change -= sum);
}

/// Proposes one change of every state, and accepts it or not.
pub(super) fn step(
    density: &dyn CategoricalDensity,
    states: &mut [u8],
    streams: &mut [Stream<'_>],
    by_worth: bool,
    acceptance: &mut [f32],
) {
    let (sites, values, rows) = (density.sites(), density.values(), streams.len());
    let width = sites * values;
    let mut there = states.to_vec();
    let (mut log_ratio, mut moved) = (vec![0.0; rows], vec![(0, 0); rows]);
    let mut changes = vec![0.0; if by_worth { rows * width } else { 0 }];
    if by_worth {
        density.estimates(states, &mut changes);
    }
    let mut cumulative = vec![0.0; width];
    for (row, stream) in streams.iter_mut().enumerate() {
        let here = &states[row * sites..][..sites];
        let (site, value) = if by_worth {
            let log_q = &mut changes[row * width..][..width];
            proposals(here, log_q);
            cumulative.copy_from_slice(log_q);
            let at = drawn(&mut cumulative, stream.uniform());
            log_ratio[row] = -log_q[at];
            (at / values, (at % values) as u8)
        } else {
            let site = (stream.uniform() * sites as f64) as usize;
            let step = 1 + (stream.uniform() * (values - 1) as f64) as usize;
            (site, ((usize::from(here[site]) + step) % values) as u8)
        };
        moved[row] = (site, here[site]);
        there[row * sites + site] = value;
    }
    if by_worth {
        density.estimates(&there, &mut changes);
        let all = changes.chunks_exact_mut(width).zip(there.chunks_exact(sites));
        for ((log_q, there), ((site, value), log_ratio)) in all.zip(moved.iter().zip(&mut log_ratio)) {
            proposals(there, log_q);
            *log_ratio += log_q[site * values + usize::from(*value)];
        }
    }
    let (mut before, mut after) = (vec![0.0; rows], vec![0.0; rows]);
    density.log_density(states, &mut before);
    density.log_density(&there, &mut after);
    for (row, stream) in streams.iter_mut().enumerate() {
        let log_chance = after[row] - before[row] + log_ratio[row];
        let chance = if log_chance.is_nan() { 0.0 } else { log_chance.min(0.0).exp() };
        acceptance[row] += chance as f32;
        if stream.uniform() < chance {
            states[row * sites..][..sites].copy_from_slice(&there[row * sites..][..sites]);
        }
    }
}
