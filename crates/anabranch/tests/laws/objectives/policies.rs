//! Gradients by the forward policy, in expectation over all trajectories.

use anabranch::objective::*;

use super::graphs::{Flows, Graph, normals, toy};
use super::{LENGTHS, evaluate, random_paths};

/// A graph with a tabular forward policy, a backward policy and values of no meaning.
struct Tabular {
    graph: Graph,
    logits: Vec<f64>,
    backward: Vec<f64>,
    values: Vec<f64>,
}

impl Tabular {
    fn new() -> Self {
        let graph = toy();
        let logits = normals(21, graph.edges.len() + graph.nodes());
        let (backward, values) = (graph.random_backward(22), normals(23, graph.nodes()));
        Self { graph, logits, backward, values }
    }

    fn model(&self) -> Flows {
        let (forward, stop) = self.graph.forward_of(&self.logits);
        Flows { log_flow: self.values.clone(), forward, backward: self.backward.clone(), stop }
    }

    /// `KL(P_F(tau) || P_B(tau | x) R(x) / Z)` over all trajectories.
    fn divergence(&self) -> f64 {
        let log_z = self.graph.flows(self.backward.clone()).log_flow[0];
        let paths = self.graph.paths(&self.model(), &self.graph.trajectories(), false);
        let weights = paths.log_weights();
        let log_forward = |b: usize| paths.trajectory(b).map(|row| paths.forward[row]).sum::<f64>();
        (0..weights.len()).map(|b| log_forward(b).exp() * (log_z - weights[b])).sum()
    }

    /// The gradient of [`Tabular::divergence`] by the logits, from central differences.
    fn divergence_gradient(&mut self) -> Vec<f64> {
        let step = 1e-5;
        (0..self.logits.len())
            .map(|at| {
                let before = self.logits[at];
                let mut at_shift = |shift: f64| {
                    self.logits[at] = before + shift;
                    self.divergence()
                };
                let slope = (at_shift(step) - at_shift(-step)) / (2.0 * step);
                self.logits[at] = before;
                slope
            })
            .collect()
    }

    /// The mean over the policy's own trajectories of the gradient of an objective by the logits.
    fn expected_gradient(&self, objective: &dyn PathObjective) -> Vec<f64> {
        let model = self.model();
        let edges = &self.graph.edges;
        let mut gradient = vec![0.0; self.logits.len()];
        for trajectory in self.graph.trajectories() {
            let mut paths = self.graph.paths(&model, std::slice::from_ref(&trajectory), false);
            paths.reference = None;
            let chance = paths.forward.iter().sum::<f64>().exp();
            let slopes = evaluate(objective, &paths).1;
            for (t, node) in self.graph.states(&trajectory).into_iter().enumerate() {
                let slope = chance * slopes.forward[t];
                let went = trajectory.get(t).copied().unwrap_or(edges.len() + node);
                gradient[went] += slope;
                let out = (0..edges.len()).filter(|e| edges[*e].0 == node);
                out.for_each(|e| gradient[e] -= slope * model.forward[e].exp());
                gradient[edges.len() + node] -= slope * model.stop[node].exp();
            }
        }
        gradient
    }
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-8, "{what}, logit {at}: {found}, {expected}");
    }
}

/// On the policy's own trajectories `E grad delta_TB^2 = 2 grad KL`, whatever `log Z` (Malkin et al. 2023).
#[test]
fn trajectory_balance_on_policy_is_the_gradient_of_a_divergence() {
    let mut tabular = Tabular::new();
    let expected: Vec<f64> = tabular.divergence_gradient().iter().map(|slope| 2.0 * slope).collect();
    assert!(expected.iter().any(|slope| slope.abs() > 0.1));
    for log_z in [-1.0, 4.0] {
        tabular.values[0] = log_z;
        let found = tabular.expected_gradient(&TrajectoryBalance::default());
        assert_close(&found, &expected, "trajectory balance");
    }
}

/// All policy gradients without bias are the gradient of the same divergence, whatever `V`; the others where `V` is the policy's
/// own value.
#[test]
fn policy_gradients_are_the_gradient_of_the_divergence() {
    let mut tabular = Tabular::new();
    let expected = tabular.divergence_gradient();
    let of = |advantage, gae_lambda| PolicyGradient { advantage, gae_lambda, ..PolicyGradient::default() };
    for advantage in [Advantage::Total, Advantage::RewardToGo, Advantage::Baseline] {
        assert_close(&tabular.expected_gradient(&of(advantage, 0.3)), &expected, &format!("{advantage:?}"));
    }
    assert_close(&tabular.expected_gradient(&of(Advantage::Gae, 1.0)), &expected, "gae of lambda 1");
    let biased = tabular.expected_gradient(&of(Advantage::Gae, 0.0));
    assert!(biased.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 0.1), "a wrong value gives a bias");
    // The soft value of the policy, from the last node to the first.
    let (graph, model) = (&tabular.graph, tabular.model());
    let mut values = vec![0.0; graph.nodes()];
    for node in (0..graph.nodes()).rev() {
        let out = (0..graph.edges.len()).filter(|e| graph.edges[*e].0 == node);
        values[node] = out
            .map(|e| {
                model.forward[e].exp() * (model.backward[e] - model.forward[e] + values[graph.edges[e].1])
            })
            .sum();
        if let Some(log_reward) = graph.log_rewards[node] {
            values[node] += model.stop[node].exp() * (log_reward - model.stop[node]);
        }
    }
    tabular.values = values;
    for lambda in [0.0, 0.7] {
        assert_close(&tabular.expected_gradient(&of(Advantage::Gae, lambda)), &expected, "gae of the value");
    }
}

