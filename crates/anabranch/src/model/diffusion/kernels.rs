//! The kernels of a diffusion's chain.
//!
//! Between two levels, `s` below `t`, with `w = gamma_t - gamma_s` and `c = 1 - e^{-w}`:
//!
//! ```text
//! q(z_t | z_s) = N( (alpha_t / alpha_s) z_s,  sigma_t^2 c )
//! p(z_s | z_t) = N( alpha_s m + sigma_s sqrt(1 - eta^2 c) e,  eta^2 sigma_s^2 c )
//! ```
//!
//! Of a fixed schedule these are numbers, found in f64. Of a learned one that is tracked they are tensors, in log space: then
//! every number of a simulated path is a function of the curve, too.

use burn::tensor::{Tensor, activation};

use super::{Diffusion, LastMean};
use crate::array::weights::matrix;
use crate::chain::{Given, State, Transition};
use crate::kernel::law::{Gaussian, Law, LogStd, log_one_minus_exp_neg};
use crate::kernel::pair::{Conditional, Pair};
use crate::model::denoiser::{Coefficient, Factors};
use crate::model::schedule::{GammaAt, LearnedGamma, Level};

impl Diffusion {
    /// The chain over a subset of the levels, given by their indices from least to most noise, with `eta` times the
    /// posterior's noise: 1 is ancestral sampling and a chain pair, below 1 the backward half is no longer its reverse.
    pub fn transitions_over(&self, levels: &[Level], eta: f64) -> Vec<Box<dyn Transition + '_>> {
        let mut transitions: Vec<Box<dyn Transition + '_>> = Vec::with_capacity(levels.len());
        for pair in levels.windows(2).rev() {
            let (low, high) = (pair[0], pair[1]);
            let fresh = new_noise(low, high);
            let kept = eta * eta * fresh;
            transitions.push(Box::new(Pair {
                forward: Denoise {
                    diffusion: self,
                    from: Place::from(high),
                    signal: Coefficient::Shared(low.alpha() as f32),
                    noise: Coefficient::Shared((low.sigma() * (1.0 - kept).sqrt()) as f32),
                    log_std: LogStd::Shared((low.sigma() * kept.sqrt()).ln() as f32),
                },
                backward: AddNoise {
                    signal: Coefficient::Shared((high.alpha() / low.alpha()) as f32),
                    log_std: LogStd::Shared((high.sigma() * fresh.sqrt()).ln() as f32),
                },
            }));
        }
        transitions.push(self.last_transition_at(levels[0]));
        transitions
    }

    /// The chain over the levels of a tracked curve: its kernels' numbers are tensors `[1, 1]`, through which the curve learns
    /// from whatever is a function of the path.
    pub(super) fn tracked_transitions(
        &self,
        curve: &LearnedGamma,
        steps: usize,
    ) -> Vec<Box<dyn Transition + '_>> {
        let times = (0..=steps).map(|j| (j as f64 / steps as f64) as f32).collect();
        let GammaAt { gamma, time, .. } = curve.at(matrix(times, 1, &curve.weights().device()), None);
        let at = |values: &Tensor<2>, j: usize| values.clone().slice([j..j + 1, 0..1]);
        let place = |j: usize| Place::tracked(at(&gamma, j), at(&time, j));
        let log_alpha = |gamma: Tensor<2>| activation::log_sigmoid(-gamma) * 0.5;
        let mut transitions: Vec<Box<dyn Transition + '_>> = Vec::with_capacity(steps + 1);
        for low in (0..steps).rev() {
            let (below, above) = (at(&gamma, low), at(&gamma, low + 1));
            let width = above.clone() - below.clone();
            let log_fresh = log_one_minus_exp_neg(width.clone());
            let log_std =
                |gamma: Tensor<2>| LogStd::Each((activation::log_sigmoid(gamma) + log_fresh.clone()) * 0.5);
            let (from_alpha, to_alpha) = (log_alpha(above.clone()), log_alpha(below.clone()));
            let kept = (activation::log_sigmoid(below.clone()) - width) * 0.5;
            transitions.push(Box::new(Pair {
                forward: Denoise {
                    diffusion: self,
                    from: place(low + 1),
                    signal: Coefficient::Each(to_alpha.clone().exp()),
                    noise: Coefficient::Each(kept.exp()),
                    log_std: log_std(below),
                },
                backward: AddNoise {
                    signal: Coefficient::Each((from_alpha - to_alpha).exp()),
                    log_std: log_std(above),
                },
            }));
        }
        let lowest = at(&gamma, 0);
        let alpha = log_alpha(lowest.clone());
        transitions.push(Box::new(Pair {
            forward: Observe {
                diffusion: self,
                place: place(0),
                rescale: Coefficient::Each((-alpha.clone()).exp()),
            },
            backward: FirstNoise {
                diffusion: self,
                signal: Coefficient::Each(alpha.exp()),
                log_std: LogStd::Each(activation::log_sigmoid(lowest) * 0.5),
            },
        }));
        transitions
    }

    /// The last transition, from the lowest level to the data.
    pub fn last_transition(&self) -> Box<dyn Transition + '_> {
        self.last_transition_at(self.schedule.levels()[0])
    }

    fn last_transition_at(&self, level: Level) -> Box<dyn Transition + '_> {
        Box::new(Pair {
            forward: Observe {
                diffusion: self,
                place: Place::from(level),
                rescale: Coefficient::Shared(level.alpha().recip() as f32),
            },
            backward: FirstNoise {
                diffusion: self,
                signal: Coefficient::Shared(level.alpha() as f32),
                log_std: LogStd::Shared(level.sigma().ln() as f32),
            },
        })
    }
}

