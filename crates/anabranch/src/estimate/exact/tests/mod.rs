//! Published numbers, closed forms, and sums over all trajectories.

mod cycles;

use super::graph::Graph;
use super::*;
use crate::environment::{Environment, Hypergrid};
use crate::rng::{Noise, Purpose};

/// One trajectory by brute force.
struct Path {
    edges: Vec<usize>,
    /// Place among the objects.
    object: usize,
}

/// Every complete trajectory of a small graph without cycles.
fn all_paths(states: &States) -> Vec<Path> {
    let mut paths = Vec::new();
    let mut partial = vec![(0, Vec::new())];
    while let Some((at, edges)) = partial.pop() {
        for (child, e) in states.children(at) {
            partial.push((*child as usize, [&edges[..], &[*e as usize]].concat()));
        }
        if let Ok(object) = states.objects().binary_search(&(at as u32)) {
            paths.push(Path { edges, object });
        }
    }
    paths
}

fn sum(values: &[f64], edges: &[usize]) -> f64 {
    edges.iter().map(|e| values[*e]).sum()
}

/// `log P_F(tau)`.
fn log_forward(states: &States, policy: &Policy, path: &Path) -> f64 {
    sum(&policy.moves, &path.edges) + policy.stop[states.objects()[path.object] as usize]
}

fn uniforms(seed: u64, count: usize) -> Vec<f64> {
    Noise::new(seed, Purpose::Target).uniform(1, count).into_iter().map(f64::from).collect()
}

/// Any `P_B`, normalised.
fn any_backward(states: &States, seed: u64) -> Vec<f64> {
    let mut log_probs: Vec<f64> = uniforms(seed, states.edges()).iter().map(|u| 3.0 * u).collect();
    for i in 0..states.len() {
        let row = &mut log_probs[states.incoming(i)];
        let log_sum = log_sum_exp(row);
        row.iter_mut().for_each(|log_prob| *log_prob -= log_sum);
    }
    log_probs
}

/// Any `P_F`, normalised.
fn any_policy(states: &States, seed: u64) -> Policy {
    let mut policy = Policy::uniform(states);
    let (moves, stop) = (uniforms(seed, states.edges()), uniforms(seed + 1, states.len()));
    policy.moves.iter_mut().zip(moves).for_each(|(log_prob, u)| *log_prob += 4.0 * u);
    policy.stop.iter_mut().zip(stop).for_each(|(log_prob, u)| *log_prob += 4.0 * u);
    for i in 0..states.len() {
        let log_sum = (1.0 - policy.leak(states, i)).ln();
        states.children(i).iter().for_each(|(_, e)| policy.moves[*e as usize] -= log_sum);
        policy.stop[i] -= log_sum;
    }
    policy
}

fn any_rewards(states: &States, seed: u64) -> Vec<f64> {
    uniforms(seed, states.objects().len()).iter().map(|u| 6.0 * u - 20.0).collect()
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        let same = found == expected || error <= tolerance * expected.abs().max(1.0);
        assert!(same, "place {at}: {found} instead of {expected}");
    }
}

fn exp(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.exp()).collect()
}

const TOY_REWARDS: [f64; 6] = [30.0, 14.0, 23.0, 10.0, 30.0, 5.0];

/// In the order of the states, which is not that of the nodes.
fn toy_rewards(graph: &Graph, states: &States, by_object: &[f64; 6]) -> Vec<f64> {
    let mut rewards: Vec<(usize, f64)> = [3, 4, 6, 8, 9, 10]
        .iter()
        .zip(by_object)
        .map(|(node, reward)| (graph.place(states, *node), reward.ln()))
        .collect();
    rewards.sort_by_key(|(place, _)| *place);
    rewards.into_iter().map(|(_, log_reward)| log_reward).collect()
}

