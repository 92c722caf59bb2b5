//! The probability-flow ODE of a diffusion: deterministic paths with the diffusion's marginals.
//!
//! In the time `gamma = -log SNR`, with `v = alpha e - sigma m` the velocity of the denoiser's estimates,
//!
//! ```text
//! dz / dgamma = 1/2 alpha sigma v
//!             = 1/2 sigma (e - sigma z) = 1/2 alpha (alpha z - m) = -1/2 sigma^2 (z + score)
//! log p(z_0)  = log mu(z_N) + int_{gamma_0}^{gamma_N} tr( d(dz/dgamma) / dz ) dgamma
//! ```
//!
//! (Song et al. 2021, section 4.3 and appendix D; Chen et al. 2018 for the change of variables.) In this time the ODE is
//! not stiff: on Gaussian data the eigenvalues of the right side lie within +-1/2, whatever the data's scale. Each form
//! above is free of cancellation for its own parametrisation at either end.
//!
//! The steps are those of the classical Runge-Kutta method, evenly spaced in `gamma`: the error of states and of log-densities
//! falls with the fourth power of their number where the denoiser is smooth. The trace is exact, by forward mode along every
//! coordinate, or Hutchinson's estimate `mean_k e_k^T J e_k` with independent signs `e_k` for every step: it is unbiased,
//! since the path does not depend on the signs, and independent steps average its noise out.
//!
//! As a step of a chain pair each is a bijection, up to that error. The last kernel `p(x | z_0)` stays the chain's own.

use burn::tensor::{DType, Tensor, TensorData};

use super::denoiser::{Factors, Prediction};
use super::diffusion::Diffusion;
use super::schedule::Level;
use crate::array::lattice;
use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::{Given, Score, State, Step, Transition, double};
use crate::error::Failure;
use crate::kernel::law::{Gaussian, Law, LogStd};
use crate::math::Estimate;
use crate::rng::{Noise, Purpose};

/// How the trace of the right side's Jacobian is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divergence {
    /// Exactly: one derivative per coordinate.
    Exact,
    /// By Hutchinson's estimator.
    Hutchinson {
        /// Sign vectors per row and step, at least 1.
        probes: usize,
    },
}

/// One Runge-Kutta step of the ODE between two noise levels.
#[derive(Debug)]
pub struct OdeStep<'a> {
    diffusion: &'a Diffusion,
    /// Its ends and what lies between them, least noise first.
    levels: [Level; 3],
    divergence: Divergence,
}

/// Where a step ended, and `log |det|` of its map.
struct Moved {
    state: State,
    /// Per row; of Hutchinson's estimator one per probe, next to each other.
    log_dets: Vec<f64>,
}

impl OdeStep<'_> {
    /// The right side at `z`, and its traces where `probes` are given.
    fn slope(&self, z: &State, level: Level, given: &Given, probes: Option<&Probes>) -> (State, Vec<f64>) {
        match probes {
            Some(probes) => self.diffusion.drift_and_divergence(z, level, given, probes),
            None => (self.diffusion.drift(z, level, given), Vec::new()),
        }
    }

    fn advance(&self, z: State, towards_noise: bool, given: &Given, probes: Option<&Probes>) -> Moved {
        let [low, middle, high] = self.levels;
        let (from, to) = if towards_noise { (low, high) } else { (high, low) };
        let step = to.gamma - from.gamma;
        let at = |slope: &State, share: f64| z.clone() + slope.clone() * (share * step) as f32;
        let (k1, d1) = self.slope(&z, from, given, probes);
        let (k2, d2) = self.slope(&at(&k1, 0.5), middle, given, probes);
        let (k3, d3) = self.slope(&at(&k2, 0.5), middle, given, probes);
        let (k4, d4) = self.slope(&at(&k3, 1.0), to, given, probes);
        let traces = d1.iter().zip(&d2).zip(d3.iter().zip(&d4));
        let log_dets = traces.map(|((d1, d2), (d3, d4))| step / 6.0 * (d1 + 2.0 * (d2 + d3) + d4)).collect();
        let state = z + (k1 + (k2 + k3) * 2.0 + k4) * (step / 6.0) as f32;
        Moved { state, log_dets }
    }

    fn probes(&self, z: &State, noise: &Noise) -> Probes {
        Probes::draw(self.divergence, z, noise)
    }

    fn scored(&self, from: State, towards_noise: bool, given: &Given, noise: &Noise) -> Step {
        let ([rows, _], device) = (from.dims(), from.device());
        let probes = self.probes(&from, noise);
        let moved = self.advance(from, towards_noise, given, Some(&probes));
        let means = moved.log_dets.chunks_exact(probes.count()).map(|row| Estimate::mean(row).value);
        let data = TensorData::new(means.collect::<Vec<f64>>(), [rows]);
        Step::of_ratio(moved.state, Tensor::from_data(data, (&device, DType::F64)))
    }
}

