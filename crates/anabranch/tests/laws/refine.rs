//! Law 4 of refined samples: back-and-forth moves and importance weights lead to the target, whoever's model draws.

use std::collections::HashMap;

use anabranch::chain::Resampling;
use anabranch::estimate::paths::{WeightedPaths, weighted_paths};
use anabranch::estimate::relative::{Relative, weighted_mean};
use anabranch::recipe::{Plan, read};
use anabranch::run::{Refine, Run, Silent};
use anabranch::sampler::chain_moves::Invariant;
use anabranch::target::Mixture;
use anabranch::train::Trained;

use super::instances::*;

/// Two modes of different weight, place and shape, within reach of wide chains.
fn target() -> Mixture {
    let means = [vec![-0.7, 0.3], vec![0.6, -0.2]];
    Mixture::new(&[0.3, 0.7], &means, &[vec![0.4, 0.5], vec![0.5, 0.3]])
}

/// What is compared of points in the plane: both coordinates, their squares and product, and the side of the first.
fn features(points: &[f32]) -> Vec<Vec<f64>> {
    let numbers = |point: &[f32]| {
        let [x, y] = [f64::from(point[0]), f64::from(point[1])];
        [x, y, x * x, y * y, x * y, f64::from(u8::from(x < 0.0))]
    };
    let rows: Vec<_> = points.chunks_exact(2).map(numbers).collect();
    (0..6).map(|k| rows.iter().map(|row| row[k]).collect()).collect()
}

fn assert_alike(name: &str, found: &[f32], exact: &[f32]) {
    for (k, (found, exact)) in features(found).iter().zip(features(exact)).enumerate() {
        let (found, exact) = (Estimate::mean(found), Estimate::mean(&exact));
        let error = found.error.hypot(exact.error);
        assert!((found.value - exact.value).abs() < 4.5 * error, "{name}, number {k}: {found:?}, {exact:?}");
    }
}

/// Exact samples stay samples of the target under moves of any chain, trained or not; and chains that reach it come to it from
/// their own samples, which are of another law.
#[test]
fn law_4_moves_of_chains_leave_the_target_invariant() {
    let target = target();
    let exact = target.draw(40_000, &noise(90)).expect("an exact sampler");
    let mut arrived = Vec::new();
    for (name, model) in continuous_models(2) {
        let moves = Invariant::Energy { model: &model, target: &target };
        let rows = target.draw(3000, &noise(91)).expect("an exact sampler");
        let stayed =
            moves.from_rows(&rows, 8, &noise(92), &|_| true).expect("no kernel fails").expect("done");
        assert_alike(name, &stayed.rows, &exact);
        assert!(stayed.accepted > 20, "{name}: {} of 24000 moves accepted", stayed.accepted);
        if !["flow", "vae", "ddpm-velocity", "indm"].contains(&name) {
            continue;
        }
        let start = Sampler::Ancestral.sample(&model, 2000, NOTHING, &noise(93)).expect("no kernel fails");
        let apart = features(&start).iter().zip(features(&exact)).any(|(start, exact)| {
            let (start, exact) = (Estimate::mean(start), Estimate::mean(&exact));
            (start.value - exact.value).abs() > 10.0 * start.error.hypot(exact.error)
        });
        assert!(apart, "{name} is the target already");
        let moved =
            moves.from_model(2000, 150, &noise(93), &|_| true).expect("no kernel fails").expect("done");
        assert_alike(name, &moved.rows, &exact);
        arrived.push(name);
    }
    assert_eq!(arrived.len(), 4, "{arrived:?}");
}

/// Moves do not depend on threads; whoever is asked to stop stops.
#[test]
fn moves_are_addressed() {
    let (target, (name, model)) = (target(), continuous_models(2).swap_remove(2));
    let moves = Invariant::Energy { model: &model, target: &target };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| moves.from_model(300, 3, &noise(94), &|_| true))
            .expect("no kernel fails")
            .expect("done")
    };
    assert_eq!(run(1), run(3), "{name}");
    assert!(moves.from_model(300, 3, &noise(94), &|_| false).expect("no kernel fails").is_none());
}

