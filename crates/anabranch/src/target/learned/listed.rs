//! A law whose states are listed.

use super::ExactLaw;
use crate::kernel::discrete_mcmc::CategoricalDensity;
use crate::math::log_sum_exp;
use crate::rng::Noise;

/// The most states that are listed.
const MOST_STATES: usize = 1 << 18;

/// All states with what mass is at each of them or below.
pub(super) struct Listed {
    sites: usize,
    values: usize,
    log_z: f64,
    cumulative: Vec<f64>,
}

/// The digits of `index`, the first one slowest.
fn digits(index: usize, values: usize, out: &mut [u8]) {
    let mut rest = index;
    for digit in out.iter_mut().rev() {
        *digit = (rest % values) as u8;
        rest /= values;
    }
}

/// Masses from log-masses, summed up one after the other, and the log of their sum.
pub(super) fn cumulated(log_masses: Vec<f64>) -> (f64, Vec<f64>) {
    let log_sum = log_sum_exp(&log_masses);
    let mut sum = 0.0;
    let upto = |log_mass: f64| {
        sum += (log_mass - log_sum).exp();
        sum
    };
    (log_sum, log_masses.into_iter().map(upto).collect())
}

/// The first place whose sum is above a uniform share of the whole.
pub(super) fn placed(cumulative: &[f64], uniform: f64) -> usize {
    let at = uniform * cumulative.last().copied().unwrap_or(0.0);
    cumulative.partition_point(|upto| *upto <= at).min(cumulative.len() - 1)
}

impl Listed {
    /// Lists the states of a law, where there are few.
    pub(super) fn of(density: &dyn CategoricalDensity) -> Option<Self> {
        let (sites, values) = (density.sites(), density.values());
        let count = values.checked_pow(sites as u32).filter(|count| *count <= MOST_STATES)?;
        let mut log_masses = vec![0.0; count];
        let mut states = vec![0; 1024 * sites];
        for (part, out) in log_masses.chunks_mut(1024).enumerate() {
            let states = &mut states[..out.len() * sites];
            let rows = states.chunks_exact_mut(sites).enumerate();
            rows.for_each(|(row, state)| digits(1024 * part + row, values, state));
            density.log_density(states, out);
        }
        let (log_z, cumulative) = cumulated(log_masses);
        Some(Self { sites, values, log_z, cumulative })
    }
}

impl ExactLaw for Listed {
    fn log_z(&self) -> f64 {
        self.log_z
    }

    fn draw(&self, count: usize, noise: &Noise) -> Vec<u8> {
        let mut all = vec![0; count * self.sites];
        for (row, state) in all.chunks_exact_mut(self.sites).enumerate() {
            digits(placed(&self.cumulative, noise.stream(row).uniform()), self.values, state);
        }
        all
    }
}
