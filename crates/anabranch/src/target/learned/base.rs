//! The independent law of categories with given marginals.
//!
//! ```text
//! log q(x) = sum_i log q_i(x_i),      q_i(v) = (n_iv + 1) / (n + V)
//! ```

use crate::kernel::discrete_mcmc::drawn;
use crate::math::log_sum_exp;
use crate::rng::Noise;

/// A law whose coordinates are independent.
#[derive(Debug, Clone, PartialEq)]
pub struct Independent {
    values: usize,
    /// `log q_i(v)`, `[sites, values]`.
    log_masses: Vec<f64>,
}

impl Independent {
    /// All states alike.
    pub fn uniform(sites: usize, values: usize) -> Self {
        Self { values, log_masses: vec![-(values as f64).ln(); sites * values] }
    }

    /// The marginals of `rows`, `[rows, sites]`, each value counted once more.
    pub fn fitted(rows: &[u8], sites: usize, values: usize) -> Self {
        let mut counts = vec![1.0; sites * values];
        for row in rows.chunks_exact(sites) {
            row.iter().enumerate().for_each(|(i, value)| counts[i * values + usize::from(*value)] += 1.0);
        }
        let sum = (rows.len() / sites.max(1) + values) as f64;
        Self { values, log_masses: counts.into_iter().map(|count: f64| (count / sum).ln()).collect() }
    }

    /// The law whose masses are proportional to the exponentials of `log_masses`, `[sites, values]`.
    pub fn of_log_masses(log_masses: &[f32], values: usize) -> Self {
        let normalised = |masses: &[f32]| {
            let masses: Vec<f64> = masses.iter().map(|mass| f64::from(*mass)).collect();
            let sum = log_sum_exp(&masses);
            masses.into_iter().map(move |mass| mass - sum)
        };
        Self { values, log_masses: log_masses.chunks_exact(values).flat_map(normalised).collect() }
    }

    /// How many coordinates a state has.
    pub fn sites(&self) -> usize {
        self.log_masses.len() / self.values
    }

    /// How many values each has.
    pub fn values(&self) -> usize {
        self.values
    }

    /// `log q_i(v)`, `[sites, values]`.
    pub fn log_masses(&self) -> &[f64] {
        &self.log_masses
    }

    /// `log q_i(1) - log q_i(0)` of each bit.
    pub fn logits(&self) -> impl Iterator<Item = f64> + '_ {
        self.log_masses.chunks_exact(self.values).map(|masses| masses[1] - masses[0])
    }

    /// Writes `log q` of each state, `[rows]`.
    pub fn log_density(&self, states: &[u8], out: &mut [f64]) {
        for (out, state) in out.iter_mut().zip(states.chunks_exact(self.sites())) {
            let terms = state.iter().zip(self.log_masses.chunks_exact(self.values));
            *out = terms.map(|(x, masses)| masses[usize::from(*x)]).sum();
        }
    }

    /// Independent draws, `[count, sites]`: draw `i` from row `i` of `noise`.
    pub fn draw(&self, count: usize, noise: &Noise) -> Vec<u8> {
        let mut masses = vec![0.0; self.values];
        let mut all = Vec::with_capacity(count * self.sites());
        for row in 0..count {
            let mut stream = noise.stream(row);
            for of_site in self.log_masses.chunks_exact(self.values) {
                masses.copy_from_slice(of_site);
                all.push(drawn(&mut masses, stream.uniform()) as u8);
            }
        }
        all
    }
}
