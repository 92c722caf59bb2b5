//! Identities between objectives of trajectories and their parts.

use anabranch::objective::*;

use super::graphs::{normals, subsets, toy};
use super::{LENGTHS, evaluate, random_paths};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-11 * (1.0 + a.abs())
}

/// The largest difference of two lists.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()))
}

/// `g_t` of each trajectory by its definition.
fn nodes(paths: &Paths) -> Vec<Vec<f64>> {
    let of_trajectory = |b: usize| {
        let rows = paths.trajectory(b);
        let states = if paths.forced[rows.end - 1] { rows.start..rows.end - 1 } else { rows.clone() };
        let passed = |t: usize| -> f64 {
            (rows.start..rows.start + t).map(|row| paths.forward[row] - paths.backward[row]).sum()
        };
        let inner = states.clone().map(|row| paths.flow[row] - passed(row - rows.start));
        inner.chain([paths.log_reward[b] - passed(states.len())]).collect()
    };
    (0..paths.trajectories()).map(of_trajectory).collect()
}

/// The loss by its definition: weights of all sub-trajectories of all lengths, `T^2` of them.
fn by_definition(objective: &SubTrajectoryBalance, paths: &Paths) -> f64 {
    let nodes = nodes(paths);
    let lambda = objective.lambda;
    let count = |g: &Vec<f64>| g.len() - 1;
    let transitions: usize = nodes.iter().map(count).sum();
    let all: usize = nodes.iter().map(|g| count(g) * (count(g) + 1) / 2).sum();
    let of_length = |k: usize| nodes.iter().map(|g| (count(g) + 1).saturating_sub(k)).sum::<usize>();
    let longest = nodes.iter().map(count).max().expect("there are trajectories");
    let power = |k: usize| lambda.powi(k as i32 - 1);
    let share = 1.0 / nodes.len() as f64;
    let weight = |t: usize, k: usize| match objective.weighting {
        SubTrajectoryWeighting::GeometricWithin => {
            share * power(k) / (1..=t).map(|k| (t + 1 - k) as f64 * power(k)).sum::<f64>()
        }
        SubTrajectoryWeighting::Geometric => {
            power(k) / (1..=longest).map(power).sum::<f64>() / of_length(k) as f64
        }
        SubTrajectoryWeighting::EqualWithin => share * 2.0 / (t * (t + 1)) as f64,
        SubTrajectoryWeighting::Equal => 1.0 / all as f64,
        SubTrajectoryWeighting::Tb => {
            if k == t {
                share
            } else {
                0.0
            }
        }
        SubTrajectoryWeighting::Db => {
            if k == 1 {
                1.0 / transitions as f64
            } else {
                0.0
            }
        }
        SubTrajectoryWeighting::ModifiedDb => {
            if k == 1 {
                share / t as f64
            } else {
                0.0
            }
        }
    };
    let mut loss = 0.0;
    for g in &nodes {
        for j in 1..g.len() {
            for i in 0..j {
                loss += weight(count(g), j - i) * objective.regression.value(g[i] - g[j]);
            }
        }
    }
    loss
}

/// The recursion over nodes is the sum over all pairs, whatever the weighting, the decay and the length.
#[test]
fn sub_trajectories_in_linear_time_are_all_sub_trajectories() {
    use SubTrajectoryWeighting::{Db, Equal, EqualWithin, Geometric, GeometricWithin, ModifiedDb, Tb};
    let long = [(60, false), (1, false), (17, true), (1, true), (35, false)];
    for lengths in [&LENGTHS[..], &long] {
        let paths = random_paths(11, lengths);
        for weighting in [GeometricWithin, Geometric, EqualWithin, Equal, Tb, Db, ModifiedDb] {
            for lambda in [1e-6, 0.3, 0.9, 1.0, 1.1, 1.9, 30.0] {
                for regression in
                    [Regression::Squared {}, Regression::HalfSquared {}, Regression::ShiftedCosh {}]
                {
                    let objective =
                        SubTrajectoryBalance { weighting, lambda, regression, forward_looking: false };
                    let (found, expected) =
                        (evaluate(&objective, &paths).0, by_definition(&objective, &paths));
                    assert!(close(expected, found), "{objective:?}: {found}, {expected}");
                }
            }
        }
    }
}

