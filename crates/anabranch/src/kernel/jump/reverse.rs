//! The generating half of a jump process, one coordinate at a time: what a network answers, and the steps made of it.
//!
//! With `x = x_t^d` the coordinate's state, everything else at `t` known, and `h(k) = p(x_0^d = k | x_t without d)`:
//!
//! ```text
//! signal       p(x_0^d = k | x_t)            ~ h(k) q_t(x | k)                  Bayes' rule: h ~ signal / q_t(x | k)
//! marginal     c(y) = p(x_t^d = y | the rest) = sum_k h(k) q_t(y | k)
//! ratio        r(y) = c(y) / c(x)                                               logits of marginals: r = exp(a_y - a_x)
//!
//! ancestral    p(x_s = y | x_t) ~ q(x | y) sum_k q_s(y | k) h(k)                exact if h is, over a step of any length
//! Euler        L Q(y, x) r(y),   the rest stays                                 L = ln(alpha_s / alpha_t)
//! tau-leaping  L Q(y, x) r(y) e^{-l},   the rest stays                          l = sum_y L Q(y, x) r(y)
//! ```
//!
//! The ancestral step is D3PM's posterior under a predicted signal (Austin et al. 2021, eq. 4) and the analytic one of SDDM (Sun et
//! al. 2023, eq. 24 and appendix B): they are one formula. A masked coordinate of an absorbing process takes a value with the chance
//! `(alpha_s - alpha_t) / (1 - alpha_t)`, and a revealed one stays. Tau-leaping is that of Campbell et al. (2022), section 4.3: of a
//! coordinate with more than one jump in a step, all are rejected. The first step from `alpha_t = 0`, over which the integrated rates
//! are infinite, is ancestral whatever the scheme, and so is the last, which has to end in data.

use super::{Kernel, Process};

/// What the logits of a coordinate are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// `p(x_0 | x_t)`.
    #[default]
    Signal,
    /// `h`: `p(x_0^d | x_t without d)`, of a network that does not see coordinate `d` where it answers for it.
    Conditional,
    /// `p(x_t^d | x_t without d)`. Of a network that sees the coordinate only the ratios are meant.
    Marginal,
}

/// How a step is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// The posterior under the predicted signal.
    Ancestral,
    /// One jump at most, with chances linear in the step.
    Euler,
    /// Poisson numbers of jumps at frozen rates.
    TauLeaping,
}

/// The least chance to stay in an Euler step: longer steps are cut there, and the bound stays finite.
const STAY: f64 = 1e-6;

/// A stretch of time from `s` to `t`, of one coordinate.
#[derive(Debug, Clone)]
pub struct Reverse {
    early: Kernel,
    last: Kernel,
    noising: Kernel,
    length: f64,
    ends: bool,
}

impl Reverse {
    /// The stretch between the survivals `alpha_s >= alpha_t`.
    pub fn new(process: &Process, [early, late]: [f64; 2]) -> Self {
        Self {
            early: process.kernel(early),
            last: process.kernel(if early > 0.0 { late / early } else { 1.0 }),
            noising: process.kernel(late),
            length: (early / late).ln(),
            ends: early >= 1.0,
        }
    }

    /// The stretch from time 0 to the same `t`.
    pub fn from_data(&self, process: &Process) -> Self {
        Self {
            early: process.kernel(1.0),
            last: self.noising.clone(),
            noising: self.noising.clone(),
            length: f64::INFINITY,
            ends: true,
        }
    }

    /// `q(x_t | x_s)`.
    pub fn noising_step(&self) -> &Kernel {
        &self.last
    }

    /// `q(x_t | x_0)`.
    pub fn noising(&self) -> &Kernel {
        &self.noising
    }

    /// `q(x_s | x_t, x_0)`, `[states]`, into `out`.
    pub fn posterior(&self, data: usize, x: usize, out: &mut Vec<f64>) {
        self.early.bridge(&self.last, data, x, out);
    }

