//! Expectations of path log-weights: divergences between the two chains.
//!
//! ```text
//! l_b     = sum_r (log P_F - log P_B)                          of path b, from the source's draw on
//! forward KL           -mean_b l_b                              paths drawn backward from data: the bound on log p(x)
//!   weighted           -reconstruction + weight sum_s max(KL_s, free)
//! importance-weighted  -mean_x log mean_k exp(l_xk)             K backward paths of each datum (IWAE)
//! reverse KL           -mean_b (log R(x_b) - l_b)               paths drawn forward; the minimum is -log Z
//! mixed                (1 - s) reverse + s forward KL           each of paths of its own
//! ```
//!
//! The total derivative of the reverse KL by weights has a part that is 0 on average, `E_forward[d log P_F / d weights]` at given
//! states. Without it the gradient is 0 for every path, and not only on average, where the chain is exact ([`Gradient::Path`]).
//!
//! The divergence of the state `s_r` is the batch's mean of `log P_B(s_r | s_{r+1}) - log P_F(s_r | s_{r-1})`, and the
//! reconstruction `log P_F(x | s_{m-1})`. All are differentiated through the states.
//!
//! Kingma and Welling (2014); Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016), for free
//! nats; Wu, Köhler and Noé (2020), for the mixed one; Burda, Grosse, Salakhutdinov (2016), eq. 8; Roeder, Wu, Duvenaud,
//! "Sticking the landing" (2017).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{Drawn, Needs, PathObjective, Paths, Slopes};
use crate::error::Result;

/// Maximum likelihood of the data, or of the bound where the likelihood is not tractable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardKl {
    /// The final factor of a latent variable model's divergences (1 is the bound; above, beta-VAE).
    #[schemars(range(min = 0.0, max = 1e6))]
    pub kl_weight: f32,
    /// Steps over which that factor rises from 0.
    pub kl_warm_up: u64,
    /// Nats per latent level below which its divergence is not pushed; 0: none.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub free_nats: f32,
}

impl Default for ForwardKl {
    fn default() -> Self {
        Self { kl_weight: 1.0, kl_warm_up: 0, free_nats: 0.0 }
    }
}

/// The importance-weighted bound (IWAE).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportanceWeighted {
    /// Paths per datum.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub samples: usize,
}

/// Reverse KL from an energy: maximises the ELBO on log Z.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReverseKl {
    /// By which part of the path's number weights learn.
    pub gradient: Gradient,
}

/// By which part of the numbers of a forward path weights learn, where states carry gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gradient {
    /// All of it.
    #[default]
    Total,
    /// Through the states alone, with `log P_F` of stopped weights: sticking the landing; of several samples doubly
    /// reparameterised.
    Path,
}

/// Reverse KL and forward KL of a target that has exact samples, mixed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixedKl {
    /// The share of the forward KL.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub forward: f64,
}

impl Default for MixedKl {
    fn default() -> Self {
        Self { forward: 0.5 }
    }
}

/// `sum_r (log P_F - log P_B)` of path `b`.
pub(super) fn log_ratio(paths: &Paths, b: usize) -> f64 {
    let rows = paths.trajectory(b);
    paths.forward[rows.clone()].iter().zip(&paths.backward[rows]).map(|(f, b)| f - b).sum()
}

/// Adds the slope by `l_b`.
pub(super) fn add(paths: &Paths, b: usize, slope: f64, slopes: &mut Slopes) {
    slopes.forward[paths.trajectory(b)].iter_mut().for_each(|to| *to += slope);
    slopes.backward[paths.trajectory(b)].iter_mut().for_each(|to| *to -= slope);
}

impl PathObjective for ForwardKl {
    fn needs(&self) -> Needs {
        let drawn = Drawn::Backward { samples: 1, local: true };
        Needs { drawn, through_states: true, every_end: true, ..Needs::default() }
    }

