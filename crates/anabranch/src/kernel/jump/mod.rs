//! Jump processes on categories: one coordinate of a continuous-time Markov chain that turns data into noise.
//!
//! A coordinate has `V` values and, where the process absorbs, one state more, the mask. With a generator `Q` of spectral gap 1, a
//! *survival* `alpha` that falls from 1 to 0 is the only clock there is: `alpha(t) = exp(-integral of beta)`, and between two times
//! what is kept is `a = alpha_t / alpha_s`:
//!
//! ```text
//! kernel       q(x_t = y | x_s = x) = exp(-ln(a) Q)_xy
//! uniform      a [x = y] + (1 - a) / V                                     rate 1 / V to every value
//! absorbing    a [x = y] + (1 - a) [y = mask]                              rate 1 to the mask
//! birth-death  sum_k a^{l_k} u_k(x) u_k(y)                                 rates to x - 1 and x + 1, alike
//! gaussian     the same sum, of its own generator                          rates ~ exp(-(x - y)^2 / (2 w^2))
//! bridge       q(x_s = y | x_0, x_t) ~ q(x_s = y | x_0) q(x_t | x_s = y)   the posterior of a noising step
//! ```
//!
//! `l_k >= 1` and `u_k` are the modes of a symmetric generator; all but the absorbing one forget in the uniform law. Coordinates
//! jump independently of each other, so that these small matrices are all there is to know of the noising half.
//!
//! Austin et al. (2021), sections 3.1 and A.2, for the discrete-time cuts; Campbell et al. (2022), section 4.2 and appendix E, for
//! factorised rates of ordinals; Sun et al. (2023), section 4, for the uniform one.

mod mixture;
mod reverse;
mod term;

use crate::math::eigen::leading;

pub use mixture::MixtureStep;
pub use reverse::{Answer, Reverse, Scheme, Step};
pub use term::{Job, Term, terms};

/// Where a coordinate jumps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rates {
    /// To every value alike.
    Uniform,
    /// To the mask, and never back.
    Absorbing,
    /// To the two neighbours of an ordinal.
    BirthDeath,
    /// To the values of an ordinal, the near ones more often: `exp(-(x - y)^2 / (2 w^2))` with this `w`.
    Gaussian(f64),
}

/// The jump process of one coordinate.
#[derive(Debug, Clone)]
pub struct Process {
    rates: Rates,
    values: usize,
    /// `l_k` and `u_k`, of processes without a closed form.
    modes: Vec<(f64, Vec<f64>)>,
    generator: Vec<f64>,
}

/// The chances of a coordinate's moves between two times, `[states, states]`, a row for each state that is left.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    states: usize,
    masses: Vec<f64>,
    form: Form,
}

/// What is known of a kernel beyond its masses, by which sums over them are short.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// `a [x = y] + (1 - a) / V` with this `a`, and the logarithms of what is on the diagonal and off it.
    Uniform(f64, [f64; 2]),
    /// `a [x = y] + (1 - a) [y = mask]` with this `a`, and the logarithms of both.
    Absorbing(f64, [f64; 2]),
    /// Nothing: the logarithms of all masses.
    Dense(Vec<f64>),
}

impl Kernel {
    /// How many states there are.
    pub fn states(&self) -> usize {
        self.states
    }

    /// The law of the state that is reached from `from`.
    pub fn row(&self, from: usize) -> &[f64] {
        &self.masses[from * self.states..][..self.states]
    }

    /// The chance to go from `from` to `to`.
    pub fn mass(&self, from: usize, to: usize) -> f64 {
        self.masses[from * self.states + to]
    }

    /// The logarithm of [`Kernel::mass`].
    pub fn log_mass(&self, from: usize, to: usize) -> f64 {
        match &self.form {
            Form::Uniform(_, [stays, moves]) => *if from == to { stays } else { moves },
            Form::Absorbing(_, [stays, moves]) => match (from + 1 == self.states, to + 1 == self.states) {
                (true, true) => 0.0,
                (false, true) => *moves,
                _ if from == to => *stays,
                _ => f64::NEG_INFINITY,
            },
            Form::Dense(logs) => logs[from * self.states + to],
        }
    }

    /// `sum_k weights(k) self(k, y)` for every state `y`, of weights of the first states, into `out`.
    pub fn push(&self, weights: &[f64], out: &mut Vec<f64>) {
        out.clear();
        let total: f64 = weights.iter().sum();
        match self.form {
            Form::Uniform(kept, _) => {
                let spread = (1.0 - kept) / self.states as f64 * total;
                out.extend(weights.iter().map(|weight| kept * weight + spread));
                out.resize(self.states, spread);
            }
            Form::Absorbing(kept, _) => {
                out.extend(weights.iter().map(|weight| kept * weight));
                out.resize(self.states, 0.0);
                let masked = weights.get(self.states - 1).copied().unwrap_or(0.0);
                out[self.states - 1] = masked + (1.0 - kept) * (total - masked);
            }
            Form::Dense(_) => {
                out.resize(self.states, 0.0);
                for (k, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                    out.iter_mut().zip(self.row(k)).for_each(|(sum, mass)| *sum += weight * mass);
                }
            }
        }
    }