    /// `h`, up to a factor, into `weights`; from logits of marginals, which do not tell it, that of who knows nothing.
    fn conditional(&self, answer: Answer, x: usize, logits: &[f32], weights: &mut Vec<f64>) {
        weights.clear();
        match answer {
            Answer::Conditional => weights.extend(logits.iter().map(|logit| f64::from(*logit))),
            Answer::Marginal => return weights.resize(logits.len(), 1.0),
            Answer::Signal => {
                let log = |(k, logit): (usize, &f32)| match self.noising.log_mass(k, x) {
                    f64::NEG_INFINITY => f64::NEG_INFINITY,
                    mass => f64::from(*logit) - mass,
                };
                weights.extend(logits.iter().enumerate().map(log));
            }
        }
        let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        weights.iter_mut().for_each(|weight| *weight = (*weight - most).exp());
    }

    /// Whether the step is made of the posterior, whatever is asked for.
    fn is_ancestral(&self, scheme: Scheme, answer: Answer) -> bool {
        let forced = self.length.is_infinite() || (self.ends && answer != Answer::Marginal);
        scheme == Scheme::Ancestral || forced
    }

    /// The chance of a masked coordinate to be revealed, where the steps are ancestral and a mask is all that can change: what is revealed
    /// then follows the network's law, whatever the step.
    pub fn revealing(&self, process: &Process, (answer, scheme): (Answer, Scheme)) -> Option<f64> {
        let mask = process.mask().filter(|_| self.is_ancestral(scheme, answer))?;
        // From any value: with what chance it is masked at the end, but not before.
        Some((self.early.mass(0, 0) * self.last.mass(0, mask)) / self.noising.mass(0, mask))
    }

    /// `p(x_t^d = y | the rest)` for every state `y`, at the coordinate's state `x`, `[states]`.
    pub fn conditional_law(&self, answer: Answer, x: usize, logits: &[f32]) -> Vec<f64> {
        let mut marginals = Marginals::default();
        self.marginals(answer, x, logits, &mut marginals);
        let mut masses = marginals.masses;
        let total: f64 = masses.iter().sum();
        masses.iter_mut().for_each(|mass| *mass /= total);
        masses
    }

    /// `c(y)` for every state, up to a factor, at the coordinate's state `x`.
    pub(super) fn marginals(&self, answer: Answer, x: usize, logits: &[f32], out: &mut Marginals) {
        out.answer = answer;
        self.conditional(answer, x, logits, &mut out.weights);
        match answer {
            Answer::Marginal => {
                let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                out.masses.clear();
                out.masses.extend(logits.iter().map(|logit| f64::from(logit - most).exp()));
            }
            Answer::Signal | Answer::Conditional => self.noising.push(&out.weights, &mut out.masses),
        }
    }

    /// Adds to `slopes`, by the logits, what those by the logarithms of marginals are.
    pub(super) fn pull_marginals(&self, marginals: &mut Marginals, by_log: &[f64], slopes: &mut [f64]) {
        if marginals.answer == Answer::Marginal {
            slopes.iter_mut().zip(by_log).for_each(|(slope, by_log)| *slope += by_log);
            return;
        }
        let Marginals { weights, masses, by_mass, .. } = marginals;
        let sum = divided(by_log, masses, by_mass);
        for (k, (slope, weight)) in slopes.iter_mut().zip(weights).enumerate() {
            *slope += *weight * self.noising.mean(k, by_mass, sum);
        }
    }