/// `c = 1 - exp(gamma_s - gamma_t)`, the share of level `t`'s noise that is new since level `s`.
fn new_noise(low: Level, high: Level) -> f64 {
    -f64::exp_m1(low.gamma - high.gamma)
}

/// A noise level as a kernel sees it.
pub(super) struct Place {
    pub factors: Factors,
    pub time: Coefficient,
    gamma: Coefficient,
}

impl From<Level> for Place {
    fn from(level: Level) -> Self {
        Self {
            factors: Factors::from(level),
            time: Coefficient::Shared(level.time as f32),
            gamma: Coefficient::Shared(level.gamma as f32),
        }
    }
}

impl Place {
    /// A level through which a schedule learns, `[1, 1]` each.
    fn tracked(gamma: Tensor<2>, time: Tensor<2>) -> Self {
        let factors = Factors {
            alpha: Coefficient::Each(activation::sigmoid(-gamma.clone()).sqrt()),
            sigma: Coefficient::Each(activation::sigmoid(gamma.clone()).sqrt()),
        };
        Self { factors, time: Coefficient::Each(time), gamma: Coefficient::Each(gamma) }
    }
}

/// `p(z_s | z_t)`: `signal` and `noise` are what its mean has of the two estimates.
struct Denoise<'a> {
    diffusion: &'a Diffusion,
    from: Place,
    signal: Coefficient,
    noise: Coefficient,
    log_std: LogStd,
}

impl Conditional for Denoise<'_> {
    fn law(&self, state: &State, given: &Given) -> Box<dyn Law + '_> {
        let (signal, noise) = self.diffusion.estimates_at(state, &self.from, given);
        let mean = self.signal.times(signal) + self.noise.times(noise);
        Box::new(Gaussian { mean, log_std: self.log_std.clone() })
    }
}

/// `q(z_t | z_s)`.
struct AddNoise {
    signal: Coefficient,
    log_std: LogStd,
}

impl Conditional for AddNoise {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        Box::new(Gaussian { mean: self.signal.times(state.clone()), log_std: self.log_std.clone() })
    }
}

/// `p(x | z_0)`, with `1 / alpha_0` for a rescaled mean.
struct Observe<'a> {
    diffusion: &'a Diffusion,
    place: Place,
    rescale: Coefficient,
}

impl Conditional for Observe<'_> {
    fn law(&self, state: &State, given: &Given) -> Box<dyn Law + '_> {
        let mean = match self.diffusion.last_mean {
            LastMean::Rescaled => self.rescale.times(state.clone()),
            LastMean::Denoised => self.diffusion.estimates_at(state, &self.place, given).0,
        };
        let gamma = match &self.place.gamma {
            Coefficient::Shared(gamma) => Tensor::full([1, 1], *gamma, &state.device()),
            Coefficient::Each(gamma) => gamma.clone(),
        };
        self.diffusion.observed(mean, gamma)
    }
}

/// `q(z_0 | x)`.
struct FirstNoise<'a> {
    diffusion: &'a Diffusion,
    signal: Coefficient,
    log_std: LogStd,
}

impl Conditional for FirstNoise<'_> {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        let mean = self.signal.times(self.diffusion.scaled(state));
        Box::new(Gaussian { mean, log_std: self.log_std.clone() })
    }
}
