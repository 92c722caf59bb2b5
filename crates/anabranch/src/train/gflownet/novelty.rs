//! Novelty by random network distillation: how badly a network has learned to repeat what a random one says of an object.
//!
//! ```text
//! novelty(x) = |f(x; learned) - f(x; random)|^2 / width,     R'(x) = R(x) + scale novelty(x)
//! ```
//!
//! The bonus fades as objects are seen again, so that the trained law tends to `R / Z`. Burda et al. (2019); augmented
//! rewards at terminal states, Pan et al. (2023), section 4.

use super::exploration::NoveltySettings;
use crate::array::matmul::row_stride;
use crate::network::Activation;
use crate::network::taped::{Mlp, NONE, Tape, TapedNetwork};
use crate::policy::Policy;
use crate::rng::{Noise, Purpose};
use crate::train::learner::Player;

/// The two networks.
#[derive(Debug)]
pub(super) struct Novelty {
    pub settings: NoveltySettings,
    network: Mlp,
    random: Vec<f32>,
    tape: Tape,
    target: Tape,
    pub gradient: Vec<f32>,
}

impl Novelty {
    pub fn new<P: Policy>(policy: &P, settings: NoveltySettings, seed: u64) -> Self {
        let network = Mlp::new(policy.inputs(), &[settings.width], settings.width, Activation::Relu);
        let random = network.initial(&Noise::new(seed, Purpose::Network).step(1));
        let (tape, target, gradient) = (Tape::default(), Tape::default(), vec![0.0; network.parameters()]);
        Self { settings, network, random, tape, target, gradient }
    }

    /// The learned network with its first weights.
    pub fn player(&self, seed: u64) -> Player {
        let first = self.network.initial(&Noise::new(seed, Purpose::Network));
        Player::model("novelty", first, &self.network.layout())
    }

    /// Adds the bonus to log-rewards; finds the gradient of the mean novelty.
    pub fn add_bonus<P: Policy>(
        &mut self,
        policy: &P,
        weights: &[f32],
        objects: &[P::Cell],
        log_rewards: &mut [f64],
    ) {
        for tape in [&mut self.tape, &mut self.target] {
            tape.clear();
            for object in objects.chunks_exact(policy.cells()) {
                tape.push(NONE, |on, dense| policy.encode(object, on, dense));
            }
        }
        let (learned, random) = (self.network.with(weights), self.network.with(&self.random));
        learned.evaluate(&mut self.tape, 0);
        random.evaluate(&mut self.target, 0);
        let width = self.settings.width;
        let mut slopes = vec![0.0; self.tape.rows() * row_stride(width)];
        let count = log_rewards.len() as f32;
        for (row, log_reward) in log_rewards.iter_mut().enumerate() {
            let pairs = self.tape.output(row, width).iter().zip(self.target.output(row, width));
            let mut novelty = 0.0;
            for ((found, wanted), slope) in pairs.zip(&mut slopes[row * row_stride(width)..]) {
                let error = found - wanted;
                novelty += f64::from(error * error) / width as f64;
                *slope = 2.0 * error / (width as f32 * count);
            }
            let bonus = (self.settings.scale * novelty).ln();
            let largest = log_reward.max(bonus);
            *log_reward = largest + ((*log_reward - largest).exp() + (bonus - largest).exp()).ln();
        }
        learned.backward(&mut self.tape, &slopes, &mut self.gradient);
    }
}