impl Transition for OdeStep<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        Ok(self.scored(from, false, given, noise))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        Ok(self.scored(from, true, given, noise))
    }

    fn sample(&self, from: State, given: &Given, _noise: &Noise) -> Result<State, Failure> {
        Ok(self.advance(from, false, given, None).state)
    }

    fn score(&self, _before: &State, _after: &State, _given: &Given) -> Result<Score, Failure> {
        Ok(Score::Deterministic)
    }
}

/// What traces are taken along.
enum Probes {
    Coordinates,
    /// `count` sign vectors per row, `[rows * count, dimension]`.
    Signs {
        count: usize,
        signs: State,
    },
}

impl Probes {
    fn draw(divergence: Divergence, z: &State, noise: &Noise) -> Self {
        let Divergence::Hutchinson { probes: count } = divergence else { return Self::Coordinates };
        let [rows, d] = z.dims();
        // A row's probes are the columns of one wide row: its address does not depend on the batch.
        let signs = noise.purpose(Purpose::Probe).signs(rows, count * d);
        Self::Signs { count, signs: matrix(signs, d, &z.device()) }
    }

    /// Traces per row.
    fn count(&self) -> usize {
        match self {
            Self::Coordinates => 1,
            Self::Signs { count, .. } => *count,
        }
    }
}

impl Prediction {
    /// `c` and `g` of the right side `c z + g y`, where `y` is the denoiser's output ([`Prediction::Levels`]: the signal
    /// that follows from it).
    fn drift_coefficients(&self, level: Level) -> (f64, f64) {
        let (alpha, sigma) = (level.alpha(), level.sigma());
        match self {
            Self::Noise => (-0.5 * sigma * sigma, 0.5 * sigma),
            Self::Signal | Self::Levels(_) => (0.5 * alpha * alpha, -0.5 * alpha),
            Self::Velocity => (0.0, 0.5 * alpha * sigma),
            Self::Score => (-0.5 * sigma * sigma, -0.5 * sigma * sigma),
        }
    }
}

