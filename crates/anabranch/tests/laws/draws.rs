//! Laws of draws: at every temperature that a recipe allows they follow the tempered policy, and a policy that is none draws
//! nothing.
//!
//! ```text
//! p_a  =  (1 - epsilon) exp(l_a / T) / sum_{possible b} exp(l_b / T)  +  epsilon / #possible
//! ```

use anabranch::environment::{Cell, Environment, States};
use anabranch::math::log_sum_exp;
use anabranch::policy::{Actions, BackwardPolicy, Behaviour, FlowHead, NoLaw, Policy, Ways};
use anabranch::recipe::{Plan, read};
use anabranch::rng::{Noise, Purpose};
use anabranch::train::Trained;

use crate::environments::environments;
use crate::instances::NOTHING;

const DRAWS: usize = 1000;

/// The policies of every environment: each backward policy that it has.
fn policies() -> Vec<(String, Actions, States)> {
    let mut all = Vec::new();
    for (environment, _) in environments() {
        let ways = Ways::of(environment.as_ref(), 2000).ok().map(BackwardPolicy::MaximumEntropy);
        for backward in
            [Some(BackwardPolicy::Uniform), Some(BackwardPolicy::Learned), ways].into_iter().flatten()
        {
            let name = format!("{environment:?} {backward:?}").chars().take(120).collect();
            let states = States::of(environment.as_ref(), 2000).expect("it is small");
            all.push((name, Actions::new(environment.clone(), backward, FlowHead::None), states));
        }
    }
    all
}

/// Which moves are possible at a state, stopping behind them where it is a choice.
fn possible(environment: &dyn Environment, state: &[Cell]) -> Vec<bool> {
    let mut mask = vec![false; environment.moves()];
    environment.allowed(state, &mut mask);
    if environment.stops() {
        mask.push(environment.is_object(state));
    }
    mask
}

/// The tempered and mixed law of what is possible, in f64.
fn law(logits: &[f32], possible: &[bool], behaviour: Behaviour) -> Vec<f64> {
    let scaled = |(logit, may): (&f32, &bool)| match may {
        true => f64::from(*logit) / f64::from(behaviour.temperature),
        false => f64::NEG_INFINITY,
    };
    let scaled: Vec<f64> = logits.iter().zip(possible).map(scaled).collect();
    let total = log_sum_exp(&scaled);
    let epsilon = f64::from(behaviour.epsilon);
    let uniform = epsilon / possible.iter().filter(|may| **may).count() as f64;
    let mixed = scaled.iter().zip(possible);
    mixed.map(|(l, may)| if *may { (1.0 - epsilon) * (l - total).exp() + uniform } else { 0.0 }).collect()
}

/// Counts of independent draws; the bound is Bernstein's, passed by chance once in 10^6.
fn assert_law(name: &str, counts: &[usize], law: &[f64]) {
    let n = counts.iter().sum::<usize>() as f64;
    for (a, (count, p)) in counts.iter().zip(law).enumerate() {
        let bound = 5.5 * (n * p * (1.0 - p)).max(0.0).sqrt() + 10.0;
        assert!((*count as f64 - n * p).abs() < bound, "{name}: {count} of {n} draws of {a}, which has {p}");
        assert!(*p > 0.0 || *count == 0, "{name}: {a} is impossible and was drawn");
    }
}

/// Logits of a state: near ties at a temperature, ordinary, and far apart; what is impossible has the largest of all.
fn rows(policy: &Actions, state: &[Cell], temperature: f32, noise: &Noise) -> Vec<Vec<f32>> {
    let environment = policy.environment().as_ref();
    let mask = possible(environment, state);
    let mut removable = vec![false; environment.removals()];
    environment.removable(state, &mut removable);
    let row = |(base, scale): (f32, f32)| {
        let mut row = noise.normal(1, policy.outputs());
        row.iter_mut().for_each(|logit| *logit = base + scale * *logit);
        let masks = mask.iter().chain(&removable);
        row.iter_mut().zip(masks).filter(|(_, may)| !**may).for_each(|(logit, _)| *logit = 1e30);
        row
    };
    [(1.0, 2.0 * temperature), (0.0, 3.0), (-40.0, 400.0)].map(row).to_vec()
}

#[test]
fn forward_draws_follow_the_tempered_law() {
    for (name, policy, states) in policies().into_iter().filter(|(_, policy, _)| !policy.learns_backward()) {
        let environment = policy.environment().as_ref();
        for i in (0..states.len()).step_by(states.len().div_ceil(4)) {
            let state = states.state(i);
            let mask = possible(environment, state);
            if policy.must_stop(state) || environment.chance(state, &mut vec![0.0; environment.moves()]) {
                continue;
            }
            for (temperature, epsilon) in [(1e-3, 0.0), (0.02, 0.25), (0.4, 0.0), (1.0, 0.1), (1e3, 0.0)] {
                let behaviour = Behaviour { epsilon, temperature };
                let noise = Noise::new(i as u64, Purpose::Choice);
                for (kind, mut row) in rows(&policy, state, temperature, &noise).into_iter().enumerate() {
                    let law = law(&row[..mask.len()], &mask, behaviour);
                    let work = &mut Default::default();
                    policy.prepare(state, &mut row, work);
                    let mut counts = vec![0; mask.len()];
                    for draw in 0..DRAWS {
                        let (mut next, mut stream) = (state.to_vec(), noise.stream(draw));
                        let drawn = policy.draw_forward(&mut next, &row, behaviour, &mut stream, work);
                        counts[drawn.unwrap().map_or(environment.moves(), |edge| edge.action as usize)] += 1;
                    }
                    let name = format!("{name} at {state:?}, temperature {temperature}, logits {kind}");
                    assert_law(&name, &counts, &law);
                }
            }
        }
    }
}

