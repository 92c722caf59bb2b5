//! Environments in which a state can be met twice.

use super::*;

/// s_0 -> a, a <-> b, both stop: any circulation c keeps the law.
#[test]
fn circulations_keep_the_law() {
    let (graph, states) = Graph::new(3, &[(0, 1), (1, 2), (2, 1)], &[1, 2]).enumerated();
    assert!(!states.is_acyclic());
    let (reward_a, reward_b): (f64, f64) = (3.0, 2.0);
    let z = reward_a + reward_b;
    for c in [0.0, 0.5, 7.0, 1e4] {
        let mut log_backward = vec![0.0; states.edges()];
        log_backward[graph.edge(&states, 0, 1)] = (z / (z + c)).ln();
        log_backward[graph.edge(&states, 2, 1)] = (c / (z + c)).ln();
        let log_rewards = vec![reward_a.ln(), reward_b.ln()];
        let flows = Flows::from_backward(&states, log_rewards, log_backward).unwrap();
        close(&graph.by_node(&states, &exp(&flows.log_states)), &[z, z + c, reward_b + c], 1e-11);
        let policy = flows.policy(&states);
        let terminating = Terminating::of(&states, &policy).unwrap();
        close(&exp(&terminating.log_probs), &[reward_a / z, reward_b / z], 1e-11);
        // States visited, the source among them: 2 + (R_b + 2 c) / Z.
        close(&[terminating.expected_moves + 1.0], &[2.0 + (reward_b + 2.0 * c) / z], 1e-11);
        let bounds = Bounds::of(&states, &policy, &terminating, &flows);
        close(&[bounds.elbo, bounds.eubo], &[flows.log_z; 2], 1e-11 * (1.0 + c));
    }
    assert!(free_energies(&states, &[0.0, 0.0]).unwrap_err().is_input());
    assert!(backward::max_entropy(&states).unwrap_err().is_input());
}

/// The gambler who begins with `start` of `goal` coins and wins each with probability p: the ruin's closed form, by
/// elimination where states are few and by sweeps where they are many.
#[test]
fn walks_to_and_fro_end_as_their_closed_form_says() {
    for (goal, start, p) in [(12, 5, 0.5), (300, 40, 0.49), (6000, 20, 0.4)] {
        // Nodes: 0 the source, 1 + k for k coins.
        let steps = (1..goal).flat_map(|k| [(k + 1, k + 2), (k + 1, k)]);
        let edges: Vec<(usize, usize)> = std::iter::once((0, start + 1)).chain(steps).collect();
        let (graph, states) = Graph::new(goal + 2, &edges, &[1, goal + 1]).enumerated();
        let mut policy = Policy::empty(&states);
        policy.moves[graph.edge(&states, 0, start + 1)] = 0.0;
        for k in 1..goal {
            policy.moves[graph.edge(&states, k + 1, k + 2)] = f64::ln(p);
            policy.moves[graph.edge(&states, k + 1, k)] = f64::ln(1.0 - p);
        }
        [1, goal + 1].iter().for_each(|node| policy.stop[graph.place(&states, *node)] = 0.0);
        let found = Terminating::of(&states, &policy).unwrap();
        let (k, n, ratio) = (start as f64, goal as f64, (1.0 - p) / p);
        let (wins, length) = if p == 0.5 {
            (k / n, k * (n - k))
        } else {
            // (r^k - 1) / (r^n - 1), without overflow.
            let wins = ratio.powf(k - n) * (1.0 - ratio.powf(-k)) / (1.0 - ratio.powf(-n));
            (wins, (k - n * wins) / (1.0 - 2.0 * p))
        };
        let won = found.log_probs[usize::from(graph.place(&states, 1) < graph.place(&states, goal + 1))];
        assert!((won.exp() - wins).abs() < 1e-11, "{goal}: {} instead of {wins}", won.exp());
        assert!(
            (found.expected_moves / (length + 1.0) - 1.0).abs() < 1e-10,
            "{goal}: {}",
            found.expected_moves
        );
        assert!(found.lost.abs() < 1e-11, "{goal}: {}", found.lost);
    }
}

/// A policy that can be caught for ever is refused, whether or not some of it comes to an end; where it never goes does
/// not matter.
#[test]
fn endless_policies_are_refused() {
    // 0 -> 1 -> {2, 3}; 3 <-> 4; 2 is an object.
    let (graph, states) = Graph::new(5, &[(0, 1), (1, 2), (1, 3), (3, 4), (4, 3)], &[2]).enumerated();
    let mut policy = Policy::uniform(&states);
    assert!(Terminating::of(&states, &policy).unwrap_err().is_input());
    policy.moves[graph.edge(&states, 1, 2)] = 0.0;
    policy.moves[graph.edge(&states, 1, 3)] = f64::NEG_INFINITY;
    let terminating = Terminating::of(&states, &policy).unwrap();
    assert_eq!((terminating.log_probs[0], terminating.expected_moves), (0.0, 2.0));
    // Backward from 2 it comes to the source; a removal to and fro between 3 and 4 alone never would.
    let flows = Flows::from_backward(&states, vec![1.5], backward::uniform(&states)).unwrap();
    close(&[flows.log_states[0]], &[1.5], 1e-15);
    let (_, round) = Graph::new(3, &[(0, 1), (1, 2), (2, 1)], &[2]).enumerated();
    let mut backward = backward::uniform(&round);
    backward[round.incoming(1)].copy_from_slice(&[f64::NEG_INFINITY, 0.0]);
    assert!(Flows::from_backward(&round, vec![0.0], backward).unwrap_err().is_input());
}
