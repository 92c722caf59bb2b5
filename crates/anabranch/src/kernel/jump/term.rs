//! What a batch of coordinates costs under the logits of a network: terms of bounds and of losses, with their gradients.
//!
//! ```text
//! divergence       KL( q(x_s | x_t, x_0) | p(x_s | x_t) )                     a step of the bound of a chain (D3PM's L_t)
//! surprise         -log p(x_s | x_t)                                          a step that was made; from s = 0, the cross-entropy
//! score entropy    sum_{y != x} Q(y, x) [ r_y - rho_y log r_y + rho_y (log rho_y - 1) ],   rho_y = q(y | x_0) / q(x | x_0)
//! ratio matching   -log p(x_t^d | x_t without d)
//! likelihood       -[ (V - 1) log p(x_t^d | x_t without d) + sum_{y != x} log(1 - p(y | x_t without d)) ]
//! ```
//!
//! Each is summed over coordinates, in nats. `beta` times the score entropy, integrated over time, is the bound of the chain of
//! infinitely many steps: it is `Phi(q / p) >= 0` of the generator form of denoising Markov models (Benton et al. 2024), of SEDD (Lou et
//! al. 2024, definition 3.1), and has the expectation of the bound of Campbell et al. (2022, proposition 2). With an absorbing process
//! and an [`Answer::Signal`] it is the masked bound `-alpha' / (1 - alpha) sum over masked d of -log p(x_0^d | x_t)` (Shi et al. 2024;
//! Sahoo et al. 2024), and the divergence that of finitely many steps. Ratio matching and the likelihood, which counts every value as a
//! question of its own: Sun et al. (2023), eq. 13 and appendix B.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::reverse::Marginals;
use super::{Answer, Process, Reverse, Scheme, Step};
use crate::array::rowwise::{RowFunction, of_rows};

/// A term, with the states that it needs beside `x_t`, `[rows, columns]` each.
#[derive(Debug, Clone)]
pub enum Term {
    /// `KL(q(x_s | x_t, x_0) | p(x_s | x_t))`.
    Divergence(Scheme, Arc<[u16]>),
    /// `-log p(x_s | x_t)` of a given `x_s`.
    Surprise(Scheme, Arc<[u16]>),
    /// The score entropy at `beta = 1`, of a given `x_0`.
    ScoreEntropy(Arc<[u16]>),
    /// `-log p(x_t^d | x_t without d)`.
    RatioMatching,
    /// The same, with whether the coordinate has each of the other values.
    Likelihood,
}

/// A batch of coordinates.
#[derive(Debug, Clone)]
pub struct Job {
    /// The process of each coordinate.
    pub process: Arc<Process>,
    /// What the logits are of.
    pub answer: Answer,
    /// Coordinates of a row.
    pub columns: usize,
    /// `x_t`, `[rows, columns]`.
    pub states: Arc<[u16]>,
    /// The stretch of time of each row, or one for all.
    pub stretches: Arc<[Arc<Reverse>]>,
    /// What is asked.
    pub term: Term,
}

/// The term of each row, `[rows]`, for logits `[rows, columns * states]`; of those of a mask nothing is read.
///
/// # Panics
/// If the shapes do not fit.
pub fn terms(job: Job, logits: Tensor<2>) -> Tensor<1> {
    let [rows, width] = logits.dims();
    assert_eq!(
        (width, job.states.len()),
        (job.columns * job.process.states(), rows * job.columns),
        "the shapes"
    );
    of_rows(job, logits)
}

impl Job {
    pub(super) fn stretch(&self, row: usize) -> &Reverse {
        &self.stretches[if self.stretches.len() == 1 { 0 } else { row }]
    }

