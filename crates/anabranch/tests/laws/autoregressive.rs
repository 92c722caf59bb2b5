//! Autoregressive models and chains that take masks away, on spaces that are small enough to be listed.

use std::ops::Range;
use std::sync::Arc;

use anabranch::estimate::likelihood::{Bound, row_nlls};
use anabranch::kernel::categorical::{categories, drawn, numbers, softmax};
use anabranch::sampler::smc::Smc;
use anabranch::target::{Ising, OfCells};

use super::instances::*;
use super::jumps::{digits, ends};

fn model(segment: impl Segment + 'static) -> Model {
    Model::new(vec![Box::new(segment)])
}

/// All rows of some categories, the first coordinate slowest.
fn all(values: usize, dimension: usize) -> Vec<f32> {
    let count = values.pow(dimension as u32);
    (0..count).flat_map(|index| digits(index, values, dimension)).map(|x| x as f32).collect()
}

/// The place of a row among all.
fn place(row: &[u16], values: usize) -> usize {
    row.iter().fold(0, |place, x| place * values + usize::from(*x))
}

/// Holds shares of samples against a law.
fn assert_law(name: &str, samples: &[u16], dimension: usize, law: &[f64], values: usize) {
    let count = (samples.len() / dimension) as f64;
    let mut found = vec![0.0; law.len()];
    samples.chunks(dimension).for_each(|row| found[place(row, values)] += 1.0 / count);
    for (index, (found, p)) in found.iter().zip(law).enumerate() {
        let error = (p * (1.0 - p) / count).sqrt().max(1.0 / count);
        assert!((found - p).abs() < 4.5 * error, "{name}, {index}: {found} and {p}");
    }
}

/// The likelihood of all rows sums to 1, is that of the one path there is, whatever steps it has, and is the law of samples.
#[test]
fn likelihoods_are_the_law_of_samples() {
    let (dimension, values) = (3, 3);
    let mut models: Vec<(&str, Model)> = Vec::new();
    models.extend(in_order(dimension, values).into_iter().map(|(name, made)| (name, model(made))));
    let known = unmasked(dimension, values).into_iter().filter(|(_, made)| made.next != Next::Any);
    models.extend(known.map(|(name, made)| (name, model(made))));
    for (name, model) in models {
        let rows = all(values, dimension);
        let nlls = |bound| row_nlls(&model, &rows, NOTHING, bound, &noise(600)).unwrap();
        let exact = nlls(Bound::Path);
        let law: Vec<f64> = exact.iter().map(|nll| (-nll).exp()).collect();
        let total: f64 = law.iter().sum();
        assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
        assert!(law.iter().any(|p| (p * law.len() as f64 - 1.0).abs() > 0.3), "{name} has learned nothing");
        if model.segments()[0].is_local() {
            assert!(largest_difference(&nlls(Bound::Lower(1)), &exact) < 1e-5, "{name}");
        }
        assert!(largest_difference(&nlls(Bound::Importance(2)), &exact) < 1e-4, "{name}");
        let found = model.chain().generate(20_000, NOTHING, &noise(601)).unwrap();
        let drawn = categories(&found.end);
        assert_law(name, &drawn, dimension, &law, values);
        for (row, weight) in drawn.chunks(dimension).zip(to_vec_f64(found.log_weight)) {
            assert!((weight - exact[place(row, values)]).abs() < 1e-4, "{name}: {weight}");
        }
        // The same draws without weights.
        let alone = model.chain().sample(20_000, NOTHING, &noise(601)).unwrap();
        assert_eq!(categories(&alone), drawn, "{name}");
    }
}