    fn at_step(&self, step: u64) -> Option<Box<dyn PathObjective>> {
        (step < self.kl_warm_up).then(|| {
            let share = ((step + 1) as f32 / self.kl_warm_up as f32).min(1.0);
            Box::new(Self { kl_weight: self.kl_weight * share, kl_warm_up: 0, ..*self }) as _
        })
    }

    fn check(&self, place: &str) -> Result<()> {
        let check = Check(place);
        check.weight("kl_weight", f64::from(self.kl_weight))?;
        check.weight("free_nats", f64::from(self.free_nats))
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let (weight, free) = (f64::from(self.kl_weight), f64::from(self.free_nats));
        let share = 1.0 / paths.trajectories() as f64;
        if weight == 1.0 && free == 0.0 {
            return (0..paths.trajectories())
                .map(|b| {
                    add(paths, b, -share, slopes);
                    -share * log_ratio(paths, b)
                })
                .sum();
        }
        // Every path of a chain has the same rows; the last one is the stop.
        let kernels = paths.trajectory(0).len() - 1;
        let row = |b: usize, kernel: usize| paths.starts[b] + kernel;
        let batch = 0..paths.trajectories();
        let mut loss = 0.0;
        for b in batch.clone() {
            loss -= share * paths.forward[row(b, kernels - 1)];
            slopes.forward[row(b, kernels - 1)] -= share;
        }
        for kernel in 1..kernels {
            let each = |b: usize| paths.backward[row(b, kernel)] - paths.forward[row(b, kernel - 1)];
            let divergence = share * batch.clone().map(each).sum::<f64>();
            let pushed = free == 0.0 || divergence > free;
            loss += weight * if pushed { divergence } else { free };
            if pushed {
                for b in batch.clone() {
                    slopes.backward[row(b, kernel)] += share * weight;
                    slopes.forward[row(b, kernel - 1)] -= share * weight;
                }
            }
        }
        loss
    }
}

impl PathObjective for ImportanceWeighted {
    fn needs(&self) -> Needs {
        let drawn = Drawn::Backward { samples: self.samples, local: false };
        Needs { drawn, through_states: true, every_end: true, ..Needs::default() }
    }

    fn check(&self, place: &str) -> Result<()> {
        Check(place).within("samples", self.samples as f64, 1.0, 1e6)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let data = paths.trajectories() / self.samples;
        let share = 1.0 / data.max(1) as f64;
        let mut loss = 0.0;
        for datum in 0..data {
            let those = datum * self.samples..(datum + 1) * self.samples;
            let logs: Vec<f64> = those.clone().map(|b| log_ratio(paths, b)).collect();
            let log_sum = crate::math::log_sum_exp(&logs);
            loss -= share * (log_sum - (self.samples as f64).ln());
            for (b, log) in those.zip(&logs) {
                add(paths, b, -share * (log - log_sum).exp(), slopes);
            }
        }
        loss
    }
}

impl PathObjective for ReverseKl {
    fn needs(&self) -> Needs {
        let stopped = self.gradient == Gradient::Path;
        Needs { through_states: true, stopped, on_policy: true, every_end: true, ..Needs::default() }
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let share = 1.0 / paths.trajectories() as f64;
        let mut loss = 0.0;
        for b in 0..paths.trajectories() {
            loss -= share * (paths.log_reward[b] - log_ratio(paths, b));
            add(paths, b, share, slopes);
            slopes.log_reward[b] = -share;
        }
        loss
    }
}

impl PathObjective for MixedKl {
    fn needs(&self) -> Needs {
        Needs { samples: true, ..ReverseKl::default().needs() }
    }

    fn check(&self, place: &str) -> Result<()> {
        Check(place).within("forward", self.forward, 0.0, 1.0)
    }

    fn parts(&self) -> Vec<(f64, Box<dyn PathObjective>)> {
        let forward = ForwardKl::default();
        vec![(1.0 - self.forward, Box::new(ReverseKl::default())), (self.forward, Box::new(forward))]
    }

    /// The share of the reverse KL, which these paths are of.
    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        ReverseKl::default().evaluate(paths, slopes)
    }
}