impl Diffusion {
    /// The ODE in `steps` Runge-Kutta steps evenly spaced in `gamma`, the first next to the source.
    ///
    /// # Panics
    /// If there are no steps, or no probes.
    pub fn ode_steps(&self, steps: usize, divergence: Divergence) -> Vec<OdeStep<'_>> {
        assert!(steps > 0, "an ODE is solved in at least one step");
        assert!(divergence != Divergence::Hutchinson { probes: 0 }, "an estimate needs a probe");
        let levels = self.schedule.even(2 * steps + 1);
        let triple = |i: usize| [levels[2 * i], levels[2 * i + 1], levels[2 * i + 2]];
        (0..steps).rev().map(|i| OdeStep { diffusion: self, levels: triple(i), divergence }).collect()
    }

    /// A chain's transitions with the ODE in the place of the steps between noise levels: from the source to the data.
    ///
    /// On a datum its weight is `log p(z_0) + log p(x | z_0) - log q(z_0 | x)` with `z_0` drawn from `q`: on average a
    /// lower bound on `log p(x)`, of integers too, which `z_0`'s little noise keeps close. Its terms record no gradient.
    ///
    /// # Panics
    /// As [`Diffusion::ode_steps`].
    pub fn ode_transitions(&self, steps: usize, divergence: Divergence) -> Vec<Box<dyn Transition + '_>> {
        let steps = self.ode_steps(steps, divergence).into_iter();
        steps.map(|step| Box::new(step) as Box<dyn Transition>).chain([self.last_transition()]).collect()
    }

    /// `log p(z_0)` of each row of `z_0`, `[batch, dimension]` at the lowest noise level, nats, under the ODE from
    /// `N(0, I)`; the error is that of Hutchinson's estimate: 0 of an exact trace, NaN of a single probe.
    ///
    /// # Panics
    /// As [`Diffusion::ode_steps`].
    pub fn ode_log_density(
        &self,
        z_0: State,
        steps: usize,
        divergence: Divergence,
        given: &Given,
        noise: &Noise,
    ) -> Vec<Estimate> {
        let rows = z_0.dims()[0];
        let (mut state, mut sums, mut variances) = (z_0, vec![0.0; rows], vec![0.0; rows]);
        for (index, step) in self.ode_steps(steps, divergence).iter().enumerate().rev() {
            let probes = step.probes(&state, &noise.step(index as u32));
            let moved = step.advance(state, true, given, Some(&probes));
            for (row, log_dets) in moved.log_dets.chunks_exact(probes.count()).enumerate() {
                let estimate = Estimate::mean(log_dets);
                sums[row] += estimate.value;
                variances[row] += if divergence == Divergence::Exact { 0.0 } else { estimate.error.powi(2) };
            }
            state = moved.state;
        }
        let mean = Tensor::zeros(state.dims(), &state.device());
        let source = to_vec_f64(double(Gaussian { mean, log_std: LogStd::Shared(0.0) }.log_density(&state)));
        let rows = source.iter().zip(sums.iter().zip(&variances));
        rows.map(|(source, (sum, variance))| Estimate { value: source + sum, error: variance.sqrt() })
            .collect()
    }

    /// `dz / dgamma`.
    fn drift(&self, z: &State, level: Level, given: &Given) -> State {
        let factors = Factors::from(level);
        let output = self.denoiser.output(z, time(z, level), &factors, given);
        let output = match &self.prediction {
            Prediction::Levels(_) => self.prediction.signal(output, z, &factors),
            _ => output,
        };
        self.combined(z, output, level)
    }

    fn combined(&self, z: &State, output: State, level: Level) -> State {
        let (carry, gain) = self.prediction.drift_coefficients(level);
        z.clone() * carry as f32 + output * gain as f32
    }

    /// `dz / dgamma` and the traces of its Jacobian: per row, and per probe next to each other.
    fn drift_and_divergence(
        &self,
        z: &State,
        level: Level,
        given: &Given,
        probes: &Probes,
    ) -> (State, Vec<f64>) {
        let (factors, time, [rows, d]) = (Factors::from(level), time(z, level), z.dims());
        let (output, derivatives) = match probes {
            Probes::Coordinates => self.denoiser.own_derivatives(z, time, &factors, given),
            Probes::Signs { signs, .. } => self.denoiser.push_forward(z, time, &factors, given, signs),
        };
        // Along coordinates as along the probe of ones: the diagonal is what is added up.
        let signs = match probes {
            Probes::Coordinates => vec![1.0; rows * d],
            Probes::Signs { signs, .. } => to_vec(signs.clone()),
        };
        let (output, derivatives) = match &self.prediction {
            Prediction::Levels(centres) => {
                let pull = level.alpha() / level.sigma().powi(2);
                let h: Vec<f32> = to_vec(z.clone()).iter().map(|z| (f64::from(*z) * pull) as f32).collect();
                let q = vec![(level.alpha() * pull) as f32; rows];
                let (mean, to_logits, to_h) = lattice::mean_and_slopes(centres, &to_vec(output), &h, &q);
                let derivatives = to_vec(derivatives);
                let k = centres.len();
                let tangent = |at: usize| {
                    let element = at / (probes.count() * d) * d + at % d;
                    let (slopes, tangents) = (&to_logits[element * k..][..k], &derivatives[at * k..][..k]);
                    let prior: f32 = slopes.iter().zip(tangents).map(|(s, t)| s * t).sum();
                    prior + to_h[element] * pull as f32 * signs[at]
                };
                (matrix(mean, d, &z.device()), (0..signs.len()).map(tangent).collect())
            }
            _ => (output, to_vec(derivatives)),
        };
        let (carry, gain) = self.prediction.drift_coefficients(level);
        let traces = derivatives.chunks_exact(d).zip(signs.chunks_exact(d)).map(|(derivatives, signs)| {
            let sum: f64 = derivatives.iter().zip(signs).map(|(t, e)| f64::from(*t) * f64::from(*e)).sum();
            carry * d as f64 + gain * sum
        });
        let traces = traces.collect();
        (self.combined(z, output, level), traces)
    }
}

fn time(z: &State, level: Level) -> Tensor<2> {
    Tensor::full([1, 1], level.time as f32, &z.device())
}
