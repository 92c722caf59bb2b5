//! Measuring flows conditional on a state: what lies ahead of some roots, by walks, by the learned flow and exactly.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::data::atomic::atomic_write;
use crate::environment::{Cell, Environment, States};
use crate::error::{Failure, Problem, Result, quoted};
use crate::estimate::exact::{entropies, free_energies};
use crate::estimate::rooted::{FromRoot, learned_log_flow, superset};
use crate::policy::Actions;
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::{FlowTask, Task};
use crate::rng::Purpose;
use crate::run::{Observer, insert, insert_weights, watched};
use crate::target::{Expression, checked};
use crate::train::Trained;

/// Roots that are measured each for itself, and walks from each.
const ROOTS: usize = 32;
const WALKS: usize = 2000;

/// Adds what lies ahead of some roots, and writes `roots.csv`, a row for each.
pub(super) fn evaluate(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    directory: &Path,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let Some((environment, reward)) = &task.inner else { return Ok(()) };
    let environment = environment.as_ref();
    let cells = environment.cells();
    let limit = plan.recipe.evaluation.exact_states;
    let small = limit > 0 && environment.objects().is_none_or(|objects| objects <= limit as f64);
    let states = small.then(|| States::of(environment, limit).ok()).flatten();
    let exact = match &states {
        None => None,
        Some(states) => {
            let objects: Vec<Cell> =
                states.objects().iter().flat_map(|i| states.state(*i as usize).iter().copied()).collect();
            let mut log_rewards = vec![0.0; states.objects().len()];
            let describe = |object: &[Cell]| environment.describe(object);
            checked(reward.as_ref(), &objects, &[], &describe, &mut log_rewards)
                .map_err(Failure::into_error)?;
            Some((free_energies(states, &log_rewards)?, entropies(states, &log_rewards)?))
        }
    };
    let noise = plan.evaluation_noise().purpose(Purpose::Source);
    // Of listed states every so many, the source first.
    let (roots, places): (Vec<Vec<Cell>>, Vec<Option<usize>>) = match &states {
        Some(states) => {
            let step = states.len().div_ceil(ROOTS);
            (0..states.len()).step_by(step).map(|i| (states.state(i).to_vec(), Some(i))).unzip()
        }
        None => {
            let mut starts = vec![0; ROOTS * 2 * cells];
            if let Some(sources) = &task.settings.sources {
                sources.draw(&noise, &mut starts);
            }
            environment.source(&mut starts[..cells]);
            starts.chunks_exact(2 * cells).map(|start| (start[..cells].to_vec(), None)).unzip()
        }
    };
    let evaluator = task.model.network.with(&trained.vectors[0]);
    let policy = &task.model.policy;
    let log_flow = |root: &[Cell]| {
        learned_log_flow(policy, evaluator.as_ref(), task.reward.as_ref(), root).map_err(Failure::into_error)
    };
    let seen = watched(observer, "walks from roots", roots.len());
    let mut rows = String::from(
        "root,free_energy,free_energy_se,free_energy_learned,free_energy_exact,entropy,entropy_se,entropy_exact,ess\n",
    );
    let (mut of_walks, mut of_entropy, mut compared) = (0.0, 0.0, 0usize);
    for (k, (root, place)) in roots.iter().zip(&places).enumerate() {
        let noise = noise.purpose(Purpose::Choice).from_row(k * WALKS);
        let walks = FromRoot::walk(policy, evaluator.as_ref(), task.reward.as_ref(), root, WALKS, &noise)
            .map_err(Failure::into_error)?;
        let (free_energy, entropy) = (walks.free_energy(), walks.entropy());
        let learned = log_flow(root)?.map(|log_flow| -log_flow);
        let known = exact.as_ref().zip(*place).map(|((free, entropies), i)| (free[i], entropies[i]));
        if let Some((free, exact_entropy)) = known {
            of_walks += (free_energy.value - free).powi(2);
            of_entropy += (entropy.value - exact_entropy).powi(2);
            compared += 1;
        }
        let or_none = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let _ = writeln!(
            rows,
            "\"{}\",{},{},{},{},{},{},{},{}",
            environment.describe(root).replace('"', "\"\""),
            free_energy.value,
            free_energy.error,
            or_none(learned),
            or_none(known.map(|known| known.0)),
            entropy.value,
            entropy.error,
            or_none(known.map(|known| known.1)),
            walks.evidence().ess,
        );
        if !seen(1) {
            return Err(crate::error::Error::Interrupted);
        }
    }
    atomic_write(&directory.join("roots.csv"), |out| out.write_all(rows.as_bytes()))?;
    if compared > 0 {
        let root_mean = |sum: f64| json!((sum / compared as f64).sqrt());
        metrics.insert("free_energy_rmse".to_owned(), root_mean(of_walks));
        metrics.insert("entropy_rmse".to_owned(), root_mean(of_entropy));
    }
    if let (Some(states), Some((free, _))) = (&states, &exact) {
        let mut learned = Vec::with_capacity(states.len());
        for i in 0..states.len() {
            learned.extend(log_flow(states.state(i))?.map(|log_flow| (log_flow + free[i]).powi(2)));
        }
        if !learned.is_empty() {
            let rmse = (learned.iter().sum::<f64>() / states.len() as f64).sqrt();
            metrics.insert("free_energy_learned_rmse".to_owned(), json!(rmse));
        }
    }
    let source = &roots[0];
    if let Some(log_flow) = log_flow(source)? {
        metrics.insert("log_z_learned".to_owned(), json!(log_flow));
    }
    Ok(())
}