    /// `sum_y self(from, y) values(y)` of values, `[states]`, of which `total` is the sum.
    pub fn mean(&self, from: usize, values: &[f64], total: f64) -> f64 {
        match self.form {
            Form::Uniform(kept, _) => kept * values[from] + (1.0 - kept) / self.states as f64 * total,
            Form::Absorbing(kept, _) if from + 1 < self.states => {
                kept * values[from] + (1.0 - kept) * values[self.states - 1]
            }
            _ => self.row(from).iter().zip(values).map(|(mass, value)| mass * value).sum(),
        }
    }

    /// The bridge `q(y | from, to) ~ self(from, y) next(y, to)`: the law of a state between two that are known, `[states]`, into `out`.
    pub fn bridge(&self, next: &Self, from: usize, to: usize, out: &mut Vec<f64>) {
        out.clear();
        out.extend(self.row(from).iter().enumerate().map(|(y, mass)| mass * next.mass(y, to)));
        let sum: f64 = out.iter().sum();
        out.iter_mut().for_each(|mass| *mass /= sum);
    }
}

impl Process {
    /// The process over `values` values.
    ///
    /// # Panics
    /// If there are fewer than 2, or the width of Gaussian rates is not positive.
    pub fn new(rates: Rates, values: usize) -> Self {
        assert!(values >= 2, "a coordinate has two values at least");
        let states = values + usize::from(rates == Rates::Absorbing);
        let rate = |from: usize, to: usize| match rates {
            Rates::Uniform => 1.0 / values as f64,
            Rates::Absorbing => f64::from(u8::from(from < values && to == values)),
            Rates::BirthDeath => f64::from(u8::from(from.abs_diff(to) == 1)),
            Rates::Gaussian(width) => {
                assert!(width > 0.0, "a positive width");
                (-0.5 * (from.abs_diff(to) as f64 / width).powi(2)).exp()
            }
        };
        let mut generator = vec![0.0; states * states];
        for from in 0..states {
            let mut left = 0.0;
            for to in (0..states).filter(|to| *to != from) {
                generator[from * states + to] = rate(from, to);
                left += rate(from, to);
            }
            generator[from * states + from] = -left;
        }
        let mut modes = Vec::new();
        if matches!(rates, Rates::BirthDeath | Rates::Gaussian(_)) {
            let negative: Vec<f64> = generator.iter().map(|rate| -rate).collect();
            modes = leading(&negative, states, states);
            // The slowest is that of the stationary law; the gap behind it becomes 1.
            let gap = modes[states - 2].0;
            modes.iter_mut().for_each(|(value, _)| *value /= gap);
            modes[states - 1] = (0.0, vec![(1.0 / states as f64).sqrt(); states]);
            generator.iter_mut().for_each(|rate| *rate /= gap);
        }
        Self { rates, values, modes, generator }
    }

    /// Where it jumps.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// How many values data have.
    pub fn values(&self) -> usize {
        self.values
    }

    /// How many states there are: the values and, if it absorbs, the mask behind them.
    pub fn states(&self) -> usize {
        self.values + usize::from(self.mask().is_some())
    }

    /// The state that absorbs.
    pub fn mask(&self) -> Option<usize> {
        (self.rates == Rates::Absorbing).then_some(self.values)
    }

    /// The law in which data are forgotten, `[states]`.
    pub fn stationary(&self) -> Vec<f64> {
        match self.mask() {
            Some(mask) => (0..=mask).map(|state| f64::from(u8::from(state == mask))).collect(),
            None => vec![1.0 / self.values as f64; self.values],
        }
    }

    /// The rate from one state to another at `beta = 1`; from a state to itself, minus that of leaving it.
    pub fn rate(&self, from: usize, to: usize) -> f64 {
        self.generator[from * self.states() + to]
    }

