//! Laws of densities at a state: slopes, normalisation, draws.

use anabranch::policy::{Behaviour, LogProbabilities, LogProbabilitySlopes, Policy, Visit};
use anabranch::rng::{Noise, Purpose};

use super::*;

/// Outputs of a network that answers the same everywhere, of the size `scale`.
fn outputs(instance: &Instance, scale: f32) -> Vec<f32> {
    let count = instance.policy.outputs();
    Noise::new(3, Purpose::Weights).normal(1, count).iter().map(|x| scale * x).collect()
}

/// The states of a random walk and the edges between them.
fn walk(instance: &Instance, outputs: &[f32], trajectory: usize) -> (Vec<Vec<f32>>, Vec<Edge>) {
    let policy = &instance.policy;
    let (mut states, mut edges) = (vec![instance.source()], Vec::new());
    let noise = Noise::new(17, Purpose::Choice);
    loop {
        let mut state = states[states.len() - 1].clone();
        if policy.must_stop(&state) {
            return (states, edges);
        }
        let row = instance.row(outputs, &state);
        let noise = noise.step(edges.len() as u32);
        let stream = &mut noise.stream(trajectory);
        let drawn =
            policy.draw_forward(&mut state, &row, Behaviour::default(), stream, &mut Default::default());
        let Some(edge) = drawn.unwrap() else { return (states, edges) };
        states.push(state);
        edges.push(edge);
    }
}

/// Distinct states to look at: of a few walks, and awkward ones; with the source or without.
fn states(instance: &Instance, with_source: bool) -> Vec<Vec<f32>> {
    let outputs = outputs(instance, 0.5);
    let walked = (0..3).flat_map(|trajectory| walk(instance, &outputs, trajectory).0.into_iter().skip(1));
    let mut states: Vec<Vec<f32>> = walked.chain(instance.space.awkward()).collect();
    if with_source {
        states.push(instance.source());
    }
    states
}

/// The slopes of all that is said against central differences, by every output of the network.
#[test]
fn slopes_agree_with_differences() {
    let by = |place: usize| {
        let mut slopes = LogProbabilitySlopes::default();
        *[
            &mut slopes.forward,
            &mut slopes.backward,
            &mut slopes.stop,
            &mut slopes.flow,
            &mut slopes.divergence,
        ][place] = 1.0;
        slopes
    };
    for instance in instances() {
        let (policy, work) = (&instance.policy, &mut Default::default());
        let outputs = outputs(&instance, 0.8);
        let other: Vec<f32> = outputs.iter().rev().copied().collect();
        let mut checked = 0;
        for trajectory in 0..4 {
            let (states, edges) = walk(&instance, &outputs, trajectory);
            for (t, state) in states.iter().enumerate() {
                let came = t.checked_sub(1).map(|t| (edges[t], &states[t][..]));
                let went = edges.get(t).map(|edge| (*edge, &states[t + 1][..]));
                let visit = Visit { state, came, went };
                let reference = instance.row(&other, state);
                let values = |outputs: &[f32]| {
                    let row = instance.row(outputs, state);
                    let LogProbabilities { forward, backward, stop, flow } =
                        policy.log_probabilities(visit, &row, &mut Default::default());
                    [forward, backward, stop, flow, policy.divergence(&row, &reference)]
                };
                let row = instance.row(&outputs, state);
                for place in 0..5 {
                    if values(&outputs)[place] == f64::NEG_INFINITY {
                        assert!(place == 2, "{}: {state:?} is impossible", instance.name);
                        continue;
                    }
                    let mut slopes = vec![0.0; outputs.len()];
                    policy.slopes(visit, &row, &reference, by(place), &mut slopes, work);
                    for at in 0..outputs.len() {
                        let moved = |by: f32| {
                            let mut moved = outputs.clone();
                            moved[at] += by;
                            values(&moved)[place]
                        };
                        let step = 1e-2;
                        let numeric = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
                        let found = f64::from(slopes[at]);
                        let name = instance.name;
                        assert!(
                            (numeric - found).abs() < 3e-3 * (1.0 + numeric.abs()),
                            "{name}, {place} at {state:?} by output {at}: {found}, {numeric} by differences"
                        );
                        checked += usize::from(numeric.abs() > 1e-2);
                    }
                }
            }
        }
        assert!(checked > 50, "{}: only {checked} slopes are not 0", instance.name);
    }
}