    /// The law `p(x_s | x_t)` of a coordinate in state `x`, by the logits of its values; `step` is room for it.
    pub fn step(
        &self,
        process: &Process,
        (answer, scheme): (Answer, Scheme),
        x: usize,
        logits: &[f32],
        step: &mut Step,
    ) {
        let Step { masses, marginals, total, made } = step;
        masses.clear();
        if self.is_ancestral(scheme, answer) {
            marginals.answer = answer;
            self.conditional(answer, x, logits, &mut marginals.weights);
            self.early.push(&marginals.weights, &mut marginals.masses);
            masses.extend(marginals.masses.iter().enumerate().map(|(y, sum)| sum * self.last.mass(y, x)));
            *total = masses.iter().sum();
            masses.iter_mut().for_each(|mass| *mass /= *total);
            *made = Made::Posterior;
            return;
        }
        self.marginals(answer, x, logits, marginals);
        let here = marginals.masses[x];
        let jump = |(y, mass): (usize, &f64)| match y == x {
            true => 0.0,
            false => self.length * process.rate(y, x) * mass / here,
        };
        masses.extend(marginals.masses.iter().enumerate().map(jump));
        *total = masses.iter().sum();
        let (how, share) = match scheme {
            Scheme::TauLeaping => (Made::Leap, (-*total).exp()),
            _ if *total > 1.0 - STAY => (Made::Cut, (1.0 - STAY) / *total),
            _ => (Made::Jump, 1.0),
        };
        masses.iter_mut().for_each(|mass| *mass *= share);
        masses[x] = (1.0 - *total * share).max(STAY);
        *made = how;
    }

    /// Adds to `slopes`, by the logits, what those by the logarithms of a step's masses are.
    pub fn pull(&self, step: &mut Step, x: usize, by_log: &[f64], slopes: &mut [f64]) {
        let Step { masses, marginals, total, made } = step;
        let sum: f64 = by_log.iter().sum();
        if *made == Made::Posterior {
            if marginals.answer == Answer::Marginal {
                return;
            }
            let Marginals { weights, masses, by_mass, .. } = marginals;
            let all = divided(by_log, masses, by_mass);
            for (k, (slope, weight)) in slopes.iter_mut().zip(weights).enumerate() {
                let own = self.early.mean(k, by_mass, all);
                *slope += *weight * (own - sum * self.noising.mass(k, x) / *total);
            }
            return;
        }
        let jumped = sum - by_log[x];
        // What a jump's ratio does to its own chance, to the others and to that of staying.
        let by_ratio = |(y, mass): (usize, &f64)| match made {
            _ if y == x => 0.0,
            Made::Jump => by_log[y] - by_log[x] * mass / masses[x],
            Made::Cut => by_log[y] - jumped * mass / (1.0 - STAY),
            Made::Leap | Made::Posterior => {
                let rate = mass * total.exp();
                by_log[y] - jumped * rate - by_log[x] * (1.0 - *total) * mass / masses[x]
            }
        };
        let mut by_marginal: Vec<f64> = masses.iter().enumerate().map(by_ratio).collect();
        by_marginal[x] = -by_marginal.iter().sum::<f64>();
        self.pull_marginals(marginals, &by_marginal, slopes);
    }
}

/// Slopes by logarithms as those by the numbers, into `by_mass`; answers their sum.
fn divided(by_log: &[f64], masses: &[f64], by_mass: &mut Vec<f64>) -> f64 {
    let pulled = |(mass, by_log): (&f64, &f64)| if *by_log == 0.0 { 0.0 } else { by_log / mass };
    by_mass.clear();
    by_mass.extend(masses.iter().zip(by_log).map(pulled));
    by_mass.iter().sum()
}

/// `c(y)`, and the `h` that it comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Marginals {
    answer: Answer,
    weights: Vec<f64>,
    pub(super) masses: Vec<f64>,
    /// Room for slopes.
    by_mass: Vec<f64>,
}

/// How a step was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Made {
    #[default]
    Posterior,
    Jump,
    Cut,
    Leap,
}

/// The law of one coordinate's step, in memory that the next coordinate's takes over.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// `p(x_s = y | x_t)`, `[states]`.
    pub masses: Vec<f64>,
    marginals: Marginals,
    total: f64,
    made: Made,
}

#[cfg(test)]
mod tests {
    use super::super::{Rates, tests::ALL};
    use super::*;

    const SCHEMES: [Scheme; 3] = [Scheme::Ancestral, Scheme::Euler, Scheme::TauLeaping];

    fn answers(rates: Rates) -> Vec<Answer> {
        let mut answers = vec![Answer::Signal, Answer::Conditional];
        answers.extend((rates != Rates::Absorbing).then_some(Answer::Marginal));
        answers
    }