    /// The moves while the share `kept` in [0, 1] of the survival is kept.
    pub fn kernel(&self, kept: f64) -> Kernel {
        let (states, values) = (self.states(), self.values);
        let mut masses = vec![0.0; states * states];
        for from in 0..states {
            let row = &mut masses[from * states..][..states];
            match self.rates {
                Rates::Uniform => {
                    row.fill((1.0 - kept) / values as f64);
                    row[from] += kept;
                }
                Rates::Absorbing => {
                    row[from] = kept;
                    row[values] = 1.0 - kept;
                    if from == values {
                        row[values] = 1.0;
                    }
                }
                Rates::BirthDeath | Rates::Gaussian(_) => {
                    for (value, mode) in &self.modes {
                        let share = kept.powf(*value) * mode[from];
                        row.iter_mut().zip(mode).for_each(|(mass, u)| *mass += share * u);
                    }
                    // Rounding may leave far states below nothing.
                    row.iter_mut().for_each(|mass| *mass = mass.max(f64::MIN_POSITIVE));
                }
            }
        }
        let form = match self.rates {
            Rates::Uniform => {
                let moves = (1.0 - kept) / values as f64;
                Form::Uniform(kept, [kept + moves, moves].map(f64::ln))
            }
            Rates::Absorbing => Form::Absorbing(kept, [kept, 1.0 - kept].map(f64::ln)),
            Rates::BirthDeath | Rates::Gaussian(_) => {
                Form::Dense(masses.iter().map(|mass| mass.ln()).collect())
            }
        };
        Kernel { states, masses, form }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const ALL: [Rates; 4] =
        [Rates::Uniform, Rates::Absorbing, Rates::BirthDeath, Rates::Gaussian(1.3)];

    /// `exp(time Q)` by its series, halved and squared.
    fn exponential(generator: &[f64], states: usize, time: f64) -> Vec<f64> {
        let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
            let at = |i: usize, j: usize| (0..states).map(|k| a[i * states + k] * b[k * states + j]).sum();
            (0..states * states).map(|cell| at(cell / states, cell % states)).collect()
        };
        let halvings = 10;
        let scale = time / f64::from(1 << halvings);
        let small: Vec<f64> = generator.iter().map(|rate| rate * scale).collect();
        let identity: Vec<f64> =
            (0..states * states).map(|cell| f64::from(u8::from(cell / states == cell % states))).collect();
        let (mut sum, mut term) = (identity.clone(), identity);
        for order in 1..20 {
            term = product(&term, &small).iter().map(|value| value / f64::from(order)).collect();
            sum.iter_mut().zip(&term).for_each(|(sum, term)| *sum += term);
        }
        (0..halvings).fold(sum, |power, _| product(&power, &power))
    }

    #[test]
    fn kernels_are_exponentials_of_their_generators() {
        for rates in ALL {
            for values in 2..5 {
                let process = Process::new(rates, values);
                let states = process.states();
                let generator: Vec<f64> =
                    (0..states * states).map(|cell| process.rate(cell / states, cell % states)).collect();
                for kept in [1.0, 0.9, 0.3, 1e-3] {
                    let exact = exponential(&generator, states, -f64::ln(kept));
                    let kernel = process.kernel(kept);
                    for cell in 0..states * states {
                        let found = kernel.mass(cell / states, cell % states);
                        assert!((found - exact[cell]).abs() < 1e-12, "{rates:?}, {values}, {kept}: {found}");
                    }
                }
                let forgotten = process.kernel(0.0);
                for from in 0..states {
                    let pairs = forgotten.row(from).iter().zip(process.stationary());
                    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12), "{rates:?}, {values}");
                }
            }
        }
    }

    /// Sums over masses by what is known of a kernel are those over its rows, and its logarithms are theirs.
    #[test]
    fn short_sums_are_those_of_all_masses() {
        for rates in ALL {
            let process = Process::new(rates, 4);
            let states = process.states();
            for kept in [1.0, 0.4, 0.0] {
                let kernel = process.kernel(kept);
                let values: Vec<f64> = (0..states).map(|y| 0.3 + ((y * 7 + 2) % 5) as f64).collect();
                let total = values.iter().sum();
                for from in 0..states {
                    let sum: f64 = (0..states).map(|y| kernel.mass(from, y) * values[y]).sum();
                    assert!((kernel.mean(from, &values, total) - sum).abs() < 1e-12, "{rates:?} {kept}");
                    for to in 0..states {
                        let (log, mass) = (kernel.log_mass(from, to), kernel.mass(from, to));
                        assert!(
                            log == mass.ln() || (log - mass.ln()).abs() < 1e-12,
                            "{rates:?} {kept}: {log}"
                        );
                    }
                }
                for count in [4, states] {
                    let mut pushed = Vec::new();
                    kernel.push(&values[..count], &mut pushed);
                    for (to, pushed) in pushed.iter().enumerate() {
                        let sum: f64 = (0..count).map(|k| values[k] * kernel.mass(k, to)).sum();
                        assert!((pushed - sum).abs() < 1e-12, "{rates:?} {kept}: {pushed} and {sum}");
                    }
                }
            }
        }
    }

    /// Chapman and Kolmogorov, and Bayes' rule.
    #[test]
    fn bridges_are_posteriors() {
        for rates in ALL {
            let process = Process::new(rates, 4);
            let states = process.states();
            let [first, second, both] = [0.7, 0.4, 0.28].map(|kept| process.kernel(kept));
            for (from, to) in (0..4).flat_map(|from| (0..states).map(move |to| (from, to))) {
                let sum: f64 = (0..states).map(|y| first.mass(from, y) * second.mass(y, to)).sum();
                assert!((sum - both.mass(from, to)).abs() < 1e-12, "{rates:?}");
                if sum == 0.0 {
                    continue;
                }
                let mut bridge = Vec::new();
                first.bridge(&second, from, to, &mut bridge);
                for (y, mass) in bridge.iter().enumerate() {
                    let exact = first.mass(from, y) * second.mass(y, to) / both.mass(from, to);
                    assert!((mass - exact).abs() < 1e-10, "{rates:?}: {mass} and {exact}");
                }
            }
        }
    }
}