/// In any order the law is a mean over orders: bounds lie below its logarithm, and tend to it with the number of paths.
#[test]
fn any_order_is_bounded_by_its_law() {
    let (dimension, values) = (2, 3);
    for (name, made) in unmasked(dimension, values).into_iter().filter(|(_, made)| made.next == Next::Any) {
        let steps = made.steps;
        let model = model(made);
        let found = ends(&model.chain(), values + 1);
        let whole = |index: usize| digits(index, values + 1, dimension).iter().all(|x| *x < values);
        let law: Vec<f64> = (0..found.len()).filter(|i| whole(*i)).map(|i| found[i]).collect();
        assert!((law.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{name}: {law:?}");
        let samples = model.chain().sample(20_000, NOTHING, &noise(610)).unwrap();
        assert_law(name, &categories(&samples), dimension, &law, values);
        for (row, p) in all(values, dimension).chunks(dimension).zip(&law) {
            let rows = row.repeat(3000);
            let mean = |bound| Estimate::mean(&row_nlls(&model, &rows, NOTHING, bound, &noise(611)).unwrap());
            let (single, whole, many) =
                (mean(Bound::Lower(2)), mean(Bound::Path), mean(Bound::Importance(40)));
            let error = single.error.hypot(whole.error);
            assert!((single.value - whole.value).abs() < 4.0 * error + 1e-5, "{name}: {single:?}, {whole:?}");
            assert!(whole.value > -p.ln() - 3.0 * whole.error - 1e-5, "{name}: {whole:?} and {}", -p.ln());
            assert!(
                (many.value + p.ln()).abs() < 0.01 + 4.0 * many.error,
                "{name}: {many:?} and {}",
                -p.ln()
            );
            let below = many.value < whole.value + 3.0 * whole.error + 1e-5;
            assert!(below, "{name}, {steps} steps: {many:?} and {whole:?}");
        }
    }
}

/// Drawing with what is kept of earlier coordinates is drawing by a whole evaluation for each, in every chunk of rows, under conditions.
#[test]
fn cached_draws_are_those_of_whole_passes() {
    let (dimension, values, rows) = (5, 4, 70);
    for (name, network) in sequences(dimension, values, 2) {
        let given = Given::rows(2, noise(620).normal(rows, 2));
        let uniform = noise(621).uniform(rows, dimension);
        let pick = |row: usize, at: usize, logits: &[f32]| {
            let mut masses = vec![0.0; values];
            softmax(logits, &mut masses);
            drawn(&masses, uniform[row * dimension + at])
        };
        let like = Tensor::zeros([1, 1], &Device::flex());
        let parts: [Range<usize>; 2] = [0..2, 2..dimension];
        let mut cached = vec![values as u16; rows * dimension];
        parts.into_iter().for_each(|part| network.draw(&mut cached, part, &given, &pick));
        let mut whole = vec![values as u16; rows * dimension];
        for at in 0..dimension {
            let logits = to_vec(network.logits(&whole, &given, &like));
            for row in 0..rows {
                let own = &logits[(row * dimension + at) * values..][..values];
                whole[row * dimension + at] = pick(row, at, own);
            }
        }
        assert_eq!(cached, whole, "{name}");
        // What stands at a coordinate and behind it changes no answer for it.
        let answers = to_vec(network.logits(&whole, &given, &like));
        for moved in 0..dimension {
            let mut other = whole.clone();
            other.chunks_mut(dimension).for_each(|row| row[moved] = (row[moved] + 1) % values as u16);
            let others = to_vec(network.logits(&other, &given, &like));
            for at in 0..dimension {
                let far = (0..rows).any(|row| {
                    let range = (row * dimension + at) * values..(row * dimension + at + 1) * values;
                    answers[range.clone()].iter().zip(&others[range]).any(|(a, b)| (a - b).abs() > 1e-5)
                });
                assert_eq!(far, at > moved, "{name}: {at} as {moved} is moved");
            }
        }
    }
}

/// The gradient of the likelihood by the weights is that of differences.
#[test]
fn likelihoods_have_their_gradients() {
    for (name, made) in in_order(3, 3) {
        let x = matrix(all(3, 3), 3, &Device::flex());
        let value = |made: &Sequence| -> f64 {
            doubles(made.local(&x, NOTHING, &noise(0), Goal::Loss).expect("exact")).iter().sum()
        };
        let mut tracked = made.clone();
        tracked.weights_mut()[0].track();
        let on = x.clone().to_device(&Device::flex().autodiff());
        let mut gradients =
            tracked.local(&on, NOTHING, &noise(0), Goal::Loss).expect("exact").sum().backward();
        let gradient = tracked.weights()[0].gradient(&mut gradients).expect("weights learn");
        let along: Vec<f32> = noise(630).normal(1, gradient.len());
        let moved = |by: f32| {
            let mut moved = made.clone();
            let values = made.weights()[0].values();
            moved.weights_mut()[0].set(values.iter().zip(&along).map(|(w, a)| w + by * a).collect());
            value(&moved)
        };
        let difference = (moved(1e-3) - moved(-1e-3)) / 2e-3;
        let exact: f64 = gradient.iter().zip(&along).map(|(g, a)| f64::from(g * a)).sum();
        assert!(
            (exact - difference).abs() < 2e-2 * (1.0 + difference.abs()),
            "{name}: {exact}, {difference}"
        );
    }
}

/// A sampler of categories is a chain with log-probabilities: weights have the mean Z on a table, whatever steps, order, temperature and
/// corrector it has.
#[test]
fn weights_of_samplers_have_the_mean_z() {
    let log_rewards: Vec<f64> = (0..9).map(|index| ((index * 5 + 2) % 7) as f64 / 3.0).collect();
    let z: f64 = log_rewards.iter().map(|log| log.exp()).sum();
    let sampling = |steps, order, temperature, corrector| {
        Sampler::Discrete(Sampling { steps: Some(steps), order, temperature, corrector, eta: None })
    };
    let mut trials = Vec::new();
    for (name, model) in jumps(2, 3) {
        // Euler's few long steps are cut, and ratios that are no conditionals have no corrector.
        let ways = match name {
            "jump-ratios-euler" => [sampling(8, None, 1.0, 0), sampling(12, None, 1.0, 0)],
            _ => [sampling(3, None, 1.0, 0), sampling(4, None, 0.8, 2)],
        };
        trials.extend(ways.into_iter().map(|way| (name, model.clone(), way)));
        let orders = [SamplingOrder::Any, SamplingOrder::LeftToRight, SamplingOrder::Confidence];
        for order in orders.into_iter().filter(|_| name == "jump-masked") {
            trials.extend([1, 2].map(|steps| (name, model.clone(), sampling(steps, Some(order), 1.3, 0))));
        }
        if ["jump-uniform", "jump-masked"].contains(&name) {
            let rates =
                |eta| Sampling { steps: Some(5), temperature: 1.2, eta: Some(eta), ..Sampling::default() };
            trials.extend([0.0, 2.0].map(|eta| (name, model.clone(), Sampler::Discrete(rates(eta)))));
        }
    }
    for (name, made) in unmasked(2, 3) {
        trials.push((name, model(made), sampling(2, Some(SamplingOrder::Any), 0.9, 0)));
    }
    for (name, trained, sampler) in trials {
        let model = sampler.model(&trained);
        let found = model.chain().generate(20_000, NOTHING, &noise(640)).unwrap();
        let reward = |x: &[u16]| log_rewards[place(x, 3)];
        let rows = categories(&found.end);
        let logs = to_vec_f64(found.log_weight);
        let logs: Vec<f64> = logs.iter().zip(rows.chunks(2)).map(|(log, x)| log + reward(x)).collect();
        let weights = Estimate::mean(&logs.iter().map(|log| log.exp()).collect::<Vec<_>>());
        assert!((weights.value - z).abs() < 4.0 * weights.error, "{name}, {sampler:?}: {weights:?} and {z}");
        assert!(Estimate::mean(&logs).value < z.ln(), "{name}, {sampler:?}");
        // What is reported of a datum is a bound of this chain, too.
        let rows: Vec<f32> = [2.0, 1.0].repeat(500);
        let nlls = row_nlls(&model, &rows, NOTHING, Bound::Path, &noise(641)).unwrap();
        assert!(nlls.iter().all(|nll| nll.is_finite()), "{name}, {sampler:?}");
    }
}

/// Law 2 of particles over rows that are masked in part: however few they are, `E[Z^] = Z`, in a fixed order and in any, resampled by what
/// the energy knows of the coordinates that are there.
#[test]
fn law_2_particles_in_turn() {
    let energy = OfCells::new(Arc::new(Ising::ring(0.5, 0.8, &[0.4, -0.7, 0.1, 0.3]).unwrap()), 4, 2, 1);
    let exact = energy.log_z(&[]).expect("a ring");
    let known = |_: usize, x: &State, _: &Given| {
        let rows = to_vec(x.clone());
        let mut out = vec![0.0; rows.len() / 4];
        let known = energy.partial(&rows, &[], &mut out)?;
        Ok(known.then(|| numbers(out, &x.device())))
    };
    let log_reward = |x: &State, given: &Given| log_density(&energy, x, given);
    let mut trials: Vec<(&str, Box<dyn Segment>)> = Vec::new();
    trials.extend(in_order(4, 2).into_iter().map(|(name, made)| (name, made.one_by_one().unwrap())));
    trials.extend(unmasked(4, 2).into_iter().map(|(name, made)| (name, made.one_by_one().unwrap())));
    for (name, segment) in trials {
        let model = Model::new(vec![segment]);
        let chain = model.chain();
        assert_eq!(chain.transitions.len(), 4, "{name}");
        for threshold in [0.0, 1.0] {
            let smc = Smc { particles: 6, repeats: 1, threshold, ..Smc::default() };
            let run = |seed| {
                let noise = Noise::new(seed, Purpose::Source);
                smc.run(&chain, &log_reward, &known, 6, NOTHING, &noise).expect("a density")
            };
            let runs: Vec<_> = (0..500).map(run).collect();
            let resampled = runs.iter().any(|run| run.stages.iter().any(|stage| stage.resampled));
            assert_eq!(resampled, threshold > 0.0, "{name}");
            let log_z: Vec<f64> = runs.iter().map(|run| run.log_z).collect();
            let found = evidence(&log_z);
            let near = (found.log_z.value - exact).abs() < 4.5 * found.log_z.error;
            assert!(found.ess > 0.1 && near, "{name}, {threshold}: {found:?} and {exact}");
            assert!(found.elbo.value < exact, "{name}, {threshold}: {found:?}");
        }
    }
}

/// What comes after a prefix has the law that the whole has, given its first coordinates, whatever the steps and the samples' number: the
/// prefix is read and stays.
#[test]
fn prefixes_condition_what_comes_after_them() {
    let (values, lengths) = (3, [1, 2]);
    let columns = (lengths[0] + lengths[1]) * (values + 1);
    let mut made = network(columns, 0, columns, false);
    stir([made.weights_mut()], 0.1);
    let whole = CategoryNetwork { network: Classifier::Open(made), states: values + 1, embedding: 0 };
    let chain = |denoiser: Box<dyn CategoricalDenoiser>| {
        let steps = denoiser.dimension();
        model(Unmasking { denoiser, values, next: Next::First, steps, clock: Clock::Linear })
    };
    let nlls = |model: &Model, rows: &[f32], given: &Given| {
        row_nlls(model, rows, given, Bound::Path, &noise(640)).unwrap()
    };
    let joint = chain(Box::new(whole.clone()));
    let joint = nlls(&joint, &all(values, 3), NOTHING);
    let behind = chain(whole.behind(lengths[0]));
    let rows = all(values, lengths[1]);
    for (prefix, joint) in joint.chunks(rows.len() / lengths[1]).enumerate() {
        let given = Given::rows(1, vec![prefix as f32]);
        let found = nlls(&behind, &rows, &given);
        let total: f64 = joint.iter().map(|nll| (-nll).exp()).sum();
        let conditional: Vec<f64> = joint.iter().map(|nll| nll + total.ln()).collect();
        assert!(largest_difference(&found, &conditional) < 1e-5, "{prefix}: {found:?}, {conditional:?}");
        let law: Vec<f64> = conditional.iter().map(|nll| (-nll).exp()).collect();
        let drawn = behind.chain().sample(20_000, &given, &noise(641)).unwrap();
        assert_law("behind a prefix", &categories(&drawn), lengths[1], &law, values);
    }
    // Each row has a prefix of its own.
    let mixed = Given::rows(1, vec![2.0, 0.0]);
    let found = nlls(&behind, &[1.0, 2.0, 1.0, 2.0], &mixed);
    let alone = [2.0, 0.0].map(|prefix| nlls(&behind, &[1.0, 2.0], &Given::rows(1, vec![prefix]))[0]);
    assert!(largest_difference(&found, &alone) < 1e-6, "{found:?}, {alone:?}");
}