#[test]
fn the_toy_has_its_known_flows() {
    let (graph, states) = Graph::toy();
    assert_eq!(all_paths(&states).len(), 13);
    let log_rewards = toy_rewards(&graph, &states, &TOY_REWARDS);
    let flows = |log_backward| Flows::from_backward(&states, log_rewards.clone(), log_backward).unwrap();
    let found = flows(backward::uniform(&states));
    assert!((found.log_z - 4.718499).abs() < 5e-7);
    let expected = [112.0, 28.75, 83.25, 57.5, 54.5, 27.5, 40.5, 15.0, 25.0, 30.0, 5.0];
    close(&graph.by_node(&states, &exp(&found.log_states)), &expected, 1e-14);
    let policy = found.policy(&states);
    for (parent, child, probability) in [
        (0, 1, 115.0 / 448.0),
        (2, 3, 115.0 / 333.0),
        (3, 5, 11.0 / 23.0),
        (4, 6, 81.0 / 109.0),
        (5, 7, 6.0 / 11.0),
        (6, 8, 25.0 / 81.0),
        (6, 10, 10.0 / 81.0),
        (8, 9, 3.0 / 5.0),
    ] {
        let edge = graph.edge(&states, parent, child);
        assert!((policy.moves[edge].exp() - probability).abs() < 1e-15, "{parent} -> {child}");
        close(
            &[found.log_edges[edge]],
            &[found.log_states[graph.place(&states, parent)] + probability.ln()],
            1e-14,
        );
    }
    let found = flows(backward::max_entropy(&states).unwrap());
    let thirds = [336.0, 91.0, 245.0, 182.0, 154.0, 92.0, 112.0, 36.0, 84.0, 90.0, 15.0];
    close(&graph.by_node(&states, &exp(&found.log_states)), &thirds.map(|third| third / 3.0), 1e-14);
    let counts = [1.0, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 5.0, 1.0];
    close(&graph.by_node(&states, &exp(&backward::log_path_counts(&states).unwrap())), &counts, 1e-14);
}

#[test]
fn the_toy_s_uniform_policy_ends_where_it_should() {
    let (graph, states) = Graph::toy();
    let terminating = Terminating::of(&states, &Policy::uniform(&states)).unwrap();
    let expected = toy_rewards(
        &graph,
        &states,
        &[3.0 / 8.0, 1.0 / 8.0, 1.0 / 24.0, 11.0 / 96.0, 29.0 / 96.0, 1.0 / 24.0],
    );
    close(&exp(&terminating.log_probs), &exp(&expected), 1e-15);
    let target = toy_rewards(&graph, &states, &TOY_REWARDS.map(|reward| reward / 112.0));
    let differences = terminating.log_probs.iter().zip(target).map(|(p, q)| (p.exp() - q.exp()).abs());
    assert!((0.5 * differences.sum::<f64>() - 1.0 / 6.0).abs() < 1e-15);
}

/// Flows of single outcomes, and their linearity: any reward's flow is their combination.
#[test]
fn flows_are_linear_in_the_reward() {
    let (graph, states) = Graph::toy();
    let outcome = |at: usize| {
        let mut rewards = [0.0; 6];
        rewards[at] = 1.0;
        let flows =
            Flows::from_backward(&states, toy_rewards(&graph, &states, &rewards), backward::uniform(&states))
                .unwrap();
        graph.by_node(&states, &exp(&flows.log_states))
    };
    let nine = [1.0, 0.375, 0.625, 0.75, 0.25, 0.75, 0.25, 0.5, 0.5, 1.0, 0.0];
    close(&outcome(4), &nine, 1e-15);
    close(&outcome(3), &[1.0, 0.25, 0.75, 0.5, 0.5, 0.5, 0.5, 0.0, 1.0, 0.0, 0.0], 1e-15);
    let combined: Vec<f64> =
        (0..11).map(|node| (0..6).map(|at| TOY_REWARDS[at] * outcome(at)[node]).sum()).collect();
    close(&combined, &[112.0, 28.75, 83.25, 57.5, 54.5, 27.5, 40.5, 15.0, 25.0, 30.0, 5.0], 1e-14);
}