    #[test]
    fn slopes_of_steps_are_those_of_differences() {
        // Exact in binary, as the differences are.
        let logits = [0.25f32, -0.75, 1.125, 0.1875];
        for rates in ALL {
            let process = Process::new(rates, 4);
            for (early, late) in [(1.0, 0.6), (0.7, 0.6), (0.9, 0.1), (0.2, 0.0)] {
                let reverse = Reverse::new(&process, [early, late]);
                for (answer, scheme) in
                    answers(rates).into_iter().flat_map(|answer| SCHEMES.map(|scheme| (answer, scheme)))
                {
                    if (answer, scheme) == (Answer::Marginal, Scheme::Ancestral) {
                        continue;
                    }
                    for x in
                        (0..process.states()).filter(|x| late > 0.0 || process.mask().is_none_or(|m| m == *x))
                    {
                        let made = |logits: &[f32]| {
                            let mut step = Step::default();
                            reverse.step(&process, (answer, scheme), x, logits, &mut step);
                            step
                        };
                        let mut step = made(&logits);
                        let sum: f64 = step.masses.iter().sum();
                        assert!((sum - 1.0).abs() < 1e-9, "{rates:?} {answer:?} {scheme:?}: {sum}");
                        let by_log: Vec<f64> = (0..process.states())
                            .map(|y| if step.masses[y] > 1e-12 { 0.5 + y as f64 * 0.7 } else { 0.0 })
                            .collect();
                        let value = |logits: &[f32]| -> f64 {
                            let masses = made(logits).masses;
                            let part = |(by_log, mass): (&f64, &f64)| match *by_log {
                                0.0 => 0.0,
                                by_log => by_log * mass.ln(),
                            };
                            by_log.iter().zip(&masses).map(part).sum()
                        };
                        let mut slopes = vec![0.0; 4];
                        reverse.pull(&mut step, x, &by_log, &mut slopes);
                        for k in 0..4 {
                            let moved = |by: f32| {
                                let mut moved = logits;
                                moved[k] += by;
                                value(&moved)
                            };
                            let difference = (moved(2f32.powi(-14)) - moved(-(2f32.powi(-14)))) * 8192.0;
                            assert!(
                                (slopes[k] - difference).abs() < 1e-4 * (1.0 + difference.abs()),
                                "{rates:?} {answer:?} {scheme:?} {early} {late} {x}: {} and {difference}",
                                slopes[k]
                            );
                        }
                    }
                }
            }
        }
    }

    /// Of one coordinate the exact signal makes the ancestral step the posterior of the noising one, however long it is, and the two
    /// others in the limit of short ones.
    #[test]
    fn steps_at_the_exact_signal_are_posteriors() {
        let law = [0.1f64, 0.45, 0.25, 0.2];
        for rates in ALL {
            let process = Process::new(rates, 4);
            for (early, late) in [(1.0, 0.5), (0.9, 0.05), (0.5, 0.4999)] {
                let reverse = Reverse::new(&process, [early, late]);
                let at = process.kernel(early);
                for x in 0..process.states() {
                    let joint: Vec<f64> = (0..process.states())
                        .map(|y| {
                            let now: f64 = (0..4).map(|k| law[k] * at.mass(k, y)).sum();
                            now * reverse.noising_step().mass(y, x)
                        })
                        .collect();
                    let total: f64 = joint.iter().sum();
                    let signal: Vec<f32> = (0..4)
                        .map(|k| (law[k] * reverse.noising().mass(k, x)).max(1e-30).ln() as f32)
                        .collect();
                    let own: Vec<f32> = law.iter().map(|mass| mass.ln() as f32).collect();
                    for (answer, logits) in [(Answer::Signal, &signal), (Answer::Conditional, &own)] {
                        for scheme in SCHEMES {
                            if scheme != Scheme::Ancestral && late / early < 0.9 {
                                continue;
                            }
                            let mut found = Step::default();
                            reverse.step(&process, (answer, scheme), x, logits, &mut found);
                            for (found, joint) in found.masses.iter().zip(&joint) {
                                assert!(
                                    (found - joint / total).abs() < 2e-6,
                                    "{rates:?} {answer:?} {scheme:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
