//! Objectives of paths on chains of tensors: one list of objectives, models of every family.

use anabranch::chain::{Paths, Slopes};
use anabranch::model::path::{Path, States};
use anabranch::model::state_flow::StateFlow;
use anabranch::objective::{Drawn, Objective, ObjectiveRecipe, PathObjective, ReferenceKind};

use crate::instances::*;
use crate::objectives::divergences::divergences;
use crate::objectives::{objective, recipes};

/// Every objective that a chain's kernels allow and that learns at states which are given; a policy gradient's slopes are not
/// those of its loss, whose advantages count as constants, and differences do not resolve the scale of stable detailed balance.
fn at_rest() -> Vec<(ObjectiveRecipe, std::sync::Arc<dyn PathObjective>)> {
    let allowed = |recipe: &ObjectiveRecipe| {
        let needs = recipe.needs();
        let scaled = matches!(recipe, ObjectiveRecipe::StableDetailedBalance(_));
        !scaled
            && !needs.stops
            && !needs.partial
            && !needs.on_policy
            && needs.reference == ReferenceKind::None
    };
    let made = |recipe: ObjectiveRecipe| (recipe, objective(&recipe, Default::default()));
    recipes().into_iter().filter(allowed).map(made).collect()
}

/// The numbers of the paths through given states, with their flows.
fn scored(model: &Model, flow: &StateFlow, states: &States, log_reward: &[f64], paths: &mut Paths) -> Path {
    let (mut path, before) = Path::scored(model, states, NOTHING, &noise(91)).unwrap();
    path.flow = flow.log_flows(&before, NOTHING);
    path.numbers(log_reward.to_vec(), paths);
    let rows = path.forward.len() + 1;
    (0..log_reward.len()).for_each(|b| paths.flow[b * rows] = 0.3);
    paths.log_z = vec![0.3; log_reward.len()];
    path
}

/// The gradient that slopes are pulled back to is that of the loss, by differences along a random direction of the weights.
#[test]
fn pulled_gradients_agree_with_differences() {
    let target =
        DiagonalGaussian { mean: vec![0.3, -0.8, 0.1, 0.5], std: vec![0.5, 2.0, 1.0, 0.7], log_z: 1.1 };
    let mut checked = 0;
    // Of one segment and one dimension, as state flows are; that of others by other objectives: `gradients`.
    let smooth = [
        "flow",
        "ddpm-noise",
        "ddpm-velocity",
        "vdm-signal",
        "vdm-score",
        "langevin",
        "controlled-langevin",
        "brownian",
    ];
    for (name, mut model) in continuous_models(4).into_iter().filter(|(name, _)| smooth.contains(name)) {
        let states = States::draw(&model, 12, NOTHING, &noise(90)).unwrap();
        let log_reward = to_vec_f64(log_density(&target, states.end(), NOTHING).expect("a density"));
        let mut flow = StateFlow::new([4, 0], &[8], Activation::Tanh, 5);
        stir([flow.weights_mut()], 0.3);
        for (recipe, objective) in at_rest() {
            let loss = |model: &Model, flow: &StateFlow| {
                let mut paths = Paths::default();
                scored(model, flow, &states, &log_reward, &mut paths);
                objective.evaluate(&paths, &mut Slopes::default())
            };
            let first: Vec<Vec<f32>> = model.weights().into_iter().map(Weights::values).collect();
            model.track();
            flow.weights_mut().track();
            let (mut paths, mut slopes) = (Paths::default(), Slopes::default());
            let path = scored(&model, &flow, &states, &log_reward, &mut paths);
            objective.evaluate(&paths, &mut slopes);
            let mut gradients = path.pull(&slopes).expect("some slope").backward();
            let found: Vec<Option<Vec<f32>>> =
                model.weights().into_iter().map(|w| w.gradient(&mut gradients)).collect();
            model = model.frozen();
            flow.weights_mut().freeze();
            // Along the gradient the change is the largest, and rounding of f32 weighs least.
            let norm: f64 =
                found.iter().flatten().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            if norm < 1e-6 {
                continue;
            }
            let along = |step: f64| {
                let moved: Vec<Vec<f32>> = first
                    .iter()
                    .zip(&found)
                    .map(|(w, g)| match g {
                        Some(g) => w.iter().zip(g).map(|(w, g)| w + (step / norm) as f32 * g).collect(),
                        None => w.clone(),
                    })
                    .collect();
                loss(&model.with_weights(&moved), &flow)
            };
            let step = 3e-3;
            let numeric = (along(step) - along(-step)) / (2.0 * step);
            assert!((numeric - norm).abs() < 0.03 * norm + 1e-3, "{name}, {recipe:?}: {norm} and {numeric}");
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

/// At the exact solution - a chain onto the very target, with the flows that it has - every objective is zero.
#[test]
fn chain_objectives_are_zero_at_the_exact_solution() {
    let target = DiagonalGaussian { mean: vec![1.0, -2.0], std: vec![0.5, 3.0], log_z: 0.3 };
    let flow = Flow::new(2, vec![Box::new(Standardise::new(vec![1.0, -2.0], vec![0.5, 3.0]))]);
    let model = Model::new(vec![Box::new(flow)]);
    let states = States::draw(&model, 40, NOTHING, &noise(92)).unwrap();
    let log_reward = to_vec_f64(log_density(&target, states.end(), NOTHING).expect("a density"));
    let flows = StateFlow::new([2, 0], &[4], Activation::Relu, 1);
    for (recipe, objective) in at_rest() {
        let mut paths = Paths::default();
        scored(&model, &flows, &states, &log_reward, &mut paths);
        let loss = objective.evaluate(&paths, &mut Slopes::default());
        assert!(loss.abs() < 1e-8, "{recipe:?}: {loss}");
    }
}

/// What a recipe may name on a chain is listed by the laws, and the rest is refused.
#[test]
fn divergences_are_drawn_from_the_end_they_say() {
    for recipe in divergences() {
        let Objective::Paths(objective) = recipe.check("objective", Default::default()).expect("fine") else {
            panic!("of paths");
        };
        let needs = objective.needs();
        assert!(needs.through_states, "{recipe:?}");
        let of_data =
            matches!(recipe, ObjectiveRecipe::ForwardKl(_) | ObjectiveRecipe::ImportanceWeighted(_));
        assert_eq!(needs.drawn == Drawn::Forward, !of_data);
    }
}
