//! Measuring a chain: likelihood of held-out data or bounds on log Z, and how far its samples are from the target.

mod conditional;
mod energy;
mod listed;
mod rows;

pub use rows::{Scored, Scores, write_scores};

use std::borrow::Cow;
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::kept::{Kept, Spent};
use super::measures::{PATHS, insert_bound, insert_classes, insert_evidence, insert_modes};
use super::{Observer, insert, insert_weights, observed, posterior, smc, watched};
use crate::chain::Given;
use crate::data::atomic::atomic_write;
use crate::data::{Dataset, Format, Layout, write_samples};
use crate::error::{Error, Failure, Result};
use crate::estimate::paths::{backward_weights, forward_weights};
use crate::estimate::{evidence, forward_ess, upper_bound};
use crate::math::Estimate;
use crate::metric::features::Features;
use crate::metric::histogram::{hellinger, outliers};
use crate::metric::mmd::{Kernel, KernelShape, mmd, mmd_root};
use crate::metric::pairs::{Discrepancy, Pairs};
use crate::metric::sinkhorn::sinkhorn;
use crate::metric::{MetricOptions, Points, sample_metrics_in};
use crate::model::Model;
use crate::recipe::saved::SCORES;
use crate::recipe::{ChainPlan, Condition, TargetData};
use crate::rng::{Address, Noise, Purpose};
use crate::sampler::Sampler;
use crate::target::Target;
use crate::train::Trained;
use conditional::{at_conditions, class_accuracy};
use rows::baselines;

/// Measures trained weights of a plan; writes `samples.npy`, of data `scores.csv`, and `given.npy` where samples have conditions.
pub(super) fn evaluate(
    plan: &ChainPlan,
    trained: &Trained,
    directory: &Path,
    kept: &Kept,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let (recipe, model) = (&plan.recipe, &plan.model.with_weights(&trained.vectors));
    let noise = plan.evaluation_noise();
    let mut metrics = Map::new();
    match &plan.data {
        TargetData::Rows(data) => {
            if data.test.is_empty() {
                observer.note("no test split: the training split is measured");
            }
            let test = if data.test.is_empty() { &data.train } else { &data.test };
            let given = plan.condition.of_test();
            let scores = rows::scored(plan, model, (test, given), observer, &mut metrics)?;
            write_scores(&directory.join(SCORES), &scores)?;
            baselines(plan, model, data, (test, given), &scores, observer, &mut metrics)?;
            if let Some(pair) = model.segments()[0].as_flow_network() {
                energy::couplings(plan, &pair.energy, &mut metrics);
            }
            class_accuracy(plan, model, test, observer, &mut metrics)?;
            if let Some(exact) =
                recipe.target.rows().and_then(|rows| rows.exact_nll(test, &plan.condition.in_units(given)))
            {
                insert(&mut metrics, "nll_exact", exact);
            }
            if let Some(simulated) = recipe.target.rows().and_then(|rows| rows.simulator())
                && simulated.posterior_draws > 0
            {
                observed::evaluate(plan, simulated, model, directory, observer, &mut metrics)?;
            }
        }
        TargetData::Energy(energy) if let Some(prior) = &plan.prior => {
            posterior::evaluate(plan, prior, model, energy.as_ref(), observer, &mut metrics)?;
            if let Some(log_z) = trained.get("log_z") {
                metrics.insert("log_z_learned".to_owned(), json!(log_z[0]));
            }
        }
        TargetData::Energy(energy) => {
            if let Condition::Law(law) = &plan.condition {
                let law = (energy.as_ref(), law);
                metrics = at_conditions(plan, (model, trained), law, directory, observer)?;
                return samples(plan, trained, directory, kept, observer, metrics);
            }
            // Weights are those of the chain that draws.
            let frozen = match recipe.sampler {
                sampler @ Sampler::Discrete(_) => sampler.model(model).frozen(),
                _ => model.frozen(),
            };
            let paths = recipe.evaluation.paths;
            let none = Given::nothing();
            let cost = Spent::since(energy.as_ref(), kept, "forward cost");
            let weights = paths_forward(&frozen, energy.as_ref(), paths, &noise, (kept, &cost), observer)?;
            let found = evidence(&weights);
            insert(&mut metrics, "elbo", found.elbo);
            insert(&mut metrics, "log_z", found.log_z);
            insert_weights(&mut metrics, &found);
            if let Some(cost) = cost.so_far() {
                metrics.insert("evaluations".to_owned(), json!(cost.values as f64 / paths as f64));
                metrics.insert("gradients".to_owned(), json!(cost.gradients as f64 / paths as f64));
            }
            if let Some(exact) = energy.log_z(&[]) {
                metrics.insert("log_z_exact".to_owned(), json!(exact));
            }
            if let Some(reference) = energy.reference_log_z() {
                insert(&mut metrics, "log_z_reference", reference);
            }
            let address = Noise::new(recipe.seed, Purpose::Target).at(Address::EXACT_PATHS);
            if let Some(rows) = energy.draw(paths, &address) {
                let seen = watched(observer, "backward paths", paths);
                let backward = backward_weights(&frozen, energy.as_ref(), &rows, &none, &noise, &seen);
                let backward = backward.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
                insert(&mut metrics, "eubo", upper_bound(&backward));
                metrics.insert("forward_ess".to_owned(), json!(forward_ess(&backward)));
            }
            if let Some(smc) = &recipe.smc {
                let guided = smc::Guided::new(plan, energy.as_ref(), trained);
                smc::evaluate(plan, smc, &guided, directory, kept, observer, &mut metrics)?;
            }
        }
    }
    samples(plan, trained, directory, kept, observer, metrics)
}

