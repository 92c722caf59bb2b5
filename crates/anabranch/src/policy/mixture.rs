//! Mixtures of one-dimensional laws: what the coordinates of a continuous move are drawn from.
//!
//! ```text
//! p(z) = sum_k w_k f(z; k)            [ k logits | k first outputs | k second outputs ]
//!
//! d ln p / d logit_k   =  r_k - w_k,                         r_k = w_k f(z; k) / p(z)
//! d ln p / d output_k  =  r_k d ln f(z; k) / d output_k
//! ```

use super::law::{CoordinateLaw, NODES};
use crate::rng::Stream;

/// A mixture of `components` laws of a family. Rows are as long as [`MixtureLaw::outputs`] says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MixtureLaw {
    pub(super) law: CoordinateLaw,
    pub(super) components: usize,
}

impl MixtureLaw {
    /// How many outputs of a network it takes.
    pub(super) fn outputs(self) -> usize {
        3 * self.components
    }

    /// Turns logits into log-weights and outputs into parameters, in place.
    pub(super) fn prepare(self, row: &mut [f32]) {
        let (logits, outputs) = row.split_at_mut(self.components);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum::<f64>().ln();
        logits.iter_mut().for_each(|logit| *logit = (f64::from(*logit - largest) - total) as f32);
        let (first, second) = outputs.split_at_mut(self.components);
        for (a, b) in first.iter_mut().zip(second) {
            [*a, *b] = self.law.parameters([f64::from(*a), f64::from(*b)]).map(|p| p as f32);
        }
    }

    fn parameters(self, row: &[f32], component: usize) -> [f64; 2] {
        [1, 2].map(|part| f64::from(row[part * self.components + component]))
    }

    /// `ln p(z)` of a prepared row, nats.
    pub(super) fn log_density(self, row: &[f32], z: f64) -> f64 {
        let (mut largest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for k in 0..self.components {
            let log = f64::from(row[k]) + self.law.log_density(self.parameters(row, k), z);
            if log > largest {
                sum = sum * (largest - log).exp() + 1.0;
                largest = log;
            } else {
                sum += (log - largest).exp();
            }
        }
        largest + sum.ln()
    }

    /// Adds `slope d ln p(z) / d output` to `out`.
    pub(super) fn add_slopes(self, row: &[f32], z: f64, slope: f64, out: &mut [f32]) {
        let total = self.log_density(row, z);
        for k in 0..self.components {
            let (log_weight, parameters) = (f64::from(row[k]), self.parameters(row, k));
            let share = (log_weight + self.law.log_density(parameters, z) - total).exp();
            out[k] += (slope * (share - log_weight.exp())) as f32;
            for (part, by_output) in self.law.slopes(parameters, z).into_iter().enumerate() {
                out[(part + 1) * self.components + k] += (slope * share * by_output) as f32;
            }
        }
    }

    /// A draw; the weights and each component are tempered. No number where a weight or a parameter is none.
    pub(super) fn draw(self, row: &[f32], temperature: f64, stream: &mut Stream<'_>) -> f64 {
        // Untempered, the log-weights are taken as they are; tempered ones may all be far below 0.
        let largest = row[..self.components].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shift = if temperature == 1.0 { 0.0 } else { f64::from(largest) };
        let weight = |k: usize| ((f64::from(row[k]) - shift) / temperature).exp();
        let total: f64 = (0..self.components).map(weight).sum();
        let mut left = stream.uniform() * total;
        let mut chosen = 0;
        while chosen + 1 < self.components && left >= weight(chosen) {
            left -= weight(chosen);
            chosen += 1;
        }
        let parameters = self.parameters(row, chosen);
        if !(total > 0.0 && total.is_finite() && parameters.iter().all(|p| p.is_finite())) {
            return f64::NAN;
        }
        self.law.draw(parameters, temperature, stream)
    }

    /// `KL(p || q)` from a prepared row to another, nats, by quadrature.
    pub(super) fn divergence(self, row: &[f32], reference: &[f32]) -> f64 {
        let mut sum = 0.0;
        self.each_node(row, |z, weight| {
            sum += weight * (self.log_density(row, z) - self.log_density(reference, z));
        });
        sum
    }

    /// Adds `slope d KL(p || q) / d output` to `out`; `divergence` is `KL(p || q)`.
    pub(super) fn add_divergence_slopes(
        self,
        row: &[f32],
        reference: &[f32],
        divergence: f64,
        slope: f64,
        out: &mut [f32],
    ) {
        // d KL = E_p[(ln p - ln q) d ln p]; the constant `divergence` does not change it, since E_p[d ln p] = 0.
        self.each_node(row, |z, weight| {
            let excess = self.log_density(row, z) - self.log_density(reference, z) - divergence;
            self.add_slopes(row, z, slope * weight * excess, out);
        });
    }

    /// Hands the nodes of a quadrature over `p` with their weights to `each`.
    fn each_node(self, row: &[f32], mut each: impl FnMut(f64, f64)) {
        for k in 0..self.components {
            let (share, parameters) = (f64::from(row[k]).exp(), self.parameters(row, k));
            for (z, weight) in (0..NODES).map(|j| self.law.node(parameters, j)) {
                each(z, share * weight);
            }
        }
    }
}

#[cfg(test)]
mod tests;
