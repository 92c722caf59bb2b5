//! Back-and-forth: an object is taken apart by `P_B` and put together again by `P_F`.
//!
//! ```text
//! x  --P_B, k removals-->  s  --P_F-->  x'
//! log ratio = [log R(x') + log P_B(tau') - log P_F(tau')] - [log R(x) + log P_B(tau) - log P_F(tau)] + log q' - log q
//! ```
//!
//! with `tau` the erased and `tau'` the new stretch, `q` the chance of erasing so far and no farther: at a state that nothing leads
//! to, the source or the root of a walk, the chance of erasing so far or farther. Accepted by Metropolis
//! and Hastings, the move leaves `R / Z` invariant whatever the policy; a good policy makes it move far (Zhang et al. 2022,
//! section 3.2). Accepting what is better alone is a search (Kim et al. 2024).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::trajectories::reward_of_ends;
use crate::model::gflownet::{BackwardRollout, Batch, ForwardRollout};
use crate::network::taped::Evaluator;
use crate::policy::{Behaviour, Policy};
use crate::rng::{Noise, Purpose};
use crate::target::{Failure, Target};

/// When a new object takes the place of the old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Acceptance {
    /// With the probability that leaves the target invariant.
    MetropolisHastings,
    /// With Barker's probability `1 / (1 + e^{-ratio})`, which leaves it invariant, too, and moves less.
    Barker,
    /// If its reward is higher.
    Better,
}

/// How many removals are made before building again; fewer where the source comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removals {
    /// Always as many.
    Exactly(u32),
    /// Any number from 1 to this one, all alike.
    UpTo(u32),
}

impl Removals {
    fn draw(self, word: u32) -> u32 {
        match self {
            Self::Exactly(count) => count,
            Self::UpTo(most) => 1 + ((u64::from(word) * u64::from(most)) >> 32) as u32,
        }
    }

    /// The log-probability of erasing `length` moves, having stopped at the source or not.
    fn log_chance(self, length: usize, at_source: bool) -> f64 {
        let length = length as f64;
        let at_most = |most: u32| length <= f64::from(most);
        let chance = match (self, at_source) {
            (Self::Exactly(count), false) => f64::from(u8::from(length == f64::from(count))),
            (Self::Exactly(count), true) => f64::from(u8::from(at_most(count))),
            // At least one move is erased, unless there is none.
            (Self::UpTo(most), false) => {
                f64::from(u8::from(length >= 1.0 && at_most(most))) / f64::from(most)
            }
            (Self::UpTo(most), true) => ((f64::from(most) - length + 1.0) / f64::from(most)).clamp(0.0, 1.0),
        };
        chance.ln()
    }
}

/// Objects that are improved or mixed, with the memory for it.
pub struct BackAndForth<P: Policy> {
    back: Batch<P>,
    forth: Batch<P>,
    middles: Vec<P::Cell>,
    proposed: Vec<P::Cell>,
    log_rewards: Vec<f64>,
}

impl<P: Policy> Default for BackAndForth<P> {
    fn default() -> Self {
        Self {
            back: Batch::default(),
            forth: Batch::default(),
            middles: Vec::new(),
            proposed: Vec::new(),
            log_rewards: Vec::new(),
        }
    }
}

/// Objects with what is known of them.
pub struct Particles<'a, C> {
    /// `[count, cells]`.
    pub objects: &'a mut [C],
    /// `[count]`, nats.
    pub log_rewards: &'a mut [f64],
    /// `[count, width]`, or empty.
    pub conditions: &'a [f32],
}

impl<P: Policy> BackAndForth<P> {
    /// Makes one move with every object; answers how many were accepted. Row `i` of `noise` is object `i`'s.
    ///
    /// # Errors
    /// If there are no rewards, or the policy has no law at a state; nothing has then changed.
    #[allow(clippy::too_many_arguments)]
    pub fn round(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        reward: &dyn Target<P::Cell>,
        particles: Particles<'_, P::Cell>,
        removals: Removals,
        acceptance: Acceptance,
        noise: &Noise,
    ) -> Result<usize, Failure> {
        let Particles { objects, log_rewards, conditions } = particles;
        let cells = policy.cells();
        let choice = noise.purpose(Purpose::Choice).step(u32::MAX);
        let most: Vec<u32> = (0..log_rewards.len()).map(|i| removals.draw(choice.words(i, 0)[0])).collect();
        let back = noise.purpose(Purpose::Backward);
        let backward_rollout = BackwardRollout { objects, conditions, most: &most, noise: &back };
        self.back.clear();
        self.back.backward_rollout(policy, evaluator, backward_rollout)?;
        self.back.describe(policy);
        self.back.imply_backward(policy, evaluator);
        self.back.starts(policy, &mut self.middles);
        let forth = noise.purpose(Purpose::Forward);
        let forward_rollout = ForwardRollout {
            sources: &self.middles,
            conditions,
            behaviour: Behaviour::default(),
            noise: &forth,
        };
        self.forth.clear();
        self.forth.forward_rollout(policy, evaluator, forward_rollout)?;
        self.forth.describe(policy);
        self.forth.imply_backward(policy, evaluator);
        self.forth.objects(policy, &mut self.proposed);
        self.log_rewards.resize(log_rewards.len(), 0.0);
        let cut: Vec<bool> = self.forth.cut().collect();
        reward_of_ends(policy, reward, &self.proposed, &cut, conditions, &mut self.log_rewards)?;
        self.forth.paths.log_reward.clone_from(&self.log_rewards);
        self.back.paths.log_reward.clear();
        self.back.paths.log_reward.extend_from_slice(log_rewards);
        let (old, new) = (self.back.paths.log_weights(), self.forth.paths.log_weights());
        let mut work = P::Work::default();
        let mut accepted = 0;
        for i in 0..log_rewards.len() {
            let accept = match acceptance {
                Acceptance::Better => self.log_rewards[i] > log_rewards[i],
                Acceptance::MetropolisHastings | Acceptance::Barker => {
                    // A walk that was given up either way is none that the other way could make.
                    if self.back.paths.is_cut(i) {
                        continue;
                    }
                    let at_source = policy.is_start(&self.middles[i * cells..][..cells], &mut work);
                    let chance = |batch: &Batch<P>| {
                        let moves = batch.paths.starts[i + 1] - batch.paths.starts[i] - 1;
                        removals.log_chance(moves, at_source)
                    };
                    let ratio = new[i] - old[i] + chance(&self.forth) - chance(&self.back);
                    let u = (f64::from(choice.words(i, 0)[1]) + 0.5) / 4_294_967_296.0;
                    match acceptance {
                        Acceptance::Barker => u * (1.0 + (-ratio).exp()) < 1.0,
                        _ => u.ln() < ratio,
                    }
                }
            };
            if accept {
                accepted += 1;
                log_rewards[i] = self.log_rewards[i];
                objects[i * cells..][..cells].copy_from_slice(&self.proposed[i * cells..][..cells]);
            }
        }
        Ok(accepted)
    }
}