/// Slopes by parabolas in linear time are those of the same parabola over all pairs: Huber's, wide enough.
#[test]
fn slopes_in_linear_time_are_those_over_all_pairs() {
    let paths = random_paths(12, &[(40, false), (1, false), (23, true), (1, true), (9, false)]);
    for weighting in [SubTrajectoryWeighting::GeometricWithin, SubTrajectoryWeighting::Equal] {
        for lambda in [0.0, 0.5, 1.0, 1.9] {
            let of =
                |regression| SubTrajectoryBalance { weighting, lambda, regression, forward_looking: false };
            let (loss, slopes) = evaluate(&of(Regression::HalfSquared {}), &paths);
            let (other_loss, others) = evaluate(&of(Regression::Huber { delta: 1e6 }), &paths);
            assert!(close(loss, other_loss), "{weighting:?}, {lambda}: {loss}, {other_loss}");
            for (a, b) in [
                (&slopes.forward, &others.forward),
                (&slopes.backward, &others.backward),
                (&slopes.flow, &others.flow),
            ] {
                assert!(distance(a, b) < 1e-11, "{weighting:?}, {lambda}");
            }
        }
    }
}

/// Small `lambda`: the mean of a trajectory's detailed balances; large: trajectory balance; 1: a variance.
#[test]
fn sub_trajectories_have_their_limits() {
    let paths = random_paths(13, &LENGTHS);
    let within = |lambda| SubTrajectoryBalance { lambda, ..SubTrajectoryBalance::default() };
    let loss = |objective: &dyn PathObjective| evaluate(objective, &paths).0;
    let weighted = |weighting| SubTrajectoryBalance { weighting, ..SubTrajectoryBalance::default() };
    let single = loss(&weighted(SubTrajectoryWeighting::ModifiedDb));
    assert!(close(loss(&within(0.0)), single));
    assert!((loss(&within(1e-9)) - single).abs() < 1e-6);
    let whole = loss(&weighted(SubTrajectoryWeighting::Tb));
    assert!((loss(&within(1e9)) - whole).abs() < 1e-6);
    let variances = nodes(&paths).into_iter().filter(|g| g.len() > 1).map(|g| {
        let (n, mean) = (g.len() as f64, g.iter().sum::<f64>() / g.len() as f64);
        2.0 * n / (n - 1.0) * g.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n
    });
    let expected = variances.sum::<f64>() / paths.trajectories() as f64;
    assert!(close(loss(&within(1.0)), expected));
}

/// At any length no weight overflows, and few transitions weigh as much as the whole where `lambda` is large.
#[test]
fn long_trajectories_do_not_overflow() {
    let paths = random_paths(14, &[(4000, false), (3, false)]);
    for lambda in [0.5, 1.0, 1.9, 1e5] {
        let (loss, slopes) = evaluate(&SubTrajectoryBalance { lambda, ..Default::default() }, &paths);
        assert!(loss.is_finite() && loss > 0.0, "{lambda}: {loss}");
        assert!(slopes.forward.iter().all(|slope| slope.is_finite()), "{lambda}");
    }
    let tb = SubTrajectoryBalance { weighting: SubTrajectoryWeighting::Tb, ..Default::default() };
    let large = SubTrajectoryBalance { lambda: 1e5, ..Default::default() };
    let (expected, found) = (evaluate(&tb, &paths).0, evaluate(&large, &paths).0);
    assert!((expected / found - 1.0).abs() < 1e-3, "{expected}, {found}");
}

/// Single transitions are detailed balance, forward-looking or not; whole trajectories are trajectory balance with the
/// source's flow as `Z`.
#[test]
fn parts_of_extreme_length_are_the_other_objectives() {
    let mut paths = random_paths(15, &LENGTHS);
    for forward_looking in [false, true] {
        let single = SubTrajectoryBalance {
            weighting: SubTrajectoryWeighting::Db,
            forward_looking,
            ..SubTrajectoryBalance::default()
        };
        let detailed = DetailedBalance { forward_looking, ..DetailedBalance::default() };
        let (a, b) = (evaluate(&single, &paths), evaluate(&detailed, &paths));
        assert!(close(a.0, b.0));
        assert!(distance(&a.1.flow, &b.1.flow) < 1e-12 && distance(&a.1.forward, &b.1.forward) < 1e-12);
    }
    // A trajectory that is one forced state has no part.
    let lengths: Vec<_> = LENGTHS.into_iter().filter(|length| *length != (1, true)).collect();
    paths = random_paths(15, &lengths);
    for b in 0..paths.trajectories() {
        paths.log_z[b] = paths.flow[paths.starts[b]];
        // What had to be done was certain.
        let last = paths.starts[b + 1] - 1;
        (paths.forward[last], paths.backward[last]) = (0.0, 0.0);
    }
    let whole = SubTrajectoryBalance { weighting: SubTrajectoryWeighting::Tb, ..Default::default() };
    let (a, b) = (evaluate(&whole, &paths), evaluate(&TrajectoryBalance::default(), &paths));
    assert!(close(a.0, b.0), "{}, {}", a.0, b.0);
    for trajectory in 0..paths.trajectories() {
        let first = paths.starts[trajectory];
        assert!(close(a.1.flow[first], b.1.log_z[trajectory]));
        assert!(close(a.1.forward[first], b.1.forward[first]));
    }
}