/// Forward paths between two states of what is kept, at least.
const BLOCK: usize = 4096;

/// `log w` of forward paths, block by block, from where they were left.
fn paths_forward(
    model: &Model,
    energy: &dyn Target,
    paths: usize,
    noise: &Noise,
    (kept, cost): (&Kept, &Spent<'_>),
    observer: &dyn Observer,
) -> Result<Vec<f64>> {
    let mut found = kept.numbers("forward log_w").unwrap_or_default();
    observer.begin("forward paths", found.len() as u64, paths as u64);
    let seen = |rows: usize| {
        observer.advance(rows as u64);
        !observer.stop()
    };
    let block = BLOCK.max(paths.div_ceil(16)).next_multiple_of(BLOCK);
    while found.len() < paths {
        let (first, none) = (found.len(), Given::nothing());
        let rows = block.min(paths - first);
        let weights = forward_weights(model, energy, rows, &none, &noise.from_row(first), &seen);
        found.extend(weights.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?);
        kept.put("forward log_w", &found);
        cost.put();
        kept.save()?;
    }
    Ok(found)
}

/// Draws samples, writes them and measures how far they are from the target.
fn samples(
    plan: &ChainPlan,
    trained: &Trained,
    directory: &Path,
    kept: &Kept,
    observer: &dyn Observer,
    mut metrics: Map<String, Value>,
) -> Result<Map<String, Value>> {
    let (recipe, dimension) = (&plan.recipe, plan.dimension());
    let address = plan.sampling_noise();
    let start = Instant::now();
    let seen = watched(observer, "samples", recipe.evaluation.samples);
    let given = plan.condition.of_samples(recipe.evaluation.samples, &address);
    let samples = match (&recipe.smc, &plan.data) {
        (Some(smc), TargetData::Energy(energy)) => {
            let guided = smc::Guided::new(plan, energy.as_ref(), trained);
            smc::samples(smc, &guided, recipe.evaluation.samples, &address, kept, &seen)?
        }
        _ => plan.draw(trained, recipe.sampler, recipe.evaluation.samples, &given, &address, &seen)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    metrics.insert("seconds_per_sample".to_owned(), json!(seconds / recipe.evaluation.samples as f64));
    if let (TargetData::Energy(energy), 0) = (&plan.data, plan.condition.width()) {
        insert_modes(&mut metrics, energy.as_ref(), &samples, dimension);
        insert_classes(&mut metrics, energy.as_ref(), &samples);
        metrics.extend(energy.figures().into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
    }
    let path = directory.join("samples.npy");
    write_samples(&path, Format::Npy, &samples, &Layout::of(dimension))?;
    if let Some(text) = recipe.target.rows().and_then(|rows| rows.text(&samples)) {
        atomic_write(&directory.join("samples.txt"), |out| out.write_all(text.as_bytes()))?;
    }
    if given.width() > 0 {
        let values = plan.condition.in_units(&given);
        write_samples(&directory.join("given.npy"), Format::Npy, &values, &Layout::of(given.width()))?;
    }
    if recipe.target.rows().is_some_and(|rows| rows.prefix() > 0) {
        continuations(plan, &samples, &mut metrics);
    }
    let model = plan.model.with_weights(&trained.vectors);
    listed::distances(plan, &model, &samples, observer, &mut metrics)?;
    if recipe.evaluation.sample_metrics {
        // Their length is not known beforehand.
        observer.begin("sample metrics", 0, 0);
        let found = sample_metrics(plan, trained, &samples, observer);
        match found {
            Ok(Some(found)) => metrics.extend(found),
            Ok(None) => {}
            Err(error) => observer.note(&format!("sample metrics left out: {error}")),
        }
    }
    Ok(metrics)
}

/// What was drawn after the prefixes of held-out rows, one after the other, beside what came after them.
fn continuations(plan: &ChainPlan, samples: &[f32], metrics: &mut Map<String, Value>) {
    let (TargetData::Rows(data), dimension) = (&plan.data, plan.dimension()) else { return };
    let held_out = if data.test.is_empty() { &data.train } else { &data.test };
    let pairs = || samples.chunks_exact(dimension).zip(held_out.chunks_exact(dimension).cycle());
    let distances: Vec<f64> = pairs().map(|(drawn, came)| hellinger(drawn, came)).collect();
    let shares: Vec<f64> = pairs().map(|(drawn, came)| outliers(drawn, came)).collect();
    insert(metrics, "hellinger", Estimate::mean(&distances));
    insert(metrics, "outliers", Estimate::mean(&shares));
}

/// What is measured while a chain trains, of weights that were scored with `score`.
pub(super) fn measures(plan: &ChainPlan, scored: &Trained, score: f64) -> Map<String, Value> {
    let mut found = Map::new();
    match &plan.data {
        TargetData::Rows(data) => {
            found.insert("nll".to_owned(), json!(score));
            if plan.recipe.target.levels() > 0 {
                let bits = score / (data.columns as f64 * std::f64::consts::LN_2);
                found.insert("bits_per_dim".to_owned(), json!(bits));
            }
        }
        TargetData::Energy(energy) => {
            let model = plan.model.with_weights(&scored.vectors[..plan.model.weights().len()]);
            if let Some(prior) = &plan.prior {
                return posterior::measures(plan, prior, &model, energy.as_ref());
            }
            let (noise, none) = (plan.validation_noise(), Given::nothing());
            if plan.condition.width() > 0 {
                // Each path's log Z is that of its own condition.
                let given = plan.condition.of_samples(PATHS, &noise);
                let weights = forward_weights(&model, energy.as_ref(), PATHS, &given, &noise, &|_| true);
                if let Ok(Some(weights)) = weights {
                    found.insert("elbo".to_owned(), json!(evidence(&weights).elbo.value));
                }
                return found;
            }
            // What the target does not answer now is no point of a curve; training meets what it will not answer at all.
            if let Ok(Some(weights)) =
                forward_weights(&model, energy.as_ref(), PATHS, &none, &noise, &|_| true)
            {
                insert_evidence(&mut found, evidence(&weights), energy.log_z(&[]));
            }
            let address = noise.purpose(Purpose::Target);
            if let Some(rows) = energy.draw(PATHS, &address)
                && let Ok(Some(weights)) =
                    backward_weights(&model, energy.as_ref(), &rows, &none, &noise, &|_| true)
            {
                insert_bound(&mut found, upper_bound(&weights));
            }
        }
    }
    found
}

impl ChainPlan {
    /// `count` samples of trained weights, each under its condition: by sequential Monte Carlo where the recipe has it, by the sampler
    /// elsewhere. `seen` is told how many are done, and answers whether to go on.
    ///
    /// # Errors
    /// If a kernel or the target fails, or `seen` asked to stop.
    pub fn draw(
        &self,
        trained: &Trained,
        sampler: Sampler,
        count: usize,
        given: &Given,
        noise: &Noise,
        seen: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Vec<f32>> {
        match (&self.recipe.smc, &self.data) {
            (Some(found), TargetData::Energy(energy)) => {
                let guided = smc::Guided::new(self, energy.as_ref(), trained);
                smc::samples(found, &guided, count, noise, &Kept::nothing(), seen)
            }
            _ => {
                let model = self.model.with_weights(&trained.vectors);
                let samples = sampler.sample_observed(&model, count, given, noise, seen);
                samples.map_err(Failure::into_error)?.ok_or(Error::Interrupted)
            }
        }
    }
}

/// Rows of bits, on either side, of the discrepancy by Hamming's distance.
const HAMMING: usize = 4096;

/// Rows of samples, and of exact ones, between which transport is found, and its regulariser.
const TRANSPORTED: usize = 500;
const EPSILON: f64 = 1e-3;

/// How far samples are from the test split (or, on an energy, from exact samples), in features fitted to the
/// training split (or to other exact samples); `None` on an energy without an exact sampler, and of a posterior. Where there is no test
/// split, one half of the training split stands for it, and the other for the features' rows.
fn sample_metrics(
    plan: &ChainPlan,
    trained: &Trained,
    samples: &[f32],
    observer: &dyn Observer,
) -> Result<Option<Map<String, Value>>> {
    let dimension = plan.dimension();
    let (fitted, reference) = match &plan.data {
        TargetData::Rows(data) if data.test.is_empty() => {
            let (fitted, reference) = data.train.split_at(data.train.len() / dimension / 2 * dimension);
            (Cow::from(fitted), Cow::from(reference))
        }
        TargetData::Rows(data) => (Cow::from(&data.train), Cow::from(&data.test)),
        // Exact samples of a likelihood are none of the posterior.
        TargetData::Energy(_) if plan.prior.is_some() => return Ok(None),
        TargetData::Energy(energy) => {
            let rows = samples.len() / dimension;
            let noise = Noise::new(plan.recipe.seed, Purpose::Target);
            let draw = |address| energy.draw(rows, &noise.at(address));
            let (Some(fitted), Some(reference)) = (draw(Address::FITTED), draw(Address::COMPARED)) else {
                return Ok(None);
            };
            (Cow::from(fitted), Cow::from(reference))
        }
    };
    let most = MetricOptions::default().most_rows * dimension;
    let features = Features::fit(Points::new(&fitted[..fitted.len().min(most)], dimension)?)?;
    let (samples, reference) = (Points::new(samples, dimension)?, Points::new(&reference, dimension)?);
    let found = sample_metrics_in(&features, samples, reference, &MetricOptions::default())?;
    let Value::Object(mut found) = serde_json::to_value(found).expect("plain numbers") else {
        unreachable!("a record of numbers");
    };
    if plan.recipe.target.levels() == 2 {
        let distance = hamming(samples.first(HAMMING), reference.first(HAMMING))?;
        let repeats = plan.recipe.evaluation.repeats;
        if let (TargetData::Rows(data), true) = (&plan.data, repeats > 1) {
            let first = std::iter::once(Ok(distance.unbiased));
            let others = (1..repeats).map(|k| hamming_again(plan, trained, data, k, observer));
            let all = first.chain(others).collect::<Result<Vec<f64>>>()?;
            insert(&mut found, "mmd_hamming", Estimate::mean(&all));
        } else {
            found.insert("mmd_hamming".to_owned(), json!(distance.unbiased));
            if let Some(error) = distance.standard_error {
                found.insert("mmd_hamming_se".to_owned(), json!(error));
            }
        }
    }
    if let TargetData::Energy(_) = &plan.data {
        let (samples, reference) = (samples.first(most / dimension), reference.first(most / dimension));
        found.insert("mmd_root".to_owned(), json!(mmd_root(&Pairs::new(samples, reference)?)?));
        let (samples, reference) = (samples.first(TRANSPORTED), reference.first(TRANSPORTED));
        found.insert("sinkhorn".to_owned(), json!(sinkhorn(samples, reference, EPSILON)?));
    }
    Ok(Some(found))
}

/// The discrepancy of rows of bits, by `exp(-(Hamming's distance) / 10)`.
fn hamming(samples: Points<'_>, reference: Points<'_>) -> Result<Discrepancy> {
    // The squared distance of bits is Hamming's.
    let kernel = Kernel::new(KernelShape::Gaussian, 5f64.sqrt())?;
    mmd(&Pairs::new(samples, reference)?, &kernel)
}

/// The same for the `k`-th time, from 1 on: of other samples, and of other rows of the data's law, or of the test split from another place on
/// where there are no others.
fn hamming_again(
    plan: &ChainPlan,
    trained: &Trained,
    data: &Dataset,
    k: usize,
    observer: &dyn Observer,
) -> Result<f64> {
    let (recipe, dimension) = (&plan.recipe, plan.dimension());
    let count = recipe.evaluation.samples.min(HAMMING);
    let address = plan.sampling_noise().from_row(k * recipe.evaluation.samples);
    let given = plan.condition.of_samples(count, &address);
    let seen = watched(observer, "samples again", count);
    let samples = plan.draw(trained, recipe.sampler, count, &given, &address, &seen)?;
    let rows = recipe.target.rows();
    let reference =
        rows.and_then(|rows| rows.fresh(count, recipe.seed ^ (k as u64) << 32)).unwrap_or_else(|| {
            let held_out = if data.test.is_empty() { &data.train } else { &data.test };
            let kept = held_out.len().min(HAMMING * dimension);
            held_out.iter().copied().cycle().skip(k * kept % held_out.len()).take(kept).collect()
        });
    Ok(hamming(Points::new(&samples, dimension)?, Points::new(&reference, dimension)?)?.unbiased)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::likelihood::{Bound, row_nlls};
    use crate::recipe::{Override, Plan, named, read};
    use crate::run::{Ending, Run, Silent};
    use crate::target::toy;

    /// A model of a toy density is scored beside the density itself, on the same rows.
    #[test]
    fn toy_runs_report_the_exact_likelihood() {
        let sets = ["target.rows=200", "training.steps=2", "evaluation.samples=10", "model.0.layers=1"];
        let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
        let directory = std::env::temp_dir().join(format!("anabranch-exact-{}", std::process::id()));
        let run = Run::create(&directory, named("moons-flow", &overrides).unwrap()).unwrap();
        assert_eq!(run.train(&mut Silent).unwrap(), Ending::Finished);
        let metrics = run.evaluate(&Silent).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        let Plan::Chain(plan) = &run.plan else { panic!("a flow is a chain") };
        let TargetData::Rows(data) = &plan.data else { panic!("moons are data") };
        let exact: Vec<f64> = toy::log_density("moons", &data.test).iter().map(|value| -value).collect();
        assert_eq!(metrics["nll_exact"], json!(Estimate::mean(&exact).value));
        assert_eq!(metrics["nll_exact_se"], json!(Estimate::mean(&exact).error));
        assert!(metrics["nll"].as_f64().unwrap() > metrics["nll_exact"].as_f64().unwrap() + 0.1);
    }

    /// A run of a recipe's text, trained; the directory is the caller's to remove.
    fn trained(name: &str, text: &str) -> Run {
        let directory = std::env::temp_dir().join(format!("anabranch-{name}-{}", std::process::id()));
        let run = Run::create(&directory, read(name, text, &[]).unwrap()).unwrap();
        assert_eq!(run.train(&mut Silent).unwrap(), Ending::Finished);
        run
    }

    fn plan_of(run: &Run) -> &ChainPlan {
        match &run.plan {
            Plan::Chain(plan) => plan,
            Plan::GFlowNet(_) => panic!("a chain"),
        }
    }

    /// Weights that the validation chose are better on what is reported, which it has not seen, than those at the end: of data
    /// where training overfits, of an energy where steps are too large to settle.
    #[test]
    fn chosen_weights_improve_the_bound_that_is_reported() {
        let overfits = "name = \"overfits\"\n[target]\nkind = \"toy\"\nname = \"moons\"\nrows = 60\n[[model]]\n\
            kind = \"flow\"\nlayers = 4\nhidden = [64]\n[optimizer]\nlearning_rate = 5e-3\n[training]\nsteps = 400\n\
            batch = 60\nema = 0.0\nevaluate_every = 10\n";
        let unsettled = "name = \"unsettled\"\n[target]\nkind = \"energy\"\nenergy = { kind = \"gmm9\" }\n[[model]]\n\
            kind = \"flow\"\nlayers = 2\nhidden = [16]\nbound = 8.0\n[objective]\nkind = \"reverse-kl\"\n[optimizer]\n\
            learning_rate = 0.1\nschedule = \"constant\"\n[training]\nsteps = 300\nbatch = 64\nema = 0.0\n\
            evaluate_every = 10\n";
        for (name, text) in [("overfits", overfits), ("unsettled", unsettled)] {
            let run = trained(name, text);
            let plan = plan_of(&run);
            let trainer = run.newest(&Silent).unwrap();
            let best = trainer.state().best.as_ref().expect("scores are finite");
            assert!(best.step < trainer.state().step, "{name}: the last weights are the best");
            let bounds = |weights: &[Vec<f32>]| -> Vec<f64> {
                let model = plan.model.with_weights(weights);
                match &plan.data {
                    TargetData::Rows(_) => {
                        // More rows of the same law than the few that there are to learn from.
                        let fresh = toy::sample("moons", 2000, 77);
                        let nlls = row_nlls(
                            &model,
                            &fresh,
                            &Given::nothing(),
                            plan.bound(&model, 2000),
                            &plan.evaluation_noise(),
                        );
                        let nlls = nlls.unwrap();
                        nlls.iter().map(|nll| -nll).collect()
                    }
                    TargetData::Energy(energy) => {
                        let noise = plan.evaluation_noise();
                        forward_weights(&model, energy.as_ref(), 4000, &Given::nothing(), &noise, &|_| true)
                            .unwrap()
                            .unwrap()
                    }
                }
            };
            let (chosen, last) = (bounds(&best.weights), bounds(&trainer.state().weights));
            let gains: Vec<f64> = chosen.iter().zip(&last).map(|(chosen, last)| chosen - last).collect();
            let gain = Estimate::mean(&gains);
            std::fs::remove_dir_all(&run.directory).unwrap();
            assert!(gain.value > 3.0 * gain.error, "{name}: {gain:?} at step {}", best.step);
        }
    }

    /// What chooses sees other paths than what is reported: the report is of paths that nothing was chosen by.
    #[test]
    fn weights_are_chosen_and_reported_on_different_paths() {
        let text = "name = \"paths\"\n[target]\nkind = \"energy\"\nenergy = { kind = \"gmm9\" }\n[[model]]\n\
            kind = \"flow\"\nlayers = 1\nhidden = [4]\n[objective]\nkind = \"reverse-kl\"\n[training]\nsteps = 2\n\
            evaluate_every = 2\n[evaluation]\npaths = 2000\nsamples = 10\nsample_metrics = false\n";
        let run = trained("paths", text);
        let score = run.newest(&Silent).unwrap().state().best.as_ref().expect("a score").score;
        let metrics = run.evaluate(&Silent).unwrap();
        std::fs::remove_dir_all(&run.directory).unwrap();
        let [elbo, error] = ["elbo", "elbo_se"].map(|name| metrics[name].as_f64().unwrap());
        assert!((elbo + score).abs() > 1e-3 * error, "the same 2000 paths: {elbo} and {score}");
        assert!((elbo + score).abs() < 6.0 * error, "two estimates of one bound: {elbo} and {score}");
    }

    /// Where some paths end without mass, as between the squares of the checkerboard, their share is part of the bound, and a best
    /// is found all the same.
    #[test]
    fn runs_with_paths_of_weight_zero_find_a_best() {
        let text = "name = \"board\"\n[target]\nkind = \"energy\"\nenergy = { kind = \"toy\", name = \"checkerboard\" }\n\
            [[model]]\nkind = \"flow\"\nlayers = 1\nhidden = [4]\n[training]\nsteps = 4\nevaluate_every = 2\n[evaluation]\n\
            paths = 500\nsamples = 10\nsample_metrics = false\n";
        let run = trained("board", text);
        let best = run.newest(&Silent).unwrap().state().best.clone();
        let metrics = run.evaluate(&Silent).unwrap();
        std::fs::remove_dir_all(&run.directory).unwrap();
        assert!(best.is_some_and(|best| best.score.is_finite()));
        let [elbo, error, log_z, ess] =
            ["elbo", "elbo_se", "log_z", "ess"].map(|name| metrics[name].as_f64().unwrap());
        assert!(ess < 0.9 && error > 0.0, "some paths weigh nothing: {metrics:?}");
        assert!(elbo < log_z && elbo < 4.0 * error, "{metrics:?}");
    }

    /// The chain's own bound and that of continuous time stand beside each other, each under its name.
    #[test]
    fn learned_schedules_report_both_bounds() {
        let text = "name = \"both\"\n[target]\nkind = \"toy\"\nname = \"moons\"\nrows = 5000\n[[model]]\n\
            kind = \"diffusion\"\nschedule = \"learned\"\nweighting = \"bound\"\nlevels = 5\nhidden = [16]\n[training]\n\
            steps = 50\n[evaluation]\nsamples = 10\nsample_metrics = false\n";
        let run = trained("both", text);
        let metrics = run.evaluate(&Silent).unwrap();
        let plan = plan_of(&run);
        let model = plan.model.with_weights(&run.trained(&Silent).unwrap().vectors);
        let TargetData::Rows(data) = &plan.data else { panic!("moons are data") };
        let path = row_nlls(&model, &data.test, &Given::nothing(), Bound::Path, &plan.validation_noise());
        let path = Estimate::mean(&path.unwrap());
        std::fs::remove_dir_all(&run.directory).unwrap();
        let number = |name: &str| metrics[name].as_f64().unwrap();
        let error = path.error.hypot(number("nll_se"));
        assert!(
            (number("nll") - path.value).abs() < 4.5 * error,
            "nll is the chain's: {path:?}, {metrics:?}"
        );
        // Five steps lose much of what continuous time keeps.
        let gap = number("nll") - number("nll_continuous");
        assert!(gap > 5.0 * error, "{metrics:?}");
    }
}