/// Resampled paths have the law of the target, within what their effective number allows.
#[test]
fn resampled_paths_have_the_law_of_the_target() {
    let target = target();
    let exact = target.draw(40_000, &noise(95)).expect("an exact sampler");
    for (name, model) in continuous_models(2) {
        let drawn = weighted_paths(&model, &target, 40_000, NOTHING, &noise(96), &|_| true);
        let WeightedPaths { ends, log_weights } = drawn.expect("no kernel fails").expect("done");
        if evidence(&log_weights).ess < 0.02 {
            continue;
        }
        let places =
            Resampling::Systematic.places(&log_weights, 4000, &noise(97)).expect("paths have weight");
        let rows: Vec<f32> = places.iter().flat_map(|i| ends[2 * *i as usize..][..2].to_vec()).collect();
        let all = features(&ends);
        for (k, (found, exact)) in features(&rows).iter().zip(features(&exact)).enumerate() {
            let (found, exact) = (Estimate::mean(found), Estimate::mean(&exact));
            let error = weighted_mean(&log_weights, &all[k]).error.hypot(exact.error).hypot(found.error);
            assert!((found.value - exact.value).abs() < 4.5 * error, "{name}, {k}: {found:?}, {exact:?}");
        }
    }
}

/// Over whole paths of a model that is not the posterior: moves come to what the prior's own samples say of it, weighed by the
/// likelihood. The flow's posterior is known besides.
#[test]
fn law_4_moves_leave_posteriors_invariant() {
    let likelihood = DiagonalGaussian { mean: vec![0.5, -0.4], std: vec![0.7, 0.9], log_z: 0.0 };
    for (name, prior) in continuous_models(2) {
        if !["flow", "vae", "hvae", "ddpm-velocity", "indm"].contains(&name) {
            continue;
        }
        let mut model = prior.clone();
        stir(model.weights_mut(), 0.03);
        let relative = Relative { prior: &prior, model: &model, beta: 1.5 };
        let drawn = relative.of_prior(&likelihood, 40_000, &noise(98), &|_| true);
        let drawn = drawn.expect("no kernel fails").expect("done");
        let moves = Invariant::Posterior { relative, target: &likelihood };
        let moved =
            moves.from_model(3000, 60, &noise(99), &|_| true).expect("no kernel fails").expect("done");
        assert!(moved.accepted > 5000, "{name}: {} of 180000 moves accepted", moved.accepted);
        let of_prior = features(&drawn.ends);
        for (k, found) in features(&moved.rows).iter().enumerate() {
            let found = Estimate::mean(found);
            let exact = weighted_mean(&drawn.log_likelihoods, &of_prior[k]);
            let error = found.error.hypot(exact.error);
            assert!((found.value - exact.value).abs() < 4.5 * error, "{name}, {k}: {found:?}, {exact:?}");
        }
    }
}

const GRID: &str = "name = 'grid'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 4\n\
    reward = { kind = 'expression', log_reward = '0.9 * x0 - 0.2 * x0 * x1 + 0.3 * x1' }\n[training]\nsteps = 1\n\
    batch = 4\n[evaluation]\npaths = 10\nsamples = 10\n";

/// The shares of all objects of the grid, from those that were drawn.
fn shares(rows: &[f32]) -> HashMap<(i32, i32), f64> {
    let mut shares = HashMap::new();
    let n = (rows.len() / 2) as f64;
    rows.chunks_exact(2).for_each(|x| *shares.entry((x[0] as i32, x[1] as i32)).or_insert(0.0) += 1.0 / n);
    shares
}

