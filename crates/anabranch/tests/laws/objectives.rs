//! Laws of flow networks' objectives, each over every objective: a new one is covered by being listed here.

mod cut;
pub mod divergences;
mod graphs;
mod identities;
mod policies;
mod special;
mod states;

use std::collections::BTreeSet;
use std::sync::Arc;

use anabranch::objective::*;

use graphs::{graphs, normals};

/// Every objective of paths, at several hyper-parameters.
pub fn recipes() -> Vec<ObjectiveRecipe> {
    use SubTrajectoryWeighting::{Db, Equal, EqualWithin, Geometric, GeometricWithin, ModifiedDb, Tb};
    let regressions = [
        Regression::Squared {},
        Regression::HalfSquared {},
        Regression::Huber { delta: 0.6 },
        Regression::ShiftedCosh {},
        Regression::Linex { alpha: 1.0 },
        Regression::Linex { alpha: -0.5 },
    ];
    let cosh = Regression::ShiftedCosh {};
    let target = Some(TargetNetwork::default());
    let detailed = DetailedBalance::default();
    let stable = StableDetailedBalance::default();
    let part = SubTrajectoryBalance::default();
    let gradient = PolicyGradient::default();
    let sub_eb = Critic::SubEb { weighting: GeometricWithin, lambda: 0.8 };
    let mut all: Vec<ObjectiveRecipe> = Vec::new();
    for regression in regressions {
        all.push(ObjectiveRecipe::TrajectoryBalance(TrajectoryBalance { regression }));
        all.push(ObjectiveRecipe::LogVariance(LogVariance { regression }));
        all.push(ObjectiveRecipe::DetailedBalance(DetailedBalance { regression, ..detailed }));
        all.push(ObjectiveRecipe::SubTrajectoryBalance(SubTrajectoryBalance { regression, ..part }));
    }
    for weighting in [GeometricWithin, Geometric, EqualWithin, Equal, Tb, Db, ModifiedDb] {
        for lambda in [0.0, 0.4, 1.0, 1.9] {
            all.push(ObjectiveRecipe::SubTrajectoryBalance(SubTrajectoryBalance {
                weighting,
                lambda,
                ..part
            }));
        }
        let other = SubTrajectoryBalance { weighting, regression: cosh, forward_looking: true, ..part };
        all.push(ObjectiveRecipe::SubTrajectoryBalance(other));
    }
    for advantage in [Advantage::Total, Advantage::RewardToGo, Advantage::Baseline, Advantage::Gae] {
        all.push(ObjectiveRecipe::PolicyGradient(PolicyGradient { advantage, ..gradient }));
    }
    all.extend([
        ObjectiveRecipe::DetailedBalance(DetailedBalance { forward_looking: true, ..detailed }),
        ObjectiveRecipe::DetailedBalance(DetailedBalance { target, stop_weight: 5.0, ..detailed }),
        ObjectiveRecipe::DetailedBalance(DetailedBalance { target, forward_looking: true, ..detailed }),
        ObjectiveRecipe::StableDetailedBalance(stable),
        ObjectiveRecipe::StableDetailedBalance(StableDetailedBalance { epsilon: 0.2, eta: 0.7, ..stable }),
        ObjectiveRecipe::ModifiedDetailedBalance(ModifiedDetailedBalance::default()),
        ObjectiveRecipe::ModifiedDetailedBalance(ModifiedDetailedBalance { regression: cosh, target }),
        ObjectiveRecipe::RelativeTrajectoryBalance(RelativeTrajectoryBalance {
            beta: 1.7,
            ..Default::default()
        }),
        ObjectiveRecipe::RelativeLogVariance(RelativeLogVariance { beta: 0.6, regression: cosh }),
        ObjectiveRecipe::TrustPcl(TrustPcl { alpha: 0.5, ..Default::default() }),
        ObjectiveRecipe::SoftQ(SoftQ::default()),
        ObjectiveRecipe::SoftQ(SoftQ {
            regression: Regression::Squared {},
            stop_weight: 3.0,
            ..Default::default()
        }),
        ObjectiveRecipe::PolicyGradient(PolicyGradient { critic: sub_eb, critic_weight: 0.3, ..gradient }),
        ObjectiveRecipe::Ppo(Ppo::default()),
        ObjectiveRecipe::Ppo(Ppo { clip: 0.5, critic: sub_eb, critic_weight: 0.7, ..Ppo::default() }),
    ]);
    all
}