    /// The term of coordinate `at` of the batch; adds its slopes by the logits.
    fn coordinate(&self, at: usize, logits: &[f32], slopes: Option<&mut [f64]>, room: &mut Room) -> f64 {
        let (stretch, process) = (self.stretch(at / self.columns), self.process.as_ref());
        let (x, states) = (usize::from(self.states[at]), process.states());
        match &self.term {
            Term::Divergence(scheme, data) => {
                // What is revealed stays, whatever the network says.
                if process.mask().is_some_and(|mask| mask != x) && *scheme == Scheme::Ancestral {
                    return 0.0;
                }
                stretch.posterior(usize::from(data[at]), x, &mut room.weights);
                let entropy: f64 = room.weights.iter().filter(|w| **w > 0.0).map(|w| w * w.ln()).sum();
                entropy + self.cross_entropy(*scheme, stretch, x, logits, slopes, room)
            }
            Term::Surprise(scheme, after) => {
                room.weights.clear();
                room.weights.resize(states, 0.0);
                room.weights[usize::from(after[at])] = 1.0;
                self.cross_entropy(*scheme, stretch, x, logits, slopes, room)
            }
            Term::ScoreEntropy(data) => {
                let Room { marginals, by_log, .. } = room;
                stretch.marginals(self.answer, x, logits, marginals);
                let from = stretch.noising().row(usize::from(data[at]));
                by_log.clear();
                by_log.resize(states, 0.0);
                let mut sum = 0.0;
                for y in (0..states).filter(|y| *y != x && process.rate(*y, x) > 0.0) {
                    let (rate, ratio) = (process.rate(y, x), marginals.masses[y] / marginals.masses[x]);
                    let exact = from[y] / from[x];
                    let known = if exact > 0.0 { exact * (exact.ln() - 1.0 - ratio.ln()) } else { 0.0 };
                    sum += rate * (ratio + known);
                    by_log[y] = rate * (ratio - exact);
                    by_log[x] -= by_log[y];
                }
                if let Some(slopes) = slopes {
                    stretch.pull_marginals(marginals, by_log, slopes);
                }
                sum
            }
            Term::RatioMatching => {
                let Room { marginals, by_log, .. } = room;
                stretch.marginals(self.answer, x, logits, marginals);
                let total: f64 = marginals.masses.iter().sum();
                let surprise = -(marginals.masses[x] / total).ln();
                if let Some(slopes) = slopes {
                    by_log.clear();
                    by_log.extend(marginals.masses.iter().map(|mass| mass / total));
                    by_log[x] -= 1.0;
                    stretch.pull_marginals(marginals, by_log, slopes);
                }
                surprise
            }
            Term::Likelihood => {
                let Room { marginals, by_log, weights, .. } = room;
                stretch.marginals(self.answer, x, logits, marginals);
                let total: f64 = marginals.masses.iter().sum();
                // Slopes by p times p: those by its logarithm, up to what the normalisation takes back.
                let (others, mut sum, mut mean) = (states as f64 - 1.0, 0.0, 0.0);
                weights.clear();
                for (y, mass) in marginals.masses.iter().enumerate() {
                    let (p, rest) = (mass / total, 1.0 - mass / total);
                    let rest = rest.max(f64::MIN_POSITIVE);
                    sum -= if y == x { others * p.ln() } else { rest.ln() };
                    let slope = if y == x { -others } else { p / rest };
                    mean += slope;
                    weights.push(slope);
                }
                if let Some(slopes) = slopes {
                    by_log.clear();
                    let own = weights.iter().zip(&marginals.masses);
                    by_log.extend(own.map(|(slope, mass)| slope - mean * mass / total));
                    stretch.pull_marginals(marginals, by_log, slopes);
                }
                sum
            }
        }
    }

    /// `-sum_y weights(y) log p(x_s = y | x_t)`, of the weights in `room`.
    fn cross_entropy(
        &self,
        scheme: Scheme,
        stretch: &Reverse,
        x: usize,
        logits: &[f32],
        slopes: Option<&mut [f64]>,
        room: &mut Room,
    ) -> f64 {
        let Room { step, weights, by_log, .. } = room;
        stretch.step(&self.process, (self.answer, scheme), x, logits, step);
        let part = |(weight, mass): (&f64, &f64)| if *weight > 0.0 { -weight * mass.ln() } else { 0.0 };
        let sum = weights.iter().zip(&step.masses).map(part).sum();
        if let Some(slopes) = slopes {
            by_log.clear();
            by_log.extend(weights.iter().map(|weight| -weight));
            stretch.pull(step, x, by_log, slopes);
        }
        sum
    }
}

impl RowFunction for Job {
    fn width(&self) -> usize {
        self.columns * self.process.states()
    }

    fn row(&self, row: usize, logits: &[f32], mut slopes: Option<&mut [f32]>) -> f32 {
        let (states, values) = (self.process.states(), self.process.values());
        let (mut sum, mut own, mut room) = (0.0, vec![0.0; values], Room::default());
        for (column, logits) in logits.chunks_exact(states).enumerate() {
            let at = row * self.columns + column;
            match &mut slopes {
                None => sum += self.coordinate(at, &logits[..values], None, &mut room),
                Some(slopes) => {
                    own.fill(0.0);
                    sum += self.coordinate(at, &logits[..values], Some(&mut own), &mut room);
                    let out = &mut slopes[column * states..][..values];
                    out.iter_mut().zip(&own).for_each(|(out, own)| *out = *own as f32);
                }
            }
        }
        sum as f32
    }
}

/// What the coordinates of a row are reckoned in, one after the other.
#[derive(Default)]
struct Room {
    step: Step,
    marginals: Marginals,
    weights: Vec<f64>,
    by_log: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::Rates;
    use super::*;
    use crate::array::weights::{matrix, to_vec};