/// Over graphs of chance with parallel edges: laws, visits, lengths, divergences and bounds are those of the sum over all
/// trajectories.
#[test]
fn passes_agree_with_sums_over_all_trajectories() {
    for seed in 0..5 {
        let (_, states) = Graph::random(14, seed);
        let paths = all_paths(&states);
        assert!(paths.len() > 30, "{}", paths.len());
        let flows =
            Flows::from_backward(&states, any_rewards(&states, seed), any_backward(&states, seed)).unwrap();
        assert!((flows.log_states[0] - flows.log_z).abs() < 1e-13);
        let policy = any_policy(&states, seed + 10);
        let terminating = Terminating::of(&states, &policy).unwrap();
        assert!(terminating.lost.abs() < 1e-14, "{}", terminating.lost);
        let mut law = vec![0.0; states.objects().len()];
        let mut visits = vec![0.0; states.len()];
        let (mut moves, mut elbo, mut eubo, mut reverse, mut forward) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for path in &paths {
            let log_p = log_forward(&states, &policy, path);
            let log_reward = flows.log_rewards[path.object];
            let log_b = log_reward - flows.log_z + sum(&flows.log_backward, &path.edges);
            let (p, q) = (log_p.exp(), log_b.exp());
            // Both ways to write the law of backward trajectories.
            assert!((log_forward(&states, &flows.policy(&states), path) - log_b).abs() < 1e-12);
            law[path.object] += p;
            visits[0] += p;
            let child = |e: &usize| (0..states.len()).find(|i| states.incoming(*i).contains(e)).unwrap();
            path.edges.iter().for_each(|e| visits[child(e)] += p);
            moves += p * path.edges.len() as f64;
            let v = log_b + flows.log_z - log_p;
            (elbo, eubo) = (elbo + p * v, eubo + q * v);
            (reverse, forward) = (reverse + p * (log_p - log_b), forward + q * (log_b - log_p));
        }
        close(&exp(&terminating.log_probs), &law, 1e-13);
        close(&exp(&terminating.log_visits), &visits, 1e-13);
        let bounds = Bounds::of(&states, &policy, &terminating, &flows);
        close(
            &[terminating.expected_moves, bounds.elbo, bounds.eubo, bounds.reverse_kl, bounds.forward_kl],
            &[moves, elbo, eubo, reverse, forward],
            1e-12,
        );
        assert!((flows.log_z - bounds.elbo - bounds.reverse_kl).abs() < 1e-12 && bounds.reverse_kl > 0.1);
        assert!((bounds.eubo - flows.log_z - bounds.forward_kl).abs() < 1e-12 && bounds.forward_kl > 0.1);
        // At the exact policy all of them meet.
        let exact = flows.policy(&states);
        let terminating = Terminating::of(&states, &exact).unwrap();
        close(&terminating.log_probs, &flows.log_target(), 1e-13);
        let bounds = Bounds::of(&states, &exact, &terminating, &flows);
        assert!(bounds.reverse_kl.abs() < 1e-14 && bounds.forward_kl.abs() < 1e-14, "{bounds:?}");
        close(&[bounds.elbo, bounds.eubo], &[flows.log_z; 2], 1e-13);
    }
}

/// `P_B(tau | x) = 1 / n(x)` for every trajectory, and n(x) counts them.
#[test]
fn maximum_entropy_makes_all_ways_equal() {
    for (_, states) in [Graph::toy(), Graph::random(14, 3), Graph::subsets(4)] {
        let (backward, counts) =
            (backward::max_entropy(&states).unwrap(), backward::log_path_counts(&states).unwrap());
        let paths = all_paths(&states);
        for path in &paths {
            let count = counts[states.objects()[path.object] as usize];
            assert!((sum(&backward, &path.edges) + count).abs() < 1e-13);
            let ways = paths.iter().filter(|other| other.object == path.object).count();
            assert!((count - (ways as f64).ln()).abs() < 1e-13);
        }
    }
    let grid = Hypergrid::new(3, 5).unwrap();
    let states = States::of(&grid, 125).unwrap();
    let known: Vec<f64> = (0..125).map(|i| grid.log_paths(states.state(i)).unwrap()).collect();
    close(&backward::log_path_counts(&states).unwrap(), &known, 1e-13);
}

/// `R0 + R1 [outer] + R2 [band]`, by integers.
fn grid_rewards(states: &States, side: usize, [r0, r1, r2]: [f64; 3]) -> Vec<f64> {
    let last = side as i64 - 1;
    let both = |i: &u32| {
        let twice = states.state(*i as usize).iter().map(|x| (2 * i64::from(*x) - last).abs());
        let outer = twice.clone().all(|t| 2 * t > last);
        let band = twice.clone().all(|t| 10 * t > 6 * last && 10 * t < 8 * last);
        r0 + f64::from(u8::from(outer)) * r1 + f64::from(u8::from(band)) * r2
    };
    states.objects().iter().map(both).map(f64::ln).collect()
}

