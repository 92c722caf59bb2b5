//! Graphs with cycles, and environments that answer at random.

use anabranch::objective::*;

use super::{LENGTHS, check_slopes, evaluate, random_paths};

/// `s0 -> a`, `a <-> b`, both of them objects; every flow of edges, forward and backward, on its own.
#[derive(Clone, Copy)]
struct TwoNodes {
    log_rewards: [f64; 2],
    /// `s0 -> a`, `a -> b`, `b -> a` and the two stops as the forward policy has them.
    forward: [f64; 5],
    /// The same moves as the backward policy has them.
    backward: [f64; 3],
}

impl TwoNodes {
    /// The exact flows with a circulation `c`.
    fn exact(a: f64, b: f64, c: f64) -> Self {
        let moves = [a + b, b + c, c];
        Self { log_rewards: [a.ln(), b.ln()], forward: [moves[0], moves[1], moves[2], a, b], backward: moves }
    }

    fn with_circulation(mut self, c: f64) -> Self {
        self.forward[1..3].iter_mut().for_each(|flow| *flow += c);
        self.backward[1..3].iter_mut().for_each(|flow| *flow += c);
        self
    }

    /// Trajectories with up to three moves on the cycle. `F(s)` is what flows out by the forward policy, and the backward
    /// policy's flows are edge flows over it: they are no policy unless they are exact.
    fn paths(&self) -> Paths {
        let [source, there, back, stop_a, stop_b] = self.forward;
        let flow = [source, there + stop_a, back + stop_b];
        let mut paths = Paths { starts: vec![0], ..Paths::default() };
        for turns in 0..4 {
            let nodes: Vec<usize> =
                (0..turns + 2).map(|t| if t == 0 { 0 } else { 1 + (t - 1) % 2 }).collect();
            for (t, node) in nodes.iter().enumerate() {
                let last = t + 1 == nodes.len();
                // Edges are numbered by the node that they leave, all of whose moves lead to one node.
                let next = if last { 0 } else { nodes[t + 1] };
                let out = if last { [source, stop_a, stop_b][*node] } else { [source, there, back][*node] };
                paths.forward.push((out / flow[*node]).ln());
                paths.backward.push(if last { 0.0 } else { (self.backward[*node] / flow[next]).ln() });
                paths.flow.push(flow[*node].ln());
                paths.forced.push(false);
            }
            paths.starts.push(paths.forward.len());
            paths.log_reward.push(self.log_rewards[turns % 2]);
            paths.log_z.push(source.ln());
        }
        paths
    }
}

fn objectives() -> [Box<dyn PathObjective>; 4] {
    [
        Box::new(StableDetailedBalance::default()),
        Box::new(DetailedBalance::default()),
        Box::new(SubTrajectoryBalance::default()),
        Box::new(TrajectoryBalance::default()),
    ]
}

/// Every circulation is in balance; `sum_s F(s) / Z = 2 + (R_b + 2 c) / Z` states are visited, and regularisation counts them.
#[test]
fn circulations_are_in_balance_and_cost_visits() {
    let (a, b) = (1.5, 0.4);
    let mut before = 0.0;
    for c in [0.01, 0.3, 2.0, 50.0] {
        let paths = TwoNodes::exact(a, b, c).paths();
        for objective in objectives() {
            let (loss, slopes) = evaluate(objective.as_ref(), &paths);
            assert!(
                loss < 1e-20 && slopes.flow.iter().all(|slope| slope.abs() < 1e-9),
                "{objective:?}: {loss}"
            );
        }
        let visits = [0, 1, 4].map(|row| paths.flow[row].exp()).iter().sum::<f64>() / (a + b);
        assert!((visits - (2.0 + (b + 2.0 * c) / (a + b))).abs() < 1e-12);
        // One trajectory that sees every state once.
        let once = TwoNodes::exact(a, b, c).paths();
        let once = Paths {
            starts: vec![0, 3],
            forward: once.forward[2..5].to_vec(),
            backward: once.backward[2..5].to_vec(),
            flow: once.flow[2..5].to_vec(),
            forced: vec![false; 3],
            log_reward: vec![b.ln()],
            ..Paths::default()
        };
        for state_flow_regularisation in [0.1, 0.5] {
            let expected = state_flow_regularisation / 3.0 * (visits - 1.0) * (a + b);
            let stable = StableDetailedBalance { state_flow_regularisation, ..Default::default() };
            let detailed = DetailedBalance { state_flow_regularisation, ..Default::default() };
            for loss in [evaluate(&stable, &once).0, evaluate(&detailed, &once).0] {
                assert!((loss - expected).abs() < 1e-12, "{c}: {loss}, {expected}");
            }
        }
        assert!(visits > before);
        before = visits;
    }
}