/// Every objective whose slopes are an estimate of a gradient at given states, and not those of its value: what they are on average is
/// said in `variational`.
pub fn estimators() -> Vec<ObjectiveRecipe> {
    let score = |baseline| ObjectiveRecipe::ScoreFunction(ScoreFunction { baseline });
    vec![
        score(Baseline::None),
        score(Baseline::LeaveOneOut),
        score(Baseline::Learned),
        ObjectiveRecipe::SelfNormalisedForwardKl(SelfNormalisedForwardKl {}),
    ]
}

/// The objective of a recipe.
pub fn objective(recipe: &ObjectiveRecipe, backward: BackwardObjective) -> Arc<dyn PathObjective> {
    match recipe.check("objective", backward) {
        Ok(Objective::Paths(objective)) => objective,
        other => panic!("{recipe:?}: {other:?}"),
    }
}

/// Every objective of paths with its recipe.
pub fn objectives() -> Vec<(ObjectiveRecipe, Arc<dyn PathObjective>)> {
    let checked = |recipe: ObjectiveRecipe| (recipe, objective(&recipe, BackwardObjective::Joint));
    recipes().into_iter().map(checked).collect()
}

/// The loss and the slopes.
pub fn evaluate(objective: &dyn PathObjective, paths: &Paths) -> (f64, Slopes) {
    let mut slopes = Slopes::default();
    let loss = objective.evaluate(paths, &mut slopes);
    (loss, slopes)
}