/// The exact sampler of every hypergrid of the table ends in `R / Z` with the known Z.
#[test]
fn hypergrids_have_their_known_partition_functions() {
    let (original, easy, hard) = ([0.1, 0.5, 2.0], [1e-3, 0.5, 2.0], [1e-4, 1.0, 3.0]);
    for (dim, side, weights, log_z) in [
        (2, 8, original, 3.109061),
        (4, 8, original, 6.344934),
        (4, 8, [0.01, 0.5, 2.0], 5.303106),
        (4, 8, [0.001, 0.5, 2.0], 5.100452),
        (2, 16, original, 4.183576),
        (4, 16, original, 9.063417),
        (4, 20, easy, 8.643297),
        (4, 20, hard, 9.285819),
        (2, 5, easy, 0.705570),
        (2, 10, easy, 3.261935),
        (2, 20, easy, 4.411585),
    ] {
        let states = States::of(&Hypergrid::new(dim, side).unwrap(), 200_000).unwrap();
        let log_rewards = grid_rewards(&states, side, weights);
        let flows = Flows::from_backward(&states, log_rewards, backward::uniform(&states)).unwrap();
        assert!((flows.log_z - log_z).abs() < 5.1e-7, "{dim} {side}: {}", flows.log_z);
        assert!((flows.log_states[0] - flows.log_z).abs() < 1e-11);
        let terminating = Terminating::of(&states, &flows.policy(&states)).unwrap();
        close(&terminating.log_probs, &flows.log_target(), 1e-11);
        assert!(terminating.lost.abs() < 1e-11, "{}", terminating.lost);
    }
}

/// A policy that always stops ends at the source; rows that do not sum to 1 say where and how much.
#[test]
fn lost_probability_is_found() {
    let states = States::of(&Hypergrid::new(2, 4).unwrap(), 16).unwrap();
    let mut stopping = Policy::empty(&states);
    stopping.stop.fill(0.0);
    let terminating = Terminating::of(&states, &stopping).unwrap();
    assert_eq!((terminating.log_probs[0], terminating.lost, terminating.expected_moves), (0.0, 0.0, 0.0));
    assert!(terminating.log_probs[1..].iter().all(|log_prob| *log_prob == f64::NEG_INFINITY));

    let mut leaking = Policy::uniform(&states);
    let place = states.find(&[1, 0]).unwrap();
    leaking.stop[place] += 0.5f64.ln();
    let terminating = Terminating::of(&states, &leaking).unwrap();
    // It is visited with probability 1/3, and stops there with 1/6 instead of 1/3.
    assert!((terminating.lost - 1.0 / 18.0).abs() < 1e-15);
    let (at, leak) = terminating.largest_leak(&states, &leaking);
    assert!(at == place && (leak - 1.0 / 18.0).abs() < 1e-15);
}

/// Probabilities far below the smallest f64: the law stays exact in log space.
#[test]
fn rare_objects_keep_their_log_probability() {
    let states = States::of(&Hypergrid::new(1, 2000).unwrap(), 2000).unwrap();
    let mut policy = Policy::uniform(&states);
    policy.moves.fill(-1.0);
    policy.stop.fill((-1f64).exp_m1().abs().ln());
    policy.stop[1999] = 0.0;
    let terminating = Terminating::of(&states, &policy).unwrap();
    assert!((terminating.log_probs[1999] + 1999.0).abs() < 1e-10);
    assert!((terminating.log_probs[900] + 900.0 - policy.stop[0]).abs() < 1e-10);
}