/// A flow network that nobody trained has, refined, the enumerated law of the grid.
#[test]
fn law_4_refined_walks_have_the_enumerated_law() {
    let plan = read("grid.toml", GRID, &[]).and_then(Plan::new).expect("a recipe");
    let trained = Trained::of(plan.start().expect("a start").as_ref());
    let log_reward = |x: i32, y: i32| 0.9 * f64::from(x) - 0.2 * f64::from(x * y) + 0.3 * f64::from(y);
    let sum: f64 = (0..16).map(|i| log_reward(i / 4, i % 4).exp()).sum();
    // Resampled from ten times as many paths: the variance of a share is that of both steps.
    for (refine, count, spread) in [(Refine::BackAndForth(40), 6000, 1.0), (Refine::Importance, 6000, 1.6)] {
        let refined = plan.refined(&trained, refine, count, 5, &Silent).expect("refined");
        let found = shares(&refined.rows);
        for i in 0..16 {
            let p = log_reward(i / 4, i % 4).exp() / sum;
            let share = found.get(&(i / 4, i % 4)).copied().unwrap_or(0.0);
            let error = spread * (p * (1.0 - p) / count as f64).sqrt();
            assert!(
                (share - p).abs() < 4.5 * error + 1e-3,
                "{refine:?}, {i}: {share} and {p}; {}",
                refined.note
            );
        }
    }
    let plain = plan.refined(&trained, Refine::BackAndForth(1), 6000, 5, &Silent).expect("refined");
    assert!((shares(&plain.rows).values().sum::<f64>() - 1.0).abs() < 1e-9);
}

/// A posterior of walks: both ways of refining come to the same law, which is not the model's.
#[test]
fn refined_posteriors_of_walks_agree() {
    let directory = std::env::temp_dir().join(format!("anabranch-refined-{}", std::process::id()));
    let mut run = Run::create(&directory, read("grid.toml", GRID, &[]).expect("a recipe")).expect("a run");
    run.train(&mut Silent).expect("trained");
    let prior =
        format!("[policy]\nprior = '{}'\n[objective]\nkind = 'relative-log-variance'\n", directory.display());
    run.plan = read("after.toml", &format!("{GRID}{prior}"), &[]).and_then(Plan::new).expect("a posterior");
    let trained = Trained::of(run.plan.start().expect("a start").as_ref());
    let refined = |refine| {
        let refined = run.plan.refined(&trained, refine, 6000, 5, &Silent).expect("refined");
        shares(&refined.rows)
    };
    let (moved, weighed) = (refined(Refine::BackAndForth(40)), refined(Refine::Importance));
    let plain = shares(&match &run.plan {
        Plan::GFlowNet(plan) => plan.sample(&trained, 6000, NOTHING, &noise(5), &|_| true).expect("samples"),
        Plan::Chain(_) => panic!("a flow network"),
    });
    std::fs::remove_dir_all(&directory).expect("removed");
    let mut apart = 0.0;
    for i in 0..16 {
        let of = |shares: &HashMap<(i32, i32), f64>| shares.get(&(i / 4, i % 4)).copied().unwrap_or(0.0);
        let p = of(&weighed);
        let error = (p * (1.0 - p) / 6000.0).sqrt().max(1e-3) * 2.0;
        assert!((of(&moved) - p).abs() < 4.5 * error, "{i}: {} and {p}", of(&moved));
        apart += (of(&plain) - p).abs();
    }
    assert!(apart > 0.2, "the prior is its own posterior: {apart}");
}

/// What has no path weights, or one Z for each condition, is refused with the reason.
#[test]
fn refining_is_refused_with_the_reason() {
    let toy = "name = 't'\n[target]\nkind = 'toy'\nname = 'moons'\nrows = 30\n[[model]]\nkind = 'flow'\nlayers = 1\n";
    let plan = read("t.toml", toy, &[]).and_then(Plan::new).expect("a recipe");
    let message = plan.check_refine().expect_err("data").to_string();
    assert!(
        message.starts_with("--refine: found a chain that was trained on data, which have no R"),
        "{message}"
    );
    for wrong in ["", "import", "back-and-forth", "back-and-forth=", "back-and-forth=0", "back-and-forth=-1"]
    {
        let message = wrong.parse::<Refine>().expect_err(wrong).to_string();
        assert!(message.contains("allowed: importance, or back-and-forth=K"), "{message}");
    }
}