/// Away from balance a circulation lowers the loss of detailed balance without end, and never the stable one.
#[test]
fn a_circulation_never_lowers_the_stable_loss() {
    let mut wrong = TwoNodes::exact(1.5, 0.4, 0.2);
    wrong.backward[1] *= 1.8;
    wrong.forward[2] *= 0.6;
    let losses = |objective: &dyn PathObjective| {
        [0.0, 0.5, 3.0, 40.0, 1e4].map(|c| evaluate(objective, &wrong.with_circulation(c).paths()).0)
    };
    let detailed = losses(&DetailedBalance::default());
    assert!(detailed[0] > 0.1 && detailed.is_sorted_by(|a, b| a > b) && detailed[4] < 1e-6, "{detailed:?}");
    let flat = losses(&StableDetailedBalance { eta: 0.0, ..Default::default() });
    assert!(flat[0] > 0.02 && flat.iter().all(|loss| (loss - flat[0]).abs() < 1e-9), "{flat:?}");
    let stable = losses(&StableDetailedBalance::default());
    assert!(stable.is_sorted_by(|a, b| a < b), "{stable:?}");
}

/// `log(1 + epsilon d^2)` at flows that no floating-point number holds, and where both sides agree.
#[test]
fn the_stable_loss_is_finite_at_any_flow() {
    let one = |flow: f64, log_reward: f64| Paths {
        starts: vec![0, 1],
        forward: vec![0.0],
        backward: vec![0.0],
        flow: vec![flow],
        forced: vec![false],
        log_reward: vec![log_reward],
        ..Paths::default()
    };
    let objective = StableDetailedBalance { eta: 0.0, epsilon: 2.0, ..Default::default() };
    for (flow, log_reward) in [(0.3, 1.2), (1.2, 0.3), (-4.0, -4.1), (0.5, 0.5 + 1e-9)] {
        let (loss, slopes) = evaluate(&objective, &one(flow, log_reward));
        let d = flow.exp() - log_reward.exp();
        let expected = (2.0 * d * d).ln_1p();
        assert!((loss - expected).abs() < 1e-12, "{loss}, {expected}");
        let slope = 4.0 * d * flow.exp() / (1.0 + 2.0 * d * d);
        assert!((slopes.flow[0] - slope).abs() < 1e-7 * (1.0 + slope.abs()), "{}, {slope}", slopes.flow[0]);
    }
    for (flow, log_reward) in
        [(900.0, -900.0), (-900.0, 900.0), (900.0, 899.0), (-900.0, -901.0), (900.0, 900.0)]
    {
        let (loss, slopes) = evaluate(&objective, &one(flow, log_reward));
        assert!(loss.is_finite() && slopes.flow[0].is_finite(), "{flow}, {log_reward}: {loss}");
        let expected =
            if flow == log_reward || flow.max(log_reward) < 0.0 { 0.0 } else { 2f64.ln() + 1800.0 };
        assert!((loss - expected).abs() < 3.0, "{flow}, {log_reward}: {loss}");
    }
}

/// Regularisation moves the minimum, so it is not in the list of all objectives; its slopes are checked here.
#[test]
fn slopes_of_regularisation_agree_with_differences() {
    let (state_flow_regularisation, target) = (0.3, Some(TargetNetwork::default()));
    for forward_looking in [false, true] {
        let detailed = DetailedBalance { state_flow_regularisation, forward_looking, ..Default::default() };
        check_slopes(&detailed, &mut random_paths(31, &LENGTHS));
        check_slopes(&DetailedBalance { target, ..detailed }, &mut random_paths(32, &LENGTHS));
    }
    let stable = StableDetailedBalance { state_flow_regularisation, eta: 0.2, epsilon: 3.0 };
    check_slopes(&stable, &mut random_paths(33, &LENGTHS));
}

