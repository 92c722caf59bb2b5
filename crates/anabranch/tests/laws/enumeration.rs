//! Law 5 for the exact laws of flow networks, over every environment that can be enumerated.

use std::sync::Arc;

use anabranch::environment::{Environment, States};
use anabranch::estimate::exact::{
    Bounds, Flows, Policy, Terminating, backward, conditional_law, entropies, entropy, free_energies,
};
use anabranch::metric::distribution::{Learned, noise_floor};
use anabranch::metric::empirical::Recent;
use anabranch::rng::{Noise, Purpose};

use super::environments::environments;

fn all() -> impl Iterator<Item = (Arc<dyn Environment>, States)> {
    environments().into_iter().map(|(environment, states)| {
        let states =
            States::of(environment.as_ref(), states).expect("the list says how many states there are");
        (environment, states)
    })
}

fn uniforms(seed: u64, count: usize) -> impl Iterator<Item = f64> {
    Noise::new(seed, Purpose::Target).uniform(count, 1).into_iter().map(f64::from)
}

/// Rewards of no symmetry that span eight nats.
fn rewards(states: &States) -> Vec<f64> {
    uniforms(1, states.objects().len()).map(|u| 8.0 * u - 3.0).collect()
}

/// A backward policy of no symmetry.
fn any_backward(states: &States) -> Vec<f64> {
    let weights: Vec<f64> = uniforms(2, states.edges()).collect();
    let into = |i: usize| {
        let row = &weights[states.incoming(i)];
        let sum: f64 = row.iter().sum();
        row.iter().map(move |weight| (weight / sum).ln())
    };
    (0..states.len()).flat_map(into).collect()
}

/// Law 5: whatever the backward policy, its flows sample objects in proportion to their rewards; a policy that is not
/// theirs is separated from them by the bounds on log Z.
#[test]
fn law_5_flows_sample_in_proportion_to_the_reward() {
    for (environment, states) in all() {
        let log_rewards = rewards(&states);
        let mut backwards = vec![backward::uniform(&states), any_backward(&states)];
        backwards.extend(backward::max_entropy(&states).ok());
        for log_backward in backwards {
            let flows = Flows::from_backward(&states, log_rewards.clone(), log_backward).unwrap();
            assert!((flows.log_states[0] - flows.log_z).abs() < 1e-11, "{environment:?}");
            let exact = flows.policy(&states);
            let terminating = Terminating::of(&states, &exact).unwrap();
            let learned = Learned::of(&terminating.log_probs, &log_rewards, Some(flows.log_states[0]));
            assert!(learned.comparison.tv < 1e-12 && terminating.lost.abs() < 1e-12, "{environment:?}");
            assert!(learned.spearman.is_none_or(|spearman| spearman > 0.999), "{environment:?}");
            let uniform = Policy::uniform(&states);
            let terminating = Terminating::of(&states, &uniform).unwrap();
            let bounds = Bounds::of(&states, &uniform, &terminating, &flows);
            assert!((flows.log_z - bounds.elbo - bounds.reverse_kl).abs() < 1e-10, "{environment:?}");
            assert!((bounds.eubo - flows.log_z - bounds.forward_kl).abs() < 1e-10, "{environment:?}");
            assert!(bounds.reverse_kl > -1e-12 && bounds.forward_kl > -1e-12, "{environment:?}");
        }
    }
}

/// Law 5: objects drawn move by move are as frequent as the pass over all states says. The bound is that of McDiarmid on
/// the total variation of n samples, at one in a million.
#[test]
fn law_5_samples_have_the_exact_terminating_law() {
    let samples = 20_000;
    for (environment, states) in all() {
        let terminating = Terminating::of(&states, &Policy::uniform(&states)).unwrap();
        let mut recent = Recent::new(environment.cells(), samples);
        let mut mask = vec![false; environment.moves()];
        let mut moves = 0;
        for sample in 0..samples {
            let mut state = vec![0; environment.cells()];
            environment.source(&mut state);
            for step in 0.. {
                environment.allowed(&state, &mut mask);
                let possible: Vec<usize> = (0..mask.len()).filter(|action| mask[*action]).collect();
                let choices = possible.len() + usize::from(environment.is_object(&state));
                let noise = Noise::new(7, Purpose::Forward).step(step).from_trajectory(sample as u64);
                let Some(action) = possible.get(noise.below(0, choices)) else { break };
                environment.apply(&mut state, *action);
                moves += 1;
            }
            let place = states.find(&state).expect("moves stay among the states") as u32;
            let object = states.objects().binary_search(&place).expect("trajectories end in objects");
            recent.push(&state, terminating.log_probs[object]);
        }
        let distance = recent.compare(0.0).unwrap().tv;
        let floor = noise_floor(&terminating.log_probs, samples as u64);
        let bound = (2e6f64.ln() / (2.0 * samples as f64)).sqrt();
        assert!((distance - floor).abs() < bound, "{environment:?}: {distance} against {floor}");
        // A trajectory's length has at most this standard deviation.
        let error = environment.longest() as f64 / 2.0 / (samples as f64).sqrt();
        let mean = moves as f64 / samples as f64;
        assert!((mean - terminating.expected_moves).abs() < 5.0 * error + 1e-12, "{environment:?}");
    }
}

/// Law 5: what is ahead of every state, found for all of them at once, is what a walk from each finds.
#[test]
fn law_5_free_energies_are_those_of_the_objects_ahead() {
    for (environment, states) in all().filter(|(_, states)| states.is_acyclic()) {
        let log_rewards = rewards(&states);
        let free = free_energies(&states, &log_rewards).unwrap();
        let all = entropies(&states, &log_rewards).unwrap();
        for start in 0..states.len() {
            let law =
                conditional_law(&states, start, &log_rewards).expect("an object is ahead of every state");
            let ahead = law.iter().zip(&log_rewards).filter(|(log_prob, _)| log_prob.is_finite());
            let sum: f64 = ahead.map(|(_, log_reward)| log_reward.exp()).sum();
            assert!((free[start] + sum.ln()).abs() < 1e-12, "{environment:?}, state {start}");
            assert!((all[start] - entropy(&law)).abs() < 1e-11, "{environment:?}, state {start}");
        }
    }
}