/// Subsets of {1, 2, 3} with weights 1, 2, 3: free energies, marginals over supersets, conditional laws and entropies.
#[test]
fn the_subset_lattice_has_its_known_free_energies() {
    let (graph, states) = Graph::subsets(3);
    let reward = |set: u16| {
        (0..3).filter(|item| set >> item & 1 == 1).map(|item| f64::from(item) + 1.0).product::<f64>()
    };
    let log_rewards: Vec<f64> = (0..8).map(|i| reward(states.state(i)[0]).ln()).collect();
    let free = free_energies(&states, &log_rewards).unwrap();
    let masses: Vec<f64> = free.iter().map(|free| (-free).exp()).collect();
    // By bits: {}, {1}, {2}, {12}, {3}, {13}, {23}, {123}.
    let expected = [24.0, 12.0, 16.0, 8.0, 18.0, 9.0, 12.0, 6.0];
    close(&graph.by_node(&states, &masses), &expected, 1e-14);
    let flows = Flows::from_backward(&states, log_rewards.clone(), backward::uniform(&states)).unwrap();
    close(
        &graph.by_node(&states, &exp(&flows.log_states)),
        &[24.0, 5.5, 8.0, 4.0, 9.5, 5.0, 8.0, 6.0],
        1e-14,
    );
    for (set, marginal) in [(1, 0.5), (2, 2.0 / 3.0), (4, 0.75)] {
        assert!(((free[0] - free[graph.place(&states, set)]).exp() - marginal).abs() < 1e-15);
    }
    let entropies = entropies(&states, &log_rewards).unwrap();
    assert!((entropies[0] - 1.891996).abs() < 5e-7);
    assert!((entropies[graph.place(&states, 1)] - 1.198849).abs() < 5e-7);
    // State-conditional flows: at their start the whole mass ahead, nothing behind it, and the conditional law.
    for start in 0..8 {
        let law = conditional_law(&states, start, &log_rewards).unwrap();
        let ahead = descendants(&states, start);
        for (i, log_prob) in law.iter().enumerate() {
            let expected = if ahead[i] { log_rewards[i] + free[start] } else { f64::NEG_INFINITY };
            close(&[*log_prob], &[expected], 1e-14);
        }
        assert!((entropies[start] - entropy(&law)).abs() < 1e-14);
        let flows = conditional_flows(&states, start, &log_rewards, &backward::uniform(&states)).unwrap();
        assert!((flows.log_states[start] + free[start]).abs() < 1e-14);
        assert!((flows.log_z + free[start]).abs() < 1e-14);
        assert!((0..8).all(|i| ahead[i] == (flows.log_states[i] > f64::NEG_INFINITY)));
        // From the source to the start with certainty, then on by the flow.
        let mut policy = flows.policy(&states);
        policy.moves.iter_mut().for_each(|log_prob| *log_prob = log_prob.max(-1e9));
        for i in 0..8 {
            let set = states.state(start)[0] & !states.state(i)[0];
            if states.state(i)[0] & !states.state(start)[0] == 0 && set != 0 {
                let next = states.state(i)[0] | 1 << set.trailing_zeros();
                policy.moves[graph.edge(&states, states.state(i)[0].into(), next.into())] = 0.0;
            }
        }
        let terminating = Terminating::of(&states, &policy).unwrap();
        close(&exp(&terminating.log_probs), &exp(&law), 1e-14);
    }
}

/// Bits of words against one walk per state, with rewards that span thousands of nats and some of 0.
#[test]
fn free_energies_count_every_object_once() {
    for (nodes, seed, scale) in [(14, 1, 1.0), (400, 2, 10.0), (1500, 3, 3000.0)] {
        let (_, states) = Graph::random(nodes, seed);
        let mut log_rewards: Vec<f64> =
            uniforms(seed, states.objects().len()).iter().map(|u| scale * (u - 0.3)).collect();
        log_rewards.iter_mut().step_by(5).for_each(|log_reward| *log_reward = f64::NEG_INFINITY);
        let free = free_energies(&states, &log_rewards).unwrap();
        let all = entropies(&states, &log_rewards).unwrap();
        let mut none = 0;
        for start in 0..states.len() {
            let Some(law) = conditional_law(&states, start, &log_rewards) else {
                assert_eq!((free[start], all[start]), (f64::INFINITY, 0.0));
                none += 1;
                continue;
            };
            let ahead = descendants(&states, start);
            let rewards: Vec<f64> = (states.objects().iter().zip(&log_rewards))
                .filter(|(i, _)| ahead[**i as usize])
                .map(|(_, log_reward)| *log_reward)
                .collect();
            close(&[-free[start]], &[log_sum_exp(&rewards)], 1e-13);
            assert!(
                (all[start] - entropy(&law)).abs() < 1e-12 * scale.max(1.0),
                "{} {}",
                all[start],
                entropy(&law)
            );
        }
        assert!(none > 0 && none < nodes / 2);
    }
}

/// Bit for bit, whatever the number of threads.
#[test]
fn free_energies_do_not_depend_on_threads() {
    let (_, states) = Graph::random(3000, 8);
    let log_rewards: Vec<f64> = uniforms(8, states.objects().len()).iter().map(|u| 30.0 * u).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| free_energies(&states, &log_rewards).unwrap())
    };
    assert_eq!(with(1), with(3));
}

