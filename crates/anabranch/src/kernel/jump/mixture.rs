//! Steps of discrete flow matching, of one coordinate: the mixture path between data and noise, followed by rates of one's choice.
//!
//! Every coordinate of `x_t` is that of the data with the chance `alpha_t`, and drawn from the noise `pi` otherwise: what uniform and
//! absorbing processes leave at `t`, but not the only way to get there. With `k` the data's value, from `t` to an earlier `s`:
//!
//! ```text
//! forward    S(y | x, k) = (1 - r) K(x, y) + r K(k, y),   r = (alpha_u - alpha_t) / (1 - alpha_t),   alpha_u = alpha_s / a
//!            p(x_s = y | x_t = x) = sum_k p(k | x_t) S(y | x, k)
//! backward   p(x_t = x | x_s = y) = sum_k p(k | x_s) q_t(x | k) S(y | x, k) / q_s(y | k)
//! noise      K = kernel of the share a = exp(-eta (alpha_s - alpha_t)), at least alpha_s
//! ```
//!
//! A coordinate goes to its value with the chance `r` of having to by `u`, and from there is noised again to `s`. Given `k` the step has the
//! marginals of the path exactly, whatever its length; over coordinates that are not independent it is of first order. In the limit of
//! short steps these are the rates, by the time `alpha`,
//!
//! ```text
//! x -> k     (1 + eta alpha) / (1 - alpha)      from where it is not; eta = 0 is corrector-free: nothing moves twice
//! any        eta times the noise: pi of a value, or the mask
//! ```
//!
//! of Campbell et al., "Generative flows on discrete state-spaces" (2024), by their `eta` under a mask (of uniform noise theirs is `eta / V`, and
//! values that are noise stay), and of Gat et al., "Discrete flow matching" (2024), with a corrector of the weight `eta alpha`. The reversal
//! takes the same conditional path the other way by what is known at its end: of one coordinate, at the exact law, both are each other's
//! Bayes' rule.

use super::{Answer, Kernel, Process, Rates};

/// A step between two times, of one coordinate.
#[derive(Debug, Clone)]
pub struct MixtureStep {
    /// `q_t` and `q_s`.
    late: Kernel,
    early: Kernel,
    /// `K`.
    again: Kernel,
    /// `r`.
    share: f64,
    /// `1 - alpha_t`, and `pi`.
    lost: f64,
    noise: Vec<f64>,
}

impl MixtureStep {
    /// The step between the survivals `alpha_s > alpha_t` that noises again at the rate `eta >= 0`.
    ///
    /// # Panics
    /// If the process is neither uniform nor absorbing, whose marginals are mixtures.
    pub fn new(process: &Process, [early, late]: [f64; 2], eta: f64) -> Self {
        assert!(matches!(process.rates(), Rates::Uniform | Rates::Absorbing), "marginals that are mixtures");
        let kept = (-eta * (early - late)).exp().max(early);
        Self {
            late: process.kernel(late),
            early: process.kernel(early),
            again: process.kernel(kept),
            share: (early / kept - late) / (1.0 - late),
            lost: 1.0 - late,
            noise: process.stationary(),
        }
    }

    /// `p(x_0 | x_t)` at the late end from logits of a coordinate in state `x`, `[values]`, into `out`.
    pub fn late_signal(&self, answer: Answer, x: usize, logits: &[f32], out: &mut Vec<f64>) {
        signal(&self.late, answer, x, logits, out);
    }

    /// `p(x_0 | x_s)` at the early end from logits of a coordinate in state `y`, `[values]`, into `out`.
    pub fn early_signal(&self, answer: Answer, y: usize, logits: &[f32], out: &mut Vec<f64>) {
        signal(&self.early, answer, y, logits, out);
    }

    /// `p(x_s | x_t = x)`, `[states]`, into `out`, of the law `signal` of the data's value at the late end.
    pub fn forward(&self, signal: &[f64], x: usize, out: &mut Vec<f64>) {
        let mut reached = vec![0.0; self.noise.len()];
        reached.iter_mut().zip(signal).for_each(|(reached, mass)| *reached = self.share * mass);
        reached[x] += 1.0 - self.share;
        self.again.push(&reached, out);
    }

    /// `p(x_t | x_s = y)`, `[states]`, into `out`, of the law `signal` of the data's value at the early end.
    pub fn backward(&self, signal: &[f64], y: usize, out: &mut Vec<f64>) {
        let weight = |(k, mass): (usize, &f64)| if *mass > 0.0 { mass / self.early.mass(k, y) } else { 0.0 };
        let weights: Vec<f64> = signal.iter().enumerate().map(weight).collect();
        let total: f64 = weights.iter().sum();
        let moved: f64 = weights.iter().enumerate().map(|(k, weight)| weight * self.again.mass(k, y)).sum();
        out.clear();
        out.extend(self.noise.iter().enumerate().map(|(x, noise)| {
            let here = self.again.mass(x, y);
            let own = weights.get(x).map_or(0.0, |weight| (1.0 - self.lost) * weight * here);
            own + self.lost * noise * ((1.0 - self.share) * here * total + self.share * moved)
        }));
    }
}