/// Detailed balance and soft Q-learning by their definitions, stops weighted; soft Q-learning reads another's values.
#[test]
fn transitions_are_weighted_as_said() {
    let paths = random_paths(20, &LENGTHS);
    let theirs = &paths.reference.as_ref().expect("a reference").flow;
    let mean = |flow: &[f64], stop_weight: f64, regression: Regression| {
        let (mut sum, mut count) = (0.0, 0);
        for b in 0..paths.trajectories() {
            let last = paths.starts[b + 1] - 1;
            for row in paths.trajectory(b) {
                let here = paths.flow[row] + paths.forward[row];
                let residual = match row {
                    row if row == last && paths.forced[row] => continue,
                    row if row == last => here - paths.log_reward[b] - paths.backward[row],
                    row if paths.forced[row + 1] => here - paths.log_reward[b] - paths.backward[row],
                    row => here - flow[row + 1] - paths.backward[row],
                };
                sum += if row == last { stop_weight } else { 1.0 } * regression.value(residual);
                count += 1;
            }
        }
        sum / f64::from(count)
    };
    for stop_weight in [0.0, 1.0, 5.0] {
        let detailed = DetailedBalance { stop_weight, ..DetailedBalance::default() };
        let soft_q = SoftQ { stop_weight, ..SoftQ::default() };
        let expected = mean(&paths.flow, stop_weight, detailed.regression);
        assert!(close(evaluate(&detailed, &paths).0, expected), "{stop_weight}");
        assert!(
            close(evaluate(&soft_q, &paths).0, mean(theirs, stop_weight, soft_q.regression)),
            "{stop_weight}"
        );
    }
}

/// The variance of the log-weight is trajectory balance at the best `log Z` of each condition, slopes included.
#[test]
fn log_variance_is_trajectory_balance_at_the_best_log_z() {
    let mut paths = random_paths(16, &LENGTHS);
    let v = paths.log_weights();
    for b in 0..paths.trajectories() {
        let alike: Vec<f64> =
            (0..v.len()).filter(|i| paths.group[*i] == paths.group[b]).map(|i| v[i]).collect();
        paths.log_z[b] = alike.iter().sum::<f64>() / alike.len() as f64;
    }
    let (variance, balance) =
        (evaluate(&LogVariance::default(), &paths), evaluate(&TrajectoryBalance::default(), &paths));
    assert!(close(variance.0, balance.0));
    assert!(distance(&variance.1.forward, &balance.1.forward) < 1e-12);
    assert!(distance(&variance.1.backward, &balance.1.backward) < 1e-12);
    // It is the best.
    for shift in [-0.1, 0.1] {
        let mut other = paths.clone();
        other.log_z.iter_mut().for_each(|log_z| *log_z += shift);
        assert!(close(evaluate(&TrajectoryBalance::default(), &other).0, balance.0 + shift * shift));
    }
    paths.group.clear();
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    let expected = v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / v.len() as f64;
    assert!(close(evaluate(&LogVariance::default(), &paths).0, expected));
}