    const VALUES: usize = 3;

    /// A law of two coordinates of three values each.
    fn law() -> Vec<f64> {
        let raw = [3.0, 1.0, 0.5, 0.2, 2.0, 1.0, 0.1, 0.4, 4.0];
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|mass| mass / sum).collect()
    }

    /// The chances that the exact law gives: of `(x_0, x_t)` jointly.
    fn joint(noising: &super::super::Kernel, data: [usize; 2], x: [usize; 2]) -> f64 {
        law()[data[0] * VALUES + data[1]] * noising.mass(data[0], x[0]) * noising.mass(data[1], x[1])
    }

    fn pairs(of: usize) -> impl Iterator<Item = [usize; 2]> {
        (0..of * of).map(move |pair| [pair / of, pair % of])
    }

    /// Logits of what is asked, from the exact law at `x`; the mask's is 0.
    fn exact(answer: Answer, process: &Process, noising: &super::super::Kernel, x: [usize; 2]) -> Vec<f32> {
        let states = process.states();
        let mut logits = vec![0.0f64; 2 * states];
        for d in 0..2 {
            for k in 0..VALUES {
                logits[d * states + k] = match answer {
                    Answer::Signal => {
                        pairs(VALUES).filter(|data| data[d] == k).map(|data| joint(noising, data, x)).sum()
                    }
                    Answer::Conditional => pairs(VALUES)
                        .filter(|data| data[d] == k)
                        .map(|data| {
                            let other = 1 - d;
                            law()[data[0] * VALUES + data[1]] * noising.mass(data[other], x[other])
                        })
                        .sum(),
                    Answer::Marginal => {
                        let mut moved = x;
                        moved[d] = k;
                        pairs(VALUES).map(|data| joint(noising, data, moved)).sum()
                    }
                };
            }
        }
        logits.iter().map(|mass| mass.max(1e-30).ln() as f32).collect()
    }

    /// With the exact law the mean slope is zero at every state, and moving any logit makes the mean larger.
    #[test]
    fn exact_laws_are_minima_of_bounds() {
        for rates in [Rates::Uniform, Rates::Absorbing, Rates::BirthDeath, Rates::Gaussian(1.0)] {
            let process = Arc::new(Process::new(rates, VALUES));
            let (states, stretch) = (process.states(), Reverse::new(&process, [0.62, 0.6]));
            let noising = stretch.noising().clone();
            for answer in [Answer::Signal, Answer::Conditional, Answer::Marginal] {
                if answer == Answer::Marginal && rates == Rates::Absorbing {
                    continue;
                }
                for name in ["divergence", "score entropy"] {
                    if name == "divergence" && answer == Answer::Marginal {
                        continue;
                    }
                    for x in pairs(states) {
                        let logits = exact(answer, &process, &noising, x);
                        let mean = |logits: &[f32]| {
                            let (mut mean, mut total, mut slopes) = (0.0, 0.0, vec![0.0; 2 * states]);
                            for data in pairs(VALUES) {
                                let mass = joint(&noising, data, x);
                                if mass == 0.0 {
                                    continue;
                                }
                                let words =
                                    |pair: [usize; 2]| -> Arc<[u16]> { pair.map(|v| v as u16).into() };
                                let term = match name {
                                    "divergence" => Term::Divergence(Scheme::Ancestral, words(data)),
                                    _ => Term::ScoreEntropy(words(data)),
                                };
                                let job = Job {
                                    process: process.clone(),
                                    answer,
                                    columns: 2,
                                    states: words(x),
                                    stretches: Arc::new([Arc::new(stretch.clone())]),
                                    term,
                                };
                                let mut own = vec![0.0f32; 2 * states];
                                mean += mass * f64::from(job.row(0, logits, Some(&mut own)));
                                total += mass;
                                slopes.iter_mut().zip(own).for_each(|(s, own)| *s += mass * f64::from(own));
                            }
                            slopes.iter_mut().for_each(|slope| *slope /= total);
                            (mean / total, slopes)
                        };
                        // States that no datum reaches.
                        if pairs(VALUES).all(|data| joint(&noising, data, x) == 0.0) {
                            continue;
                        }
                        let (least, slopes) = mean(&logits);
                        assert!(
                            slopes.iter().all(|slope| slope.abs() < 1e-6),
                            "{rates:?} {answer:?} {name} at {x:?}: {slopes:?}"
                        );
                        for at in 0..2 * states {
                            let mut moved = logits.clone();
                            moved[at] += 0.3;
                            assert!(mean(&moved).0 > least - 1e-9, "{rates:?} {answer:?} {name}");
                        }
                    }
                }
            }
        }
    }

    /// Ratio matching and the likelihood: the mean over a coordinate's own state, the rest held.
    #[test]
    fn exact_marginals_are_the_minimum_of_ratio_matching() {
        let all = [Rates::Uniform, Rates::Absorbing, Rates::BirthDeath];
        let terms = [Term::RatioMatching, Term::Likelihood];
        for (rates, term) in all.into_iter().flat_map(|rates| terms.clone().map(|term| (rates, term))) {
            let process = Arc::new(Process::new(rates, VALUES));
            let (states, stretch) = (process.states(), Reverse::new(&process, [0.62, 0.6]));
            let noising = stretch.noising().clone();
            for rest in 0..states {
                let logits = exact(Answer::Conditional, &process, &noising, [0, rest]);
                let mut slopes = vec![0.0; VALUES];
                for x in 0..states {
                    let mass: f64 = pairs(VALUES).map(|data| joint(&noising, data, [x, rest])).sum();
                    let job = Job {
                        process: process.clone(),
                        answer: Answer::Conditional,
                        columns: 2,
                        states: [x as u16, rest as u16].into(),
                        stretches: Arc::new([Arc::new(stretch.clone())]),
                        term: term.clone(),
                    };
                    let mut own = vec![0.0f32; 2 * states];
                    job.row(0, &logits, Some(&mut own));
                    slopes.iter_mut().zip(own).for_each(|(s, own)| *s += mass * f64::from(own));
                }
                let zero = slopes.iter().all(|slope| slope.abs() < 1e-6);
                assert!(zero, "{rates:?} {term:?} {rest}: {slopes:?}");
            }
        }
    }

    /// The slopes of every term are those of differences.
    #[test]
    fn slopes_of_terms_are_those_of_differences() {
        let logits = [0.25f32, -0.75, 1.125, 0.5, 0.0, -0.25];
        let process = Arc::new(Process::new(Rates::Uniform, VALUES));
        let data: Arc<[u16]> = [2, 0].into();
        for term in [
            Term::Divergence(Scheme::Ancestral, data.clone()),
            Term::Surprise(Scheme::TauLeaping, data.clone()),
            Term::ScoreEntropy(data),
            Term::RatioMatching,
            Term::Likelihood,
        ] {
            let job = Job {
                process: process.clone(),
                answer: Answer::Conditional,
                columns: 2,
                states: [1, 2].into(),
                stretches: Arc::new([Arc::new(Reverse::new(&process, [0.7, 0.5]))]),
                term: term.clone(),
            };
            let mut slopes = vec![0.0f32; 6];
            job.row(0, &logits, Some(&mut slopes));
            for at in 0..6 {
                let value = |by: f32| {
                    let mut moved = logits;
                    moved[at] += by;
                    let mut room = Room::default();
                    let each = moved.chunks_exact(VALUES).enumerate();
                    each.map(|(d, logits)| job.coordinate(d, logits, None, &mut room)).sum::<f64>()
                };
                let difference = (value(2f32.powi(-12)) - value(-(2f32.powi(-12)))) * 2048.0;
                let found = f64::from(slopes[at]);
                assert!((found - difference).abs() < 1e-5, "{term:?}, {at}: {found} and {difference}");
            }
        }
    }

    /// With a mask the divergence and the score entropy are cross-entropies at masked coordinates.
    #[test]
    fn masked_terms_are_weighted_cross_entropies() {
        let process = Arc::new(Process::new(Rates::Absorbing, VALUES));
        let (early, late) = (0.7, 0.4);
        let stretch = Arc::new(Reverse::new(&process, [early, late]));
        let logits = [0.3f32, -0.5, 0.9, 7.0, 0.2, 0.4, -0.1, -3.0];
        let log_sum = logits[..3].iter().map(|a| f64::from(*a).exp()).sum::<f64>().ln();
        let surprise = log_sum - f64::from(logits[1]);
        let job = |term| Job {
            process: process.clone(),
            answer: Answer::Signal,
            columns: 2,
            states: [3, 2].into(),
            stretches: Arc::new([stretch.clone()]),
            term,
        };
        let value = |term| {
            let logits = matrix(logits.to_vec(), 8, &Device::flex());
            f64::from(to_vec(terms(job(term), logits))[0])
        };
        let data: Arc<[u16]> = [1, 2].into();
        let divergence = value(Term::Divergence(Scheme::Ancestral, data.clone()));
        assert!((divergence - (early - late) / (1.0 - late) * surprise).abs() < 1e-6, "{divergence}");
        let entropy = value(Term::ScoreEntropy(data));
        assert!((entropy - late / (1.0 - late) * surprise).abs() < 1e-6, "{entropy}");
    }
}