/// Chance: a_1 leads to x_1 with probability .8, a_2 with .3, to x_2 otherwise; R = (1, 1) is reached by pi(a_1) = .4.
#[test]
fn chance_is_part_of_the_policy() {
    let graph = Graph::new(5, &[(0, 1), (0, 2), (1, 3), (1, 4), (2, 3), (2, 4)], &[3, 4]);
    let (graph, states) = graph.enumerated();
    let mut policy = Policy::empty(&states);
    for (parent, child, probability) in
        [(0, 1, 0.4f64), (0, 2, 0.6), (1, 3, 0.8), (1, 4, 0.2), (2, 3, 0.3), (2, 4, 0.7)]
    {
        policy.moves[graph.edge(&states, parent, child)] = probability.ln();
    }
    [3, 4].iter().for_each(|node| policy.stop[graph.place(&states, *node)] = 0.0);
    let terminating = Terminating::of(&states, &policy).unwrap();
    close(&exp(&terminating.log_probs), &[0.5, 0.5], 1e-15);
    // The backward policy of that solution makes all of it consistent: F(a) P(x | a) = F(x) P_B(a | x).
    let backward = |child: usize, parent: usize| {
        let (u, e) = (&terminating.log_visits, graph.edge(&states, parent, child));
        u[graph.place(&states, parent)] + policy.moves[e] - u[graph.place(&states, child)]
    };
    let mut log_backward = vec![0.0; states.edges()];
    for (child, parent) in [(3, 1), (3, 2), (4, 1), (4, 2)] {
        log_backward[graph.edge(&states, parent, child)] = backward(child, parent);
    }
    let flows = Flows::from_backward(&states, vec![0.0, 0.0], log_backward).unwrap();
    let bounds = Bounds::of(&states, &policy, &terminating, &flows);
    assert!(bounds.reverse_kl.abs() < 1e-15 && bounds.forward_kl.abs() < 1e-15, "{bounds:?}");
}

#[test]
fn wrong_rewards_are_refused() {
    let (_, states) = Graph::subsets(2);
    let flows = |log_rewards: [f64; 4]| {
        Flows::from_backward(&states, log_rewards.to_vec(), backward::uniform(&states))
    };
    for bad in [f64::NAN, f64::INFINITY] {
        let message = flows([0.0, 0.0, bad, 0.0]).unwrap_err().to_string();
        assert!(message.contains("log-reward of [2]"), "{message}");
        assert!(free_energies(&states, &[0.0, bad, 0.0, 0.0]).unwrap_err().is_input());
    }
    assert!(flows([f64::NEG_INFINITY; 4]).unwrap_err().to_string().contains("some reward above 0"));
    // A reward of 0 is one: its object is never sampled, and a policy that does is infinitely far.
    let flows = flows([0.0, f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY]).unwrap();
    let exact = Terminating::of(&states, &flows.policy(&states)).unwrap();
    close(&exp(&exact.log_probs), &[0.5, 0.0, 0.5, 0.0], 1e-15);
    let uniform = Policy::uniform(&states);
    let terminating = Terminating::of(&states, &uniform).unwrap();
    let bounds = Bounds::of(&states, &uniform, &terminating, &flows);
    assert_eq!((bounds.elbo, bounds.reverse_kl), (f64::NEG_INFINITY, f64::INFINITY));
    assert!(bounds.forward_kl.is_finite() && bounds.eubo.is_finite());
}

/// Rows of a network, as they come: moves by number and stopping last, removals by number.
#[test]
fn dense_rows_give_the_same_flows() {
    let grid = Hypergrid::new(3, 4).unwrap();
    let states = States::of(&grid, 64).unwrap();
    let flows = Flows::from_backward(&states, any_rewards(&states, 5), any_backward(&states, 6)).unwrap();
    let mut forward = vec![f64::NAN; 64 * 4];
    forward.chunks_exact_mut(4).enumerate().for_each(|(i, row)| flows.policy(&states).write(&states, i, row));
    assert_eq!(Policy::from_dense(&states, 3, &forward), flows.policy(&states));
    let mut backward = vec![f64::NAN; 64 * 3];
    for i in 0..64 {
        for ((_, edge), log_prob) in states.parents(i).iter().zip(&flows.log_backward[states.incoming(i)]) {
            backward[i * 3 + edge.removal as usize] = *log_prob;
        }
    }
    assert_eq!(backward::from_dense(&states, 3, &backward), flows.log_backward);
}