#[test]
fn backward_draws_follow_their_law() {
    for (name, policy, states) in policies() {
        let environment = policy.environment().as_ref();
        for i in (1..states.len()).step_by(states.len().div_ceil(4)) {
            let state = states.state(i);
            let noise = Noise::new(i as u64, Purpose::Backward);
            for (kind, mut row) in rows(&policy, state, 1.0, &noise).into_iter().enumerate() {
                let (raw, work) = (row[policy.forward_range().len()..].to_vec(), &mut Default::default());
                policy.prepare(state, &mut row, work);
                let mut mask = vec![false; environment.removals()];
                environment.removable(state, &mut mask);
                let law = match policy.learns_backward() {
                    true => law(&raw, &mask, Behaviour::default()),
                    false => (0..mask.len()).map(|r| log_backward(&policy, state, r, &mask).exp()).collect(),
                };
                let mut counts = vec![0; mask.len()];
                for draw in 0..DRAWS {
                    let (mut before, mut stream) = (state.to_vec(), noise.stream(draw));
                    let edge = policy.draw_backward(&mut before, &row, &mut stream, work).unwrap();
                    counts[edge.expect("not at the source").removal as usize] += 1;
                }
                assert_law(&format!("{name} at {state:?}, logits {kind}"), &counts, &law);
            }
        }
    }
}

/// `log P_B` of a removal as the policy says it for its objectives.
fn log_backward(policy: &Actions, state: &[Cell], removal: usize, mask: &[bool]) -> f64 {
    use anabranch::environment::Edge;
    use anabranch::policy::Visit;
    if !mask[removal] {
        return f64::NEG_INFINITY;
    }
    let mut before = state.to_vec();
    let action = policy.environment().undo(&mut before, removal) as u32;
    let came = Some((Edge { action, removal: removal as u32 }, &before[..]));
    let row = vec![0.0; policy.outputs()];
    policy.log_probabilities(Visit { state, came, went: None }, &row, &mut Default::default()).backward
}

/// Where the network answers no law, no draw is made.
#[test]
fn no_law_draws_nothing() {
    for (name, policy, states) in policies() {
        let environment = policy.environment().as_ref();
        let state = states.state(states.len() - 1);
        let mask = possible(environment, state);
        let free = !policy.must_stop(state) && mask.contains(&true);
        let chance = environment.chance(state, &mut vec![0.0; environment.moves()]);
        let noise = Noise::new(3, Purpose::Choice);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = vec![bad; policy.outputs()];
            let work = &mut Default::default();
            policy.prepare(state, &mut row, work);
            for temperature in [1e-3, 1.0] {
                let behaviour = Behaviour { epsilon: 0.0, temperature };
                let mut next = state.to_vec();
                if free && !chance {
                    let drawn = policy.draw_forward(&mut next, &row, behaviour, &mut noise.stream(0), work);
                    assert_eq!(drawn, Err(NoLaw), "{name}: {bad} at {state:?}");
                }
                if policy.learns_backward() && states.len() > 1 {
                    let drawn = policy.draw_backward(&mut next, &row, &mut noise.stream(0), work);
                    assert_eq!(drawn, Err(NoLaw), "{name}: {bad} at {state:?}, backward");
                }
                assert_eq!(next, state, "{name}");
            }
        }
    }
}

/// Weights that no training gave stop a walk with the policy and the state named, over every kind of object.
#[test]
fn forged_weights_stop_a_walk() {
    let targets = [
        "kind = 'hypergrid'\ndim = 2\nside = 4",
        "kind = 'sets'\nitems = 5\nsize = 3\nreward = { kind = 'expression', reward = '1 + x0' }",
        "kind = 'box'",
        "kind = 'box'\nsteps = 'polar'",
        "kind = 'line'\nsteps = 3\nreward = { kind = 'mixture', weights = [1.0], components = [[[0.5, 1.0]]] }",
        "kind = 'torus'\nsteps = 3\nreward = { kind = 'mixture', weights = [1.0], components = [[[1.0, 4.0], [2.0, 8.0]]] }",
    ];
    for target in targets {
        let plan =
            Plan::new(read("t.toml", &format!("name = 't'\n[target]\n{target}\n"), &[]).unwrap()).unwrap();
        let trainer = plan.start().unwrap();
        let Plan::GFlowNet(plan) = &plan else { panic!("a flow network") };
        for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
            let mut vectors = trainer.trained().to_vec();
            vectors[0].fill(bad);
            let forged = Trained { names: trainer.names(), vectors };
            let found = plan.sample(&forged, 10, NOTHING, &Noise::new(1, Purpose::Choice), &|_| true);
            let message = found.expect_err(target).to_string();
            assert!(message.starts_with("the forward policy is not finite (at "), "{target}: {message}");
        }
    }
}