/// `Psi` by its definition: the slope by `log P_F` times minus the number of trajectories.
#[test]
fn generalised_advantages_have_their_limits() {
    let mut paths = random_paths(24, &LENGTHS);
    paths.reference = None;
    let count = paths.trajectories() as f64;
    let psi = |advantage, gae_lambda| -> Vec<f64> {
        let objective = PolicyGradient { advantage, gae_lambda, ..PolicyGradient::default() };
        evaluate(&objective, &paths).1.forward.iter().map(|slope| -count * slope).collect()
    };
    let one = psi(Advantage::Gae, 0.0);
    let (all, baseline) = (psi(Advantage::Gae, 1.0), psi(Advantage::Baseline, 0.4));
    let (to_go, total) = (psi(Advantage::RewardToGo, 0.4), psi(Advantage::Total, 0.4));
    for b in 0..paths.trajectories() {
        let rows = paths.trajectory(b);
        let last = rows.end - 1;
        let value = |row: usize| match row {
            row if row > last => 0.0,
            row if paths.forced[row] => paths.log_reward[b],
            row => paths.flow[row],
        };
        let q = |row: usize| {
            (if row == last { paths.log_reward[b] } else { paths.backward[row] }) - paths.forward[row]
        };
        for row in rows.clone() {
            let ahead: f64 = (row..rows.end).map(q).sum();
            let expected = [
                (one[row], q(row) + value(row + 1) - value(row)),
                (all[row], ahead - value(row)),
                (baseline[row], ahead - value(row)),
                (to_go[row], ahead),
                (total[row], rows.clone().map(q).sum()),
            ];
            for (index, (found, expected)) in expected.into_iter().enumerate() {
                assert!((found - expected).abs() < 1e-12, "{index}, row {row}: {found}, {expected}");
            }
        }
    }
}

/// In its first epoch proximal policy optimisation has the gradient of the policy gradient with generalised advantages; then it
/// keeps the advantages, and what strays too far has no slope.
#[test]
fn the_first_epoch_of_ppo_is_the_policy_gradient() {
    let mut paths = random_paths(25, &LENGTHS);
    paths.reference = Some(Reference {
        forward: paths.forward.clone(),
        flow: paths.flow.clone(),
        stop: paths.stop.clone(),
        divergence: vec![0.0; paths.rows()],
    });
    let sub_eb = Critic::SubEb { weighting: SubTrajectoryWeighting::GeometricWithin, lambda: 0.9 };
    for critic in [Critic::Mse {}, sub_eb] {
        let ppo = Ppo { critic, critic_weight: 0.4, ..Ppo::default() };
        let gradient = PolicyGradient { critic, critic_weight: 0.4, ..PolicyGradient::default() };
        let (first, plain) = (evaluate(&ppo, &paths).1, evaluate(&gradient, &paths).1);
        for (a, b) in first.forward.iter().zip(&plain.forward).chain(first.flow.iter().zip(&plain.flow)) {
            assert!((a - b).abs() < 1e-14, "{critic:?}: {a}, {b}");
        }
        assert!(first.divergence.iter().all(|slope| *slope == 1.0 / paths.trajectories() as f64));
        // Probabilities that doubled or halved: only what would lead back has a slope.
        for shift in [-1.0, 1.0] {
            let mut later = paths.clone();
            later.forward.iter_mut().for_each(|forward| *forward += shift * 2f64.ln());
            let after = evaluate(&ppo, &later).1;
            for (now, then) in after.forward.iter().zip(&first.forward) {
                // Descent along the slope raises the probability where the slope is negative.
                let strays = then * shift < 0.0;
                let expected = if strays { 0.0 } else { then * (shift * 2f64.ln()).exp() };
                assert!((now - expected).abs() < 1e-14, "{critic:?}, {shift}: {now}, {expected}");
            }
            assert_eq!(after.flow, first.flow, "targets stay");
        }
    }
}

/// The critic's target is what the policy that acted was worth: the fit is zero where `V` is its own target.
#[test]
fn a_critic_that_agrees_with_its_targets_has_no_slope() {
    let mut paths = random_paths(26, &LENGTHS);
    paths.reference = None;
    let objective = PolicyGradient { advantage: Advantage::Baseline, ..PolicyGradient::default() };
    for b in 0..paths.trajectories() {
        let mut to_go = paths.log_reward[b];
        for row in paths.trajectory(b).rev() {
            let is_last = row + 1 == paths.starts[b + 1];
            to_go += if is_last { 0.0 } else { paths.backward[row] } - paths.forward[row];
            paths.flow[row] = to_go;
        }
    }
    let slopes = evaluate(&objective, &paths).1;
    assert!(slopes.flow.iter().all(|slope| slope.abs() < 1e-12));
}

/// With trajectory likelihood maximisation the forward side is as it was, and `P_B` has the slopes of its own loss.
#[test]
fn trajectory_likelihood_trains_p_b_alone() {
    let paths = random_paths(27, &LENGTHS);
    let share = 1.0 / paths.trajectories() as f64;
    for recipe in super::recipes() {
        let beside = super::objective(&recipe, BackwardObjective::TrajectoryLikelihood);
        let alone = super::objective(&recipe, BackwardObjective::Joint);
        let ((loss, mut slopes), (alone_loss, alone_slopes)) =
            (evaluate(beside.as_ref(), &paths), evaluate(alone.as_ref(), &paths));
        assert_eq!(loss, alone_loss, "{recipe:?}");
        assert!(slopes.backward.iter().all(|slope| *slope == -share), "{recipe:?}");
        slopes.backward.clone_from(&alone_slopes.backward);
        assert_eq!(slopes, alone_slopes, "{recipe:?}");
    }
    let expected = -share * paths.backward.iter().sum::<f64>();
    assert!((TrajectoryLikelihood::backward_loss(&paths) - expected).abs() < 1e-14);
}