/// Two actions, each of which leads to one of two objects at random; rows of actions have the environment's chances.
struct Lottery {
    /// The chance that action `i` leads to object 0.
    chances: [f64; 2],
    log_rewards: [f64; 2],
    /// `log Z`, the logit of action 0, `log F` of both actions, and the logit of each object's parent being action 0.
    weights: [f64; 6],
}

fn log_sigmoid(x: f64) -> f64 {
    -(-x.abs()).exp().ln_1p() + x.min(0.0)
}

impl Lottery {
    /// All four trajectories.
    fn paths(&self) -> Paths {
        let [log_z, logit, flow_0, flow_1, parent_0, parent_1] = self.weights;
        let mut paths = Paths { starts: vec![0], ..Paths::default() };
        for (action, object) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let sign = if action == 0 { 1.0 } else { -1.0 };
            let chance = if object == 0 { self.chances[action] } else { 1.0 - self.chances[action] };
            paths.flow.extend([log_z, [flow_0, flow_1][action], 0.0]);
            paths.forward.extend([log_sigmoid(sign * logit), chance.ln(), 0.0]);
            paths.backward.extend([0.0, log_sigmoid(sign * [parent_0, parent_1][object]), 0.0]);
            paths.forced.extend([false, false, true]);
            paths.starts.push(paths.flow.len());
            paths.log_reward.push(self.log_rewards[object]);
            paths.log_z.push(log_z);
        }
        paths
    }

    /// The loss and its gradient by the weights.
    fn gradient(&self, objective: &dyn PathObjective) -> (f64, [f64; 6]) {
        let (loss, slopes) = evaluate(objective, &self.paths());
        let [_, logit, _, _, parent_0, parent_1] = self.weights;
        let mut gradient = [0.0; 6];
        for (b, (action, object)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
            let sign = if action == 0 { 1.0 } else { -1.0 };
            let by_logit = |x: f64| sign * log_sigmoid(-sign * x).exp();
            gradient[0] += slopes.flow[3 * b];
            gradient[1] += slopes.forward[3 * b] * by_logit(logit);
            gradient[2 + action] += slopes.flow[3 * b + 1];
            gradient[4 + object] += slopes.backward[3 * b + 1] * by_logit([parent_0, parent_1][object]);
        }
        (loss, gradient)
    }

    /// The loss after plain gradient descent.
    fn descend(&mut self, objective: &dyn PathObjective) -> f64 {
        for _ in 0..40_000 {
            let (_, gradient) = self.gradient(objective);
            self.weights.iter_mut().zip(gradient).for_each(|(weight, slope)| *weight -= 0.2 * slope);
        }
        self.gradient(objective).0
    }
}

/// Stochastic environments need rows of their own and nothing else: equal rewards are reached with `pi = 0.4`, and rewards of 9
/// to 1 by no policy, since that would need a chance of 1.2.
#[test]
fn chance_rows_are_ordinary_rows() {
    let chances = [0.8, 0.3];
    for objective in [&DetailedBalance::default() as &dyn PathObjective, &SubTrajectoryBalance::default()] {
        let mut fair =
            Lottery { chances, log_rewards: [0.0, 0.0], weights: [0.3, -0.2, 0.1, 0.5, 0.4, -0.6] };
        assert!(fair.descend(objective) < 1e-20, "{objective:?}");
        let expected = [2f64.ln(), (0.4f64 / 0.6).ln(), 0.8f64.ln(), 1.2f64.ln()];
        for (weight, expected) in fair.weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-8, "{objective:?}: {:?}", fair.weights);
        }
        let balance = evaluate(&TrajectoryBalance::default(), &fair.paths()).0;
        assert!(balance < 1e-15, "trajectory balance holds too: {balance}");
        let mut unfair = Lottery { log_rewards: [9f64.ln(), 0.0], ..fair };
        let loss = unfair.descend(objective);
        assert!(loss > 1e-2, "{objective:?}: {loss}");
        let (_, gradient) = unfair.gradient(objective);
        assert!(gradient.iter().all(|slope| slope.abs() < 1e-3), "{gradient:?}");
    }
}
