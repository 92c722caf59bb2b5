//! Whether Markov chains have converged, and how many independent draws theirs are worth.
//!
//! ```text
//! each chain is cut into halves; a draw of rank r among all S becomes z = F^-1((r - 3/8) / (S + 1/4)), F the normal law's
//! W      mean over halves of their variances           B   n times the variance of their means
//! R-hat  sqrt((B / W + n - 1) / n), the larger of that of z and that of z of |draw - median|
//! rho_t  1 - (W - mean over halves of their autocovariance at lag t) / ((n - 1) / n W + B / n)
//! ESS    S / (-1 + 2 sum_t (rho_2t + rho_2t+1)), sums up to the first that is negative, none larger than the one before
//! bulk   ESS of z;   tail   the lesser ESS of whether a draw is at most the 5 % quantile, and at most the 95 % one
//! ```
//!
//! Draws are trusted where R-hat is below 1.01 and both ESS above 100 for each chain. Source: Vehtari, Gelman, Simpson, Carpenter and
//! Bürkner, "Rank-normalization, folding, and localization: an improved R-hat" (Bayesian Analysis 2021), sections 3 and 4; the
//! truncation is that of Geyer, "Practical Markov chain Monte Carlo" (1992).

use crate::math::normal_quantile;

/// What chains of one quantity say of themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convergence {
    /// R-hat: 1 where chains agree; NaN where they do not move.
    pub r_hat: f64,
    /// Effective number of draws in the bulk of the law.
    pub ess_bulk: f64,
    /// The same in its tails.
    pub ess_tail: f64,
}

/// Diagnostics of the `draws` of one quantity, `[chains, draws]`; `None` where chains are shorter than four draws, or a draw is not
/// finite.
///
/// # Panics
/// If there is no whole number of draws for each of the chains.
pub fn convergence(draws: &[f64], chains: usize) -> Option<Convergence> {
    assert!(chains > 0 && draws.len().is_multiple_of(chains), "chains of one length");
    let length = draws.len() / chains;
    if length < 4 || draws.iter().any(|draw| !draw.is_finite()) {
        return None;
    }
    let halves = Halves::of(draws, length);
    let scaled = halves.normal_scores();
    let middle = quantile(&halves.draws, 0.5);
    let folded = halves.map(|draw| (draw - middle).abs()).normal_scores();
    let at_most = |level: f64| {
        let quantile = quantile(draws, level);
        let below: Vec<f64> = draws.iter().map(|draw| f64::from(u8::from(*draw <= quantile))).collect();
        Halves::of(&below, length).effective()
    };
    Some(Convergence {
        r_hat: scaled.r_hat().max(folded.r_hat()),
        ess_bulk: scaled.effective(),
        ess_tail: at_most(0.05).min(at_most(0.95)),
    })
}