/// What is asked about the objects ahead of a state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Questions<'a> {
    /// How likely they have this state on a way to them, written as the environment writes its states.
    pub to: Option<&'a str>,
    /// How likely this formula is not 0.
    pub that: Option<&'a str>,
    /// What the values of these two formulas say of each other.
    pub between: Option<[&'a str; 2]>,
}

impl GFlowNetPlan {
    /// What lies ahead of the state `from`, written as the environment writes its states: its free energy, the entropy of the
    /// objects, and what else is asked. Formulas are those of rewards ([`Expression`]).
    ///
    /// # Errors
    /// If the recipe has no roots, a text is no state or no formula, or `from` does not lead to `to`.
    pub fn ahead(
        &self,
        trained: &Trained,
        from: &str,
        questions: Questions<'_>,
    ) -> Result<Map<String, Value>> {
        let no_roots = || {
            Problem::new("--from", "a run whose walks start at the source alone")
                .allowed("a run of a recipe with `roots`")
        };
        let Task::Discrete(task) = &self.task else { return Err(no_roots().into()) };
        let Some((environment, _)) = &task.inner else { return Err(no_roots().into()) };
        let environment = environment.as_ref();
        let root = state(environment, "--from", from)?;
        let target = match questions.to {
            None => None,
            Some(to) => {
                let target = state(environment, "--to", to)?;
                let pair = format!("{} <= {}", environment.describe(&root), environment.describe(&target));
                let mut both = vec![0; 2 * environment.cells()];
                task.model.policy.environment().parse(&pair, &mut both).map_err(|_| {
                    Problem::new("--to", quoted(to))
                        .allowed(format!("a state that {} leads to", quoted(from)))
                })?;
                Some(target)
            }
        };
        let formula = |place, text| formula(place, text, environment.cells());
        let that = questions.that.map(|text| formula("--that", text)).transpose()?;
        let between = match questions.between {
            None => None,
            Some([a, b]) => Some([formula("--between", a)?, formula("--between", b)?]),
        };

        let (policy, evaluator) = (&task.model.policy, task.model.network.with(&trained.vectors[0]));
        let count = self.recipe.evaluation.paths;
        let noise = self.evaluation_noise();
        let walk = |root: &[Cell], purpose| {
            let noise = noise.purpose(purpose);
            FromRoot::walk(policy, evaluator.as_ref(), task.reward.as_ref(), root, count, &noise)
                .map_err(Failure::into_error)
        };
        let learned = |state: &[Cell]| {
            learned_log_flow(policy, evaluator.as_ref(), task.reward.as_ref(), state)
                .map_err(Failure::into_error)
        };
        let here = walk(&root, Purpose::Choice)?;
        let mut metrics = Map::new();
        insert(&mut metrics, "free_energy", here.free_energy());
        if let Some(log_flow) = learned(&root)? {
            metrics.insert("free_energy_learned".to_owned(), json!(-log_flow));
        }
        insert(&mut metrics, "entropy", here.entropy());
        insert_weights(&mut metrics, &here.evidence());
        if let Some(target) = target {
            let there = walk(&target, Purpose::Target)?;
            insert(&mut metrics, "probability", superset(&here, &there));
            if let Some((here, there)) = learned(&root)?.zip(learned(&target)?) {
                metrics.insert("probability_learned".to_owned(), json!((there - here).exp()));
            }
        }
        let numbers = |place: &str, formula: &dyn Fn(&[Cell]) -> f64| {
            let mut objects = here.objects.chunks_exact(environment.cells());
            objects.find(|object| formula(object).is_nan()).map_or(Ok(()), |object| {
                Err(Problem::new(place, format!("no number at {}", environment.describe(object)))
                    .allowed("a formula that is a number at every object"))
            })
        };
        if let Some(that) = that {
            numbers("--that", &that)?;
            insert(&mut metrics, "probability_that", here.probability(|object| that(object) != 0.0));
        }
        if let Some([a, b]) = between {
            numbers("--between", &a)?;
            numbers("--between", &b)?;
            // One zero.
            let found =
                here.between(|object| (a(object) + 0.0).to_bits(), |object| (b(object) + 0.0).to_bits());
            for (name, estimate) in [
                ("entropy_a", found.entropy_a),
                ("entropy_b", found.entropy_b),
                ("entropy_a_given_b", found.entropy_a_given_b),
                ("entropy_b_given_a", found.entropy_b_given_a),
                ("mutual_information", found.mutual_information),
            ] {
                insert(&mut metrics, name, estimate);
            }
        }
        Ok(metrics)
    }
}

/// A state as the environment writes it; `place` names it in errors.
fn state(environment: &dyn Environment, place: &str, text: &str) -> Result<Vec<Cell>> {
    let mut state = vec![0; environment.cells()];
    environment.parse(text.trim(), &mut state).map_err(|found| Problem::new(place, found))?;
    Ok(state)
}

/// A formula of an object's cells; `place` names it in errors.
fn formula(place: &str, text: &str, cells: usize) -> Result<impl Fn(&[Cell]) -> f64 + use<>> {
    let formula = Expression::log_reward(place, text, cells)?;
    if formula.conditions() > 0 {
        return Err(Problem::new(place, "a formula of a condition").allowed("a formula of cells").into());
    }
    Ok(move |object: &[Cell]| formula.value(object))
}
