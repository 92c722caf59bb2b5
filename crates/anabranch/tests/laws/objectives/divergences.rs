//! Divergences between the two chains: slopes, and values by hand.

use std::sync::Arc;

use super::*;

/// Every divergence, at several hyper-parameters.
pub fn divergences() -> Vec<ObjectiveRecipe> {
    let forward =
        |kl_weight, free_nats| ObjectiveRecipe::ForwardKl(ForwardKl { kl_weight, kl_warm_up: 0, free_nats });
    let gradient = Gradient::Total;
    let weighted = |samples| ObjectiveRecipe::ImportanceWeighted(ImportanceWeighted { samples });
    vec![
        forward(1.0, 0.0),
        forward(0.3, 0.0),
        forward(1.5, 0.4),
        forward(0.0, 0.0),
        weighted(1),
        weighted(3),
        ObjectiveRecipe::ReverseKl(ReverseKl::default()),
        ObjectiveRecipe::ImportanceWeightedElbo(ImportanceWeightedElbo { samples: 3, gradient }),
        // The last bound has fewer paths.
        ObjectiveRecipe::Renyi(Renyi { alpha: 0.4, samples: 4, gradient }),
        ObjectiveRecipe::Renyi(Renyi { alpha: 1.0, samples: 4, gradient }),
        ObjectiveRecipe::ChiSquare(ChiSquare { samples: 6, gradient }),
    ]
}

fn made(recipe: &ObjectiveRecipe) -> Arc<dyn PathObjective> {
    objective(recipe, BackwardObjective::Joint)
}

/// Paths of a chain: all of them have the same rows, of which the last is the stop.
fn chain_paths(seed: u64) -> Paths {
    let mut paths = random_paths(seed, &[(4, true); 6]);
    for b in 0..6 {
        paths.forward[4 * b + 3] = 0.0;
        paths.backward[4 * b + 3] = 0.0;
        paths.backward[4 * b] = 0.0;
        // One divergence below 0, one above the free nats.
        paths.backward[4 * b + 1] -= 1.0;
        paths.backward[4 * b + 2] += 1.0;
    }
    paths
}

#[test]
fn slopes_of_divergences_agree_with_differences() {
    for recipe in divergences() {
        let objective = made(&recipe);
        let mut paths = chain_paths(3);
        let slopes = evaluate(objective.as_ref(), &paths).1;
        type Array = (fn(&mut Paths) -> &mut Vec<f64>, fn(&Slopes) -> &Vec<f64>);
        let arrays: [Array; 3] = [
            (|paths| &mut paths.forward, |slopes| &slopes.forward),
            (|paths| &mut paths.backward, |slopes| &slopes.backward),
            (|paths| &mut paths.log_reward, |slopes| &slopes.log_reward),
        ];
        for (array, of) in arrays {
            for at in 0..of(&slopes).len() {
                // Numbers that are 0 for every chain carry no gradient.
                if array(&mut paths)[at] == 0.0 {
                    continue;
                }
                let mut loss_at = |shift: f64| {
                    array(&mut paths)[at] += shift;
                    let loss = evaluate(objective.as_ref(), &paths).0;
                    array(&mut paths)[at] -= shift;
                    loss
                };
                let numeric = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
                let found = of(&slopes)[at];
                assert!((numeric - found).abs() < 1e-8, "{recipe:?}, {at}: {found}, {numeric}");
            }
        }
    }
}

#[test]
fn divergences_have_the_values_of_their_formulas() {
    let paths = chain_paths(4);
    let l =
        |b: usize| -> f64 { (4 * b..4 * b + 4).map(|row| paths.forward[row] - paths.backward[row]).sum() };
    let value = |recipe: ObjectiveRecipe| evaluate(made(&recipe).as_ref(), &paths).0;
    let values: Vec<f64> = divergences().into_iter().map(value).collect();
    let [bound, weighted, free, nothing, one, three, reverse, several, renyi, first, square] = values[..]
    else {
        panic!("eleven: {values:?}")
    };
    let mean = |f: &dyn Fn(usize) -> f64| (0..6).map(f).sum::<f64>() / 6.0;
    // The weights are f32.
    let near = |found: f64, exact: f64| assert!((found - exact).abs() < 1e-7, "{found}, {exact}");
    near(bound, -mean(&l));
    near(one, bound);
    near(reverse, -mean(&|b| paths.log_reward[b] - l(b)));
    let log_mean = |datum: usize| ((0..3).map(|k| l(3 * datum + k).exp()).sum::<f64>() / 3.0).ln();
    near(three, -(log_mean(0) + log_mean(1)) / 2.0);
    let w = |b: usize| paths.log_reward[b] - l(b);
    let mean_power = |rows: std::ops::Range<usize>, power: f64| {
        let count = rows.len() as f64;
        (rows.map(|b| (power * w(b)).exp()).sum::<f64>() / count).ln() / power
    };
    near(several, -(mean_power(0..3, 1.0) + mean_power(3..6, 1.0)) / 2.0);
    near(renyi, -(4.0 * mean_power(0..4, 0.6) + 2.0 * mean_power(4..6, 0.6)) / 6.0);
    near(first, reverse);
    near(square, mean_power(0..6, 2.0));
    // States s_0 and s_1; the kernel behind s_1 reconstructs.
    let kl = |r: usize| mean(&|b| paths.backward[4 * b + r] - paths.forward[4 * b + r - 1]);
    let reconstruction = mean(&|b| paths.forward[4 * b + 2]);
    near(bound, kl(1) + kl(2) - reconstruction);
    near(weighted, 0.3 * (kl(1) + kl(2)) - reconstruction);
    near(free, 1.5 * (kl(1).max(0.4) + kl(2).max(0.4)) - reconstruction);
    near(nothing, -reconstruction);
    // No free nats, no clamp: a divergence below 0 counts as what it is.
    assert!(kl(1) < 0.0 || kl(2) < 0.0, "{} {}", kl(1), kl(2));
}

/// The weight rises from 1 / steps to its final value.
#[test]
fn divergences_warm_up() {
    let objective = ForwardKl { kl_weight: 0.8, kl_warm_up: 4, free_nats: 0.0 };
    let paths = chain_paths(5);
    let now = |step: u64| {
        let now = objective.at_step(step);
        evaluate(now.as_deref().unwrap_or(&objective), &paths).0
    };
    let at = |kl_weight: f32| evaluate(&ForwardKl { kl_weight, kl_warm_up: 0, free_nats: 0.0 }, &paths).0;
    for (step, weight) in [(0, 0.2), (1, 0.4), (3, 0.8), (4, 0.8), (100, 0.8)] {
        assert!((now(step) - at(weight)).abs() < 1e-6, "{step}");
    }
}