/// The chance of stopping and the density of all moves, and the density of all removals, integrate to one.
#[test]
fn densities_integrate_to_one() {
    for instance in instances() {
        let outputs = outputs(&instance, 0.8);
        for state in states(&instance, true) {
            let (name, row) = (instance.name, instance.row(&outputs, &state));
            let density = |(edge, next, weight): &Neighbour| {
                weight * instance.log_forward(&row, &state, *edge, next).exp()
            };
            let stop = instance.log_stop(&row, &state).exp();
            let moves: f64 = match instance.policy.must_stop(&state) {
                true => 0.0,
                false => instance.space.ahead(&state).iter().map(density).sum(),
            };
            assert!((stop + moves - 1.0).abs() < 2e-3, "{name} at {state:?}: {stop} + {moves} ahead");
            if state == instance.source() {
                continue;
            }
            let density = |(edge, before, weight): &Neighbour| {
                weight * instance.log_backward(&row, &state, *edge, before).exp()
            };
            let mass: f64 = instance.space.behind(&state).iter().map(density).sum();
            assert!((mass - 1.0).abs() < 2e-3, "{name} at {state:?}: {mass} behind");
        }
    }
}

/// Numbers that tell states apart: each cell, and all of them together.
fn features(state: Option<&[f32]>, cells: usize) -> Vec<f64> {
    let Some(state) = state else { return vec![-1e9; cells + 1] };
    let each = state.iter().map(|x| f64::from(*x));
    let all = state.iter().enumerate().map(|(i, x)| f64::from(*x) * (1.0 + 0.7 * i as f64)).sum();
    each.chain([all]).collect()
}

/// Kolmogorov's distance between draws and the points of a rule, looked at half-way between these.
fn distance(draws: &mut [f64], points: &mut [(f64, f64)]) -> f64 {
    draws.sort_by(f64::total_cmp);
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = points.iter().map(|(_, mass)| mass).sum();
    let (mut sum, mut rank, mut largest) = (0.0, 0, 0.0f64);
    for pair in points.windows(2) {
        sum += pair[0].1 / total;
        if pair[0].0 < pair[1].0 {
            let middle = 0.5 * (pair[0].0 + pair[1].0);
            rank += draws[rank..].iter().take_while(|draw| **draw <= middle).count();
            largest = largest.max((sum - rank as f64 / draws.len() as f64).abs());
        }
    }
    largest
}

/// Draws in both directions follow the densities that are said of them. Kolmogorov's distance exceeds `2.5 / sqrt(n)` with a
/// chance of 8e-6; the rules add at most 0.004.
#[test]
fn draws_follow_their_densities() {
    const DRAWS: usize = 20_000;
    let bound = 2.5 / (DRAWS as f64).sqrt() + 4e-3;
    let noise = Noise::new(23, Purpose::Choice);
    for instance in instances() {
        let (policy, work) = (&instance.policy, &mut Default::default());
        let (outputs, cells) = (outputs(&instance, 0.8), policy.cells());
        for state in states(&instance, true) {
            let row = instance.row(&outputs, &state);
            for forward in [true, false] {
                let neighbours = match forward {
                    true if policy.must_stop(&state) => continue,
                    true => instance.space.ahead(&state),
                    false if state == instance.source() => continue,
                    false => instance.space.behind(&state),
                };
                let mut points: Vec<(Vec<f64>, f64)> = neighbours
                    .iter()
                    .map(|(edge, other, weight)| {
                        let log = match forward {
                            true => instance.log_forward(&row, &state, *edge, other),
                            false => instance.log_backward(&row, &state, *edge, other),
                        };
                        (features(Some(other), cells), weight * log.exp())
                    })
                    .collect();
                if forward {
                    let stop = instance.log_stop(&row, &state).exp();
                    points.push((features(None, cells), stop));
                }
                let draws: Vec<Vec<f64>> = (0..DRAWS)
                    .map(|i| {
                        let mut other = state.clone();
                        let stream = &mut noise.stream(i);
                        let drawn = match forward {
                            true => policy.draw_forward(&mut other, &row, Behaviour::default(), stream, work),
                            false => policy.draw_backward(&mut other, &row, stream, work),
                        };
                        features(drawn.unwrap().map(|_| &other[..]), cells)
                    })
                    .collect();
                for feature in 0..=cells {
                    let mut draws: Vec<f64> = draws.iter().map(|draw| draw[feature]).collect();
                    let mut points: Vec<(f64, f64)> =
                        points.iter().map(|(point, mass)| (point[feature], *mass)).collect();
                    let found = distance(&mut draws, &mut points);
                    let name = instance.name;
                    assert!(
                        found < bound,
                        "{name}, {forward}, at {state:?}: feature {feature} is off by {found}"
                    );
                }
            }
        }
    }
}