/// An array of [`Paths`] that slopes go to, and the slopes.
type Array = (&'static str, fn(&mut Paths) -> &mut Vec<f64>, fn(&Slopes) -> &Vec<f64>);

const ARRAYS: [Array; 6] = [
    ("forward", |paths| &mut paths.forward, |slopes| &slopes.forward),
    ("backward", |paths| &mut paths.backward, |slopes| &slopes.backward),
    ("flow", |paths| &mut paths.flow, |slopes| &slopes.flow),
    ("stop", |paths| &mut paths.stop, |slopes| &slopes.stop),
    ("log Z", |paths| &mut paths.log_z, |slopes| &slopes.log_z),
    (
        "divergence",
        |paths| &mut paths.reference.as_mut().expect("a reference").divergence,
        |slopes| &slopes.divergence,
    ),
];

/// Trajectories of any lengths with numbers of no meaning; those of which the flag is set end where they had to stop.
pub fn random_paths(seed: u64, lengths: &[(usize, bool)]) -> Paths {
    let starts: Vec<usize> = std::iter::once(0)
        .chain(lengths.iter().scan(0, |sum, (length, _)| {
            *sum += length;
            Some(*sum)
        }))
        .collect();
    let (rows, count) = (starts[lengths.len()], lengths.len());
    let draw = |index: u64, count: usize, scale: f64, shift: f64| -> Vec<f64> {
        normals(100 * seed + index, count).into_iter().map(|x| scale * x + shift).collect()
    };
    let forward = draw(0, rows, 0.4, -1.3);
    let mut forced = vec![false; rows];
    let mut stop = draw(3, rows, 0.4, -1.5);
    for (b, (_, must)) in lengths.iter().enumerate() {
        forced[starts[b + 1] - 1] = *must;
        stop[starts[b + 1] - 1] = forward[starts[b + 1] - 1];
    }
    let reference = Reference {
        forward: forward.iter().zip(draw(8, rows, 0.3, 0.0)).map(|(own, shift)| own + shift).collect(),
        flow: draw(9, rows, 0.7, 0.5),
        stop: draw(10, rows, 0.4, -1.4),
        divergence: draw(11, rows, 0.1, 0.5),
    };
    Paths {
        starts,
        cut: Vec::new(),
        forward,
        backward: draw(1, rows, 0.4, -0.9),
        flow: draw(2, rows, 0.7, 0.4),
        stop,
        forced,
        partial: draw(4, rows, 0.5, 0.2),
        log_reward: draw(5, count, 0.8, 0.3),
        log_z: draw(6, count, 0.5, 1.0),
        group: (0..count as u32).map(|b| 7 * (b % 2)).collect(),
        reference: Some(reference),
    }
}

/// Unequal lengths, single states among them.
pub const LENGTHS: [(usize, bool); 8] =
    [(1, false), (3, false), (1, true), (2, true), (6, false), (4, true), (2, false), (9, false)];

/// The list names every kind that a recipe can.
#[test]
fn every_kind_of_objective_is_listed() {
    let schema = schemars::schema_for!(ObjectiveRecipe).to_value();
    let variants = schema["oneOf"].as_array().expect("a tagged union").iter();
    let known =
        variants.map(|variant| variant["properties"]["kind"]["const"].as_str().expect("a kind").to_owned());
    let without_paths =
        ["flow-matching", "quantile-flow-matching", "coordinate-ascent", "mixed-kl", "craft", "fab"];
    let expected: BTreeSet<String> = known.filter(|kind| !without_paths.contains(&kind.as_str())).collect();
    let kind = |recipe: ObjectiveRecipe| {
        let value = serde_json::to_value(recipe).expect("plain values");
        value["kind"].as_str().expect("a kind").to_owned()
    };
    let listed = recipes().into_iter().chain(divergences::divergences()).chain(estimators());
    assert_eq!(listed.map(kind).collect::<BTreeSet<_>>(), expected);
}

/// Law 5: at the exact flows of any backward policy, on every trajectory, the loss is zero and so is every slope. (A policy
/// gradient without a value is zero in the mean only; the divergence from a policy has the slope of a constant.)
#[test]
fn law_5_objectives_are_zero_at_exact_flows() {
    let mut checked = 0;
    for graph in graphs() {
        let trajectories = graph.trajectories();
        for (recipe, objective) in objectives() {
            let needs = objective.needs();
            if needs.on_policy && !needs.flow {
                continue;
            }
            let forward_looking = needs.flow && needs.partial;
            let paths = match needs.reference {
                ReferenceKind::Prior { .. } => {
                    let prior = graph.forward_of(&normals(5, graph.edges.len() + graph.nodes()));
                    let flows = graph.posterior(&prior, beta(&recipe));
                    let mut paths = graph.paths(&flows, &trajectories, false);
                    let (forward, stop) = prior;
                    let reference = paths.reference.as_mut().expect("a reference");
                    let said = trajectories.iter().flat_map(|trajectory| {
                        let last = stop[graph.end(trajectory)];
                        trajectory.iter().map(|e| forward[*e]).chain([last]).collect::<Vec<_>>()
                    });
                    reference.forward = said.collect();
                    paths
                }
                _ => graph.paths(&graph.flows(graph.random_backward(3)), &trajectories, forward_looking),
            };
            let (loss, slopes) = evaluate(objective.as_ref(), &paths);
            assert!(loss.abs() < 1e-11, "{}, {recipe:?}: {loss}", graph.name);
            for (name, _, of) in &ARRAYS[..5] {
                let largest = of(&slopes).iter().fold(0.0, |m: f64, slope| m.max(slope.abs()));
                assert!(largest < 1e-11, "{}, {recipe:?}: a slope by {name} is {largest}", graph.name);
            }
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked}");
}

/// The power of the reward in the objectives of a posterior.
fn beta(recipe: &ObjectiveRecipe) -> f64 {
    match recipe {
        ObjectiveRecipe::RelativeTrajectoryBalance(o) => o.beta,
        ObjectiveRecipe::RelativeLogVariance(o) => o.beta,
        ObjectiveRecipe::TrustPcl(o) => 1.0 / o.alpha,
        other => panic!("{other:?} has no prior"),
    }
}

/// Slopes by every array are those of central differences; `P_B` has none where the objective says that it does not train it.
#[test]
fn slopes_agree_with_differences() {
    for (_, objective) in objectives() {
        check_slopes(objective.as_ref(), &mut random_paths(1, &LENGTHS));
    }
}

/// Compares all slopes with central differences.
fn check_slopes(objective: &dyn PathObjective, paths: &mut Paths) {
    let step = 1e-5;
    let slopes = evaluate(objective, paths).1;
    for (name, array, of) in ARRAYS {
        let found = of(&slopes).clone();
        if name == "backward" && !objective.needs().trains_backward {
            assert!(found.iter().all(|slope| *slope == 0.0), "{objective:?} trains P_B");
            continue;
        }
        assert_eq!(found.len(), array(paths).len(), "{objective:?}, {name}");
        for (at, found) in found.into_iter().enumerate() {
            let mut loss_at = |shift: f64| {
                let before = array(paths)[at];
                array(paths)[at] = before + shift;
                let loss = evaluate(objective, paths).0;
                array(paths)[at] = before;
                loss
            };
            let numeric = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            assert!(
                (numeric - found).abs() < 1e-7 * (1.0 + numeric.abs()),
                "{objective:?}, {name} {at}: {found}, {numeric}"
            );
        }
    }
}

/// Some trajectories of a batch, in the given order.
fn chosen(paths: &Paths, order: &[usize]) -> Paths {
    let rows: Vec<usize> = order.iter().flat_map(|b| paths.trajectory(*b)).collect();
    let by_row = |values: &[f64]| -> Vec<f64> { rows.iter().map(|row| values[*row]).collect() };
    let by_path = |values: &[f64]| -> Vec<f64> { order.iter().map(|b| values[*b]).collect() };
    let reference = paths.reference.as_ref().map(|reference| Reference {
        forward: by_row(&reference.forward),
        flow: by_row(&reference.flow),
        stop: by_row(&reference.stop),
        divergence: by_row(&reference.divergence),
    });
    let mut starts = vec![0];
    order.iter().for_each(|b| starts.push(starts[starts.len() - 1] + paths.trajectory(*b).len()));
    Paths {
        starts,
        cut: order.iter().map(|b| paths.is_cut(*b)).collect(),
        forward: by_row(&paths.forward),
        backward: by_row(&paths.backward),
        flow: by_row(&paths.flow),
        stop: by_row(&paths.stop),
        forced: rows.iter().map(|row| paths.forced[*row]).collect(),
        partial: by_row(&paths.partial),
        log_reward: by_path(&paths.log_reward),
        log_z: by_path(&paths.log_z),
        group: order.iter().map(|b| paths.group[*b]).collect(),
        reference,
    }
}

/// A loss is a mean: the order of trajectories does not matter to it, and neither does having all of them twice.
#[test]
fn losses_are_means_over_trajectories_in_any_order() {
    let paths = random_paths(2, &LENGTHS);
    let count = LENGTHS.len();
    for (recipe, objective) in objectives() {
        let (loss, slopes) = evaluate(objective.as_ref(), &paths);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * (1.0 + a.abs());
        let orders = [(0..count).rev().collect::<Vec<_>>(), (0..count).chain(0..count).collect()];
        for order in orders {
            let share = count as f64 / order.len() as f64;
            let other = chosen(&paths, &order);
            let (other_loss, other_slopes) = evaluate(objective.as_ref(), &other);
            assert!(close(loss, other_loss), "{recipe:?}: {loss}, {other_loss}");
            for (name, _, of) in ARRAYS {
                let places: Vec<usize> = match name {
                    "log Z" => order.clone(),
                    _ => order.iter().flat_map(|b| paths.trajectory(*b)).collect(),
                };
                for (place, found) in places.iter().zip(of(&other_slopes)) {
                    let expected = share * of(&slopes)[*place];
                    assert!(close(expected, *found), "{recipe:?}, {name}: {expected}, {found}");
                }
            }
        }
    }
}

/// What an objective says it does not need may be missing, without any change.
#[test]
fn what_is_not_needed_may_be_missing() {
    for (recipe, objective) in objectives() {
        let needs = objective.needs();
        let mut paths = random_paths(3, &LENGTHS);
        if needs.reference == ReferenceKind::None {
            paths.reference = None;
        }
        let full = evaluate(objective.as_ref(), &paths);
        for (needed, array) in [
            (needs.flow, &mut paths.flow),
            (needs.partial, &mut paths.partial),
            (needs.log_z, &mut paths.log_z),
        ] {
            if !needed {
                array.clear();
            }
        }
        if needs.per_condition == 1 {
            paths.group.clear();
        }
        assert_eq!(full, evaluate(objective.as_ref(), &paths), "{recipe:?}");
    }
}

/// Slopes of estimators by the numbers of their paths, by hand.
#[test]
fn estimators_have_the_slopes_of_their_formulas() {
    let mut paths = random_paths(6, &LENGTHS);
    paths.group = (0..LENGTHS.len()).map(|b| (b % 2) as u32).collect();
    let share = 1.0 / LENGTHS.len() as f64;
    let of =
        |recipe: &ObjectiveRecipe| evaluate(objective(recipe, BackwardObjective::Joint).as_ref(), &paths);
    let found: Vec<(f64, Slopes)> = estimators().iter().map(of).collect();
    let mean = paths.log_weights().iter().sum::<f64>() * share;
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
    found[..3].iter().for_each(|(loss, _)| near(*loss, -mean));
    for b in 0..LENGTHS.len() {
        let log_weight = paths.log_weight(b);
        let alike: Vec<f64> =
            (b % 2..LENGTHS.len()).step_by(2).map(|other| paths.log_weight(other)).collect();
        let others = (alike.iter().sum::<f64>() - log_weight) / (alike.len() - 1) as f64;
        let total = anabranch::math::log_sum_exp(&alike);
        for row in paths.trajectory(b) {
            near(found[0].1.forward[row], -share * log_weight);
            near(found[1].1.forward[row], share * (others - log_weight));
            near(found[2].1.forward[row], share * (paths.log_z[b] - log_weight));
            found[..3].iter().for_each(|(_, slopes)| near(slopes.backward[row], -share));
            near(found[3].1.forward[row], -0.5 * (log_weight - total).exp());
            near(found[3].1.backward[row], 0.0);
        }
        near(found[2].1.log_z[b], share * (paths.log_z[b] - log_weight));
    }
}

/// States at which one cannot stop, batches of one trajectory, and trajectories of one state give numbers, never NaN; used
/// memory does not matter.
#[test]
fn awkward_batches_have_finite_losses_and_slopes() {
    let mut paths = random_paths(4, &LENGTHS);
    for b in 0..paths.trajectories() {
        let rows = paths.trajectory(b);
        (rows.start..rows.end - 1).step_by(2).for_each(|row| paths.stop[row] = f64::NEG_INFINITY);
    }
    paths.reference.as_mut().expect("a reference").stop = paths.stop.clone();
    let alone = (0..LENGTHS.len()).map(|b| chosen(&paths, &[b]));
    let batches: Vec<Paths> = std::iter::once(paths.clone()).chain(alone).collect();
    let more = estimators().into_iter().map(|recipe| (recipe, objective(&recipe, BackwardObjective::Joint)));
    for (recipe, objective) in objectives().into_iter().chain(more) {
        let mut slopes = Slopes::default();
        for batch in &batches {
            let loss = objective.evaluate(batch, &mut slopes);
            assert!(loss.is_finite(), "{recipe:?}: {loss}");
            assert!(
                ARRAYS.iter().all(|(_, _, of)| of(&slopes).iter().all(|slope| slope.is_finite())),
                "{recipe:?}"
            );
            assert_eq!((loss, slopes.clone()), evaluate(objective.as_ref(), batch), "{recipe:?}");
        }
    }
}