/// Trust-PCL is `alpha^2` times relative trajectory balance: the consistency of values `V = alpha log Z` at temperature `alpha`.
#[test]
fn trust_pcl_is_relative_trajectory_balance_on_the_scale_of_values() {
    let paths = random_paths(17, &LENGTHS);
    let prior = &paths.reference.as_ref().expect("a reference").forward;
    for alpha in [0.5, 1.0, 3.0] {
        let (loss, slopes) = evaluate(&TrustPcl { alpha, ..TrustPcl::default() }, &paths);
        let consistency = |b: usize| {
            let divergence: f64 = paths.trajectory(b).map(|row| paths.forward[row] - prior[row]).sum();
            0.5 * (alpha * paths.log_z[b] + alpha * divergence - paths.log_reward[b]).powi(2)
        };
        let expected = (0..paths.trajectories()).map(consistency).sum::<f64>() / paths.trajectories() as f64;
        assert!(close(loss, expected), "{alpha}: {loss}, {expected}");
        let relative = RelativeTrajectoryBalance { beta: 1.0 / alpha, ..Default::default() };
        let (relative_loss, relative_slopes) = evaluate(&relative, &paths);
        assert!(close(loss, alpha * alpha * relative_loss));
        assert!(close(slopes.forward[5], alpha * alpha * relative_slopes.forward[5]));
    }
}

/// The variance form of relative trajectory balance is the other at the best `log Z`.
#[test]
fn relative_log_variance_is_relative_trajectory_balance_at_the_best_log_z() {
    let mut paths = random_paths(18, &LENGTHS);
    paths.group.clear();
    let prior = paths.reference.as_ref().expect("a reference").forward.clone();
    let weight = |b: usize| -> f64 {
        0.7 * paths.log_reward[b]
            + paths.trajectory(b).map(|row| prior[row] - paths.forward[row]).sum::<f64>()
    };
    let best = (0..paths.trajectories()).map(weight).sum::<f64>() / paths.trajectories() as f64;
    paths.log_z.fill(best);
    let balance = RelativeTrajectoryBalance { beta: 0.7, ..Default::default() };
    let variance = RelativeLogVariance { beta: 0.7, ..Default::default() };
    let (a, b) = (evaluate(&balance, &paths), evaluate(&variance, &paths));
    assert!(close(a.0, b.0) && distance(&a.1.forward, &b.1.forward) < 1e-12);
}

/// With a state function known on the way, forward-looking balance is plain balance of the whole flow, whatever is known.
#[test]
fn forward_looking_balance_is_balance_of_the_whole_flow() {
    let paths = random_paths(19, &LENGTHS);
    let mut whole = paths.clone();
    whole.flow.iter_mut().zip(&paths.partial).for_each(|(flow, partial)| *flow += partial);
    let pairs: [(Box<dyn PathObjective>, Box<dyn PathObjective>); 2] = [
        (
            Box::new(DetailedBalance { forward_looking: true, ..Default::default() }),
            Box::new(DetailedBalance::default()),
        ),
        (
            Box::new(SubTrajectoryBalance { forward_looking: true, ..Default::default() }),
            Box::new(SubTrajectoryBalance::default()),
        ),
    ];
    for (looking, plain) in pairs {
        let (a, b) = (evaluate(looking.as_ref(), &paths), evaluate(plain.as_ref(), &whole));
        assert!(close(a.0, b.0) && distance(&a.1.flow, &b.1.flow) < 1e-12, "{looking:?}");
    }
}

/// `log Z - ELBO` is the divergence of the forward from the backward trajectories, by enumeration.
#[test]
fn the_gap_of_the_evidence_bound_is_a_divergence() {
    for graph in [toy(), subsets()] {
        let exact = graph.flows(graph.random_backward(6));
        let (forward, stop) = graph.forward_of(&normals(8, graph.edges.len() + graph.nodes()));
        let log_z = exact.log_flow[0];
        let model = super::graphs::Flows { forward, stop, ..exact };
        let paths = graph.paths(&model, &graph.trajectories(), false);
        let (mut elbo, mut divergence, mut mass) = (0.0, 0.0, 0.0);
        for (b, weight) in paths.log_weights().into_iter().enumerate() {
            let log_forward: f64 = paths.trajectory(b).map(|row| paths.forward[row]).sum();
            let log_backward = paths.trajectory(b).map(|row| paths.backward[row]).sum::<f64>();
            let log_backward = log_backward + paths.log_reward[b] - log_z;
            mass += log_forward.exp();
            elbo += log_forward.exp() * weight;
            divergence += log_forward.exp() * (log_forward - log_backward);
        }
        assert!(close(mass, 1.0) && close(log_z - elbo, divergence) && divergence > 0.1, "{}", graph.name);
    }
}