/// The law of the data's value given all of a noisy state, `[values]`, from the logits of a coordinate in state `x`.
fn signal(noising: &Kernel, answer: Answer, x: usize, logits: &[f32], out: &mut Vec<f64>) {
    let log = |(k, logit): (usize, &f32)| match (noising.log_mass(k, x), answer) {
        (f64::NEG_INFINITY, _) => f64::NEG_INFINITY,
        (mass, Answer::Conditional) => f64::from(*logit) + mass,
        (_, Answer::Signal) => f64::from(*logit),
        (_, Answer::Marginal) => panic!("logits of the data's value"),
    };
    out.clear();
    out.extend(logits.iter().enumerate().map(log));
    let most = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    out.iter_mut().for_each(|mass| *mass = (*mass - most).exp());
    let total: f64 = out.iter().sum();
    out.iter_mut().for_each(|mass| *mass /= total);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: [f64; 3] = [0.15, 0.6, 0.25];

    fn trials() -> impl Iterator<Item = (Process, [f64; 2], f64)> {
        let ends = [[1.0, 0.6], [0.7, 0.4], [0.3, 0.0]];
        let rates = [Rates::Uniform, Rates::Absorbing];
        rates.into_iter().flat_map(move |rates| {
            let etas = [0.0, 0.8, 40.0];
            ends.into_iter().flat_map(move |ends| etas.map(|eta| (Process::new(rates, 3), ends, eta)))
        })
    }

    /// Given the data's value the step leads from the one marginal to the other exactly, however long it is and however much is noised
    /// again.
    #[test]
    fn steps_keep_the_mixture_path() {
        for (process, ends, eta) in trials() {
            let step = MixtureStep::new(&process, ends, eta);
            let [early, late] = ends.map(|alpha| process.kernel(alpha));
            for k in 0..3 {
                let known: Vec<f64> = (0..3).map(|value| f64::from(u8::from(value == k))).collect();
                let mut reached = vec![0.0; process.states()];
                let mut masses = Vec::new();
                for (x, mass) in late.row(k).iter().enumerate() {
                    step.forward(&known, x, &mut masses);
                    reached.iter_mut().zip(&masses).for_each(|(sum, step)| *sum += mass * step);
                }
                for (found, expected) in reached.iter().zip(early.row(k)) {
                    assert!((found - expected).abs() < 1e-12, "{ends:?} {eta}: {found} and {expected}");
                }
            }
        }
    }

    /// At the exact law of one coordinate the two halves are Bayes' rule, for either answer.
    #[test]
    fn halves_are_reversals_of_each_other() {
        for (process, ends, eta) in trials() {
            let step = MixtureStep::new(&process, ends, eta);
            let [early, late] = ends.map(|alpha| process.kernel(alpha));
            let marginal = |kernel: &Kernel, x| (0..3).map(|k| LAW[k] * kernel.mass(k, x)).sum::<f64>();
            let logits = |kernel: &Kernel, answer, x| -> Vec<f32> {
                let mass = |k: usize| if answer == Answer::Signal { kernel.mass(k, x) } else { 1.0 };
                (0..3).map(|k| (LAW[k] * mass(k)).max(1e-30).ln() as f32).collect()
            };
            for answer in [Answer::Signal, Answer::Conditional] {
                for (x, y) in (0..process.states()).flat_map(|x| (0..process.states()).map(move |y| (x, y))) {
                    let [from, to] = [marginal(&late, x), marginal(&early, y)];
                    if from == 0.0 || to == 0.0 {
                        continue;
                    }
                    let [mut signal, mut there, mut back] = [const { Vec::new() }; 3];
                    step.late_signal(answer, x, &logits(&late, answer, x), &mut signal);
                    step.forward(&signal, x, &mut there);
                    step.early_signal(answer, y, &logits(&early, answer, y), &mut signal);
                    step.backward(&signal, y, &mut back);
                    let total: f64 = back.iter().sum();
                    assert!((total - 1.0).abs() < 1e-9, "{ends:?} {eta}: {total}");
                    let (joint, reversed) = (from * there[y], to * back[x]);
                    assert!(
                        (joint - reversed).abs() < 1e-7,
                        "{ends:?} {eta} {x} {y}: {joint} and {reversed}"
                    );
                }
            }
        }
    }

    /// Short steps have the rates that they are made of.
    #[test]
    fn short_steps_have_the_rates_of_the_path() {
        let (alpha, length, eta) = (0.4, 1e-6, 2.5);
        for rates in [Rates::Uniform, Rates::Absorbing] {
            let process = Process::new(rates, 3);
            let step = MixtureStep::new(&process, [alpha + length, alpha], eta);
            let mut masses = Vec::new();
            step.forward(&[0.0, 1.0, 0.0], process.states() - 1, &mut masses);
            let to_data = (1.0 + eta * alpha) / (1.0 - alpha);
            let again = eta * process.stationary()[1];
            assert!((masses[1] / length - to_data - again).abs() < 1e-4, "{rates:?}: {}", masses[1] / length);
            step.forward(&[0.0, 1.0, 0.0], 1, &mut masses);
            let left = (1.0 - masses[1]) / length;
            let away = eta * (1.0 - process.stationary()[1]);
            assert!((left - away).abs() < 1e-4, "{rates:?}: {left} and {away}");
        }
    }
}