/// The quantile that interpolates between order statistics, the least being at 0 and the largest at 1.
fn quantile(draws: &[f64], level: f64) -> f64 {
    let mut sorted = draws.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = level * (sorted.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let next = sorted[(below + 1).min(sorted.len() - 1)];
    sorted[below] + share * (next - sorted[below])
}

/// Halves of chains, of one length.
struct Halves {
    draws: Vec<f64>,
    length: usize,
}

impl Halves {
    /// The first and the last draws of each chain; the one in the middle of an odd number is left out.
    fn of(draws: &[f64], length: usize) -> Self {
        let half = length / 2;
        let halves = draws.chunks_exact(length).flat_map(|chain| [&chain[..half], &chain[length - half..]]);
        Self { draws: halves.flatten().copied().collect(), length: half }
    }

    fn map(&self, map: impl Fn(f64) -> f64) -> Self {
        Self { draws: self.draws.iter().map(|draw| map(*draw)).collect(), length: self.length }
    }

    /// Draws as normal quantiles of their ranks; equal ones have the mean of theirs.
    fn normal_scores(&self) -> Self {
        let mut order: Vec<usize> = (0..self.draws.len()).collect();
        order.sort_by(|a, b| self.draws[*a].total_cmp(&self.draws[*b]));
        let mut scores = vec![0.0; self.draws.len()];
        let mut before = 0;
        for equal in order.chunk_by(|a, b| self.draws[*a] == self.draws[*b]) {
            let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
            let score = normal_quantile((rank - 0.375) / (self.draws.len() as f64 + 0.25));
            equal.iter().for_each(|at| scores[*at] = score);
            before += equal.len();
        }
        Self { draws: scores, length: self.length }
    }

    /// The mean of each half.
    fn means(&self) -> Vec<f64> {
        self.draws
            .chunks_exact(self.length)
            .map(|half| half.iter().sum::<f64>() / self.length as f64)
            .collect()
    }

    /// The mean over halves of their autocovariance at a lag, divided by their length.
    fn autocovariance(&self, means: &[f64], lag: usize) -> f64 {
        let half = |(half, mean): (&[f64], &f64)| {
            half.iter().zip(&half[lag..]).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>()
        };
        let sum: f64 = self.draws.chunks_exact(self.length).zip(means).map(half).sum();
        sum / self.draws.len() as f64
    }

    fn r_hat(&self) -> f64 {
        let (means, n) = (self.means(), self.length as f64);
        let within = self.autocovariance(&means, 0) * n / (n - 1.0);
        ((n * variance(&means) / within + n - 1.0) / n).sqrt()
    }

    fn effective(&self) -> f64 {
        let (means, n, total) = (self.means(), self.length as f64, self.draws.len() as f64);
        let biased = self.autocovariance(&means, 0);
        let within = biased * n / (n - 1.0);
        if self.draws.iter().all(|draw| *draw == self.draws[0]) {
            return total;
        }
        let all = biased + variance(&means);
        let rho = |lag: usize| 1.0 - (within - self.autocovariance(&means, lag)) / all;
        let mut pairs = vec![[1.0, rho(1)]];
        while pairs[pairs.len() - 1].iter().sum::<f64>() > 0.0 && 2 * pairs.len() + 2 < self.length {
            let lag = 2 * pairs.len();
            pairs.push([rho(lag), rho(lag + 1)]);
        }
        // Of the last pair, at which the sum is cut, only the first counts, once.
        let last = pairs.pop().map_or(0.0, |[even, _]| even.max(0.0));
        let mut least = f64::INFINITY;
        let mut time = last - 1.0;
        for pair in pairs {
            least = least.min(pair.iter().sum());
            time += 2.0 * least;
        }
        total / time.max(1.0 / total.log10())
    }
}

/// With one less than their number in the denominator.
fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Autoregressive chains of a generator that any program has, each with a mean and a spread of its own.
    fn chains([chains, length]: [usize; 2], memory: f64, apart: f64, wide: f64) -> Vec<f64> {
        let mut state = 12_345u64;
        let mut draws = Vec::new();
        for chain in 0..chains {
            let mut x = 0.0;
            for _ in 0..length {
                state = (1_103_515_245 * state + 12_345) % (1 << 31);
                x = memory * x + state as f64 / (1u64 << 31) as f64 - 0.5;
                draws.push((1.0 + wide * chain as f64) * x + apart * chain as f64);
            }
        }
        draws
    }

    /// Values by ArviZ 0.23.4: `rhat(method="rank")`, `ess(method="bulk")`, `ess(method="tail")`.
    #[test]
    fn published_values() {
        for (shape, memory, apart, wide, [r_hat, bulk, tail]) in REFERENCE {
            let found = convergence(&chains(*shape, *memory, *apart, *wide), shape[0]).unwrap();
            for (name, found, expected) in [
                ("R-hat", found.r_hat, r_hat),
                ("bulk", found.ess_bulk, bulk),
                ("tail", found.ess_tail, tail),
            ] {
                assert!(
                    (found / expected - 1.0).abs() < 1e-9,
                    "{shape:?}, {memory}: {name} {found}, {expected}"
                );
            }
        }
    }

    type Reference = ([usize; 2], f64, f64, f64, [f64; 3]);

    const REFERENCE: &[Reference] = &[
        ([4, 100], 0.3, 0.0, 0.0, [1.0057405595802096, 198.82132963619947, 261.7915037256065]),
        ([4, 100], 0.9, 0.0, 0.0, [1.0975305850211994, 33.70054715628651, 69.49043442055721]),
        ([2, 501], 0.5, 0.2, 0.0, [1.0756064836346908, 30.95913038693458, 311.6332719320985]),
        ([4, 250], -0.6, 0.0, 0.5, [1.0814627962282801, 3000.0, 204.69151905401438]),
        ([3, 8], 0.2, 0.0, 0.0, [1.07294635104352, 33.12506980107854, 33.12506980107854]),
        ([1, 1000], 0.8, 0.0, 0.0, [1.0114039572080604, 137.24804972213906, 193.80463494054035]),
    ];

    #[test]
    fn what_cannot_be_told_is_not() {
        assert_eq!(convergence(&[1.0, 2.0, 3.0], 1), None);
        assert_eq!(convergence(&[1.0, 2.0, f64::NAN, 4.0], 1), None);
        let still = convergence(&[2.0; 40], 4).unwrap();
        assert!(still.r_hat.is_nan() && still.ess_bulk == 40.0, "{still:?}");
        // Chains in different places have not converged.
        let apart = convergence(&chains([4, 100], 0.3, 10.0, 0.0), 4).unwrap();
        assert!(apart.r_hat > 2.0 && apart.ess_bulk < 8.0, "{apart:?}");
    }
}
