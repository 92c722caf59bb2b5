//! Sequential Monte Carlo of a trained chain: log Z over independent runs, how a run went step by step, and samples.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::kept::{Kept, Spent};
use super::{Observer, insert};
use crate::array::weights::to_vec;
use crate::chain::{Batch, Chain, Given, LogWeight, Resampling, State};
use crate::data::atomic::atomic_write;
use crate::error::{Error, Failure, Result};
use crate::estimate::evidence;
use crate::kernel::categorical::numbers;
use crate::model::Model;
use crate::model::state_flow::StateFlow;
use crate::recipe::ChainPlan;
use crate::rng::{Address, Noise, Purpose};
use crate::sampler::smc::{Levels, Population, Reward, Smc, Stage};
use crate::target::{Target, log_density};
use crate::train::Trained;

/// A trained chain towards an energy, with what is known of the densities on the way.
pub(super) struct Guided<'a> {
    model: Model,
    energy: &'a dyn Target,
    /// Learned state flows, where there are such.
    flow: Option<StateFlow>,
    /// Whether coordinates are drawn in turn, and what the energy knows of those that are there is the density on the way.
    in_turn: bool,
}

impl<'a> Guided<'a> {
    /// The chain of a plan at trained weights.
    pub(super) fn new(plan: &ChainPlan, energy: &'a dyn Target, trained: &Trained) -> Self {
        let model = plan.model.with_weights(&trained.vectors);
        let learned = trained.vectors.get(model.weights().len());
        let flow = plan.flow.as_ref().zip(learned).map(|(flow, values)| flow.with_weights(values));
        let in_turn = flow.is_none() && plan.recipe.model.iter().any(|own| own.part().draws_in_turn());
        let model = if in_turn {
            let segments = model.segments().iter();
            Model::new(segments.map(|own| own.one_by_one().unwrap_or_else(|| own.boxed())).collect())
        } else {
            model
        };
        Self { model, energy, flow, in_turn }
    }

    /// What the energy, which has no conditions, knows of rows that are masked in part.
    fn known(&self, x: &State) -> Result<Option<LogWeight>, Failure> {
        let mut out = vec![0.0; x.rows()];
        let known = self.energy.partial(&to_vec(x.clone()), &[], &mut out)?;
        Ok(known.then(|| numbers(out, &x.device())))
    }

    /// One run of so many particles, from where it was left if `kept` knows of it, by `task`'s name.
    fn run(&self, smc: &Smc, particles: usize, noise: &Noise, task: &Task<'_>) -> Result<Population<State>> {
        let chain = self.model.chain();
        let log_reward = |x: &State, given: &Given| log_density(self.energy, x, given);
        if self.in_turn {
            let levels = |_: usize, x: &State, _: &Given| self.known(x);
            return task.walk(smc, &chain, &log_reward, &levels, particles, noise);
        }
        let Some(flow) = &self.flow else {
            let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
            return task.walk(smc, &chain, &log_reward, &levels, particles, noise);
        };
        // A flow is that of states before a kernel with densities.
        let kernels = kernels(&chain, noise).map_err(Failure::into_error)?;
        let count = kernels.iter().filter(|kernel| **kernel).count();
        let levels = |index: usize, x: &State, given: &Given| {
            let next = kernels.get(index + 1).copied().unwrap_or(false);
            let passed = kernels[..=index].iter().filter(|kernel| **kernel).count();
            Ok(next.then(|| flow.log_flow(x, passed, count, given)))
        };
        task.walk(smc, &chain, &log_reward, &levels, particles, noise)
    }
}

/// A run as one of several pieces of work that are kept when they are interrupted.
struct Task<'a> {
    kept: &'a Kept,
    /// What it is called there.
    name: &'a str,
    /// Puts what else is to be kept with the particles.
    beside: &'a dyn Fn(),
    /// Whether to go on.
    seen: &'a (dyn Fn(usize) -> bool + Sync),
}

impl Task<'_> {
    fn walk(
        &self,
        smc: &Smc,
        chain: &Chain<'_>,
        log_reward: &Reward<'_, State>,
        levels: &Levels<'_, State>,
        particles: usize,
        noise: &Noise,
    ) -> Result<Population<State>> {
        let none = Given::nothing();
        let fresh = || smc.begin(chain, particles, &none, noise).map_err(Failure::into_error);
        let mut walk = match self.kept.walk(self.name) {
            Some(walk) => walk,
            None => fresh()?,
        };
        while walk.steps() < chain.transitions.len() {
            smc.step(&mut walk, chain, levels, noise).map_err(Failure::into_error)?;
            let stopped = !(self.seen)(0);
            let due = smc.checkpoint_every > 0 && walk.steps().is_multiple_of(smc.checkpoint_every);
            if stopped || due {
                self.kept.put_walk(self.name, &walk);
                (self.beside)();
                self.kept.save()?;
            }
            if stopped {
                return Err(Error::Interrupted);
            }
        }
        self.kept.forget(self.name);
        smc.end(walk, log_reward).map_err(Failure::into_error)
    }
}

/// Which transitions have densities.
fn kernels(chain: &Chain<'_>, noise: &Noise) -> Result<Vec<bool>, Failure> {
    let none = Given::nothing();
    let mut state = chain.source.sample(1, &none, noise)?;
    let mut found = Vec::new();
    for transition in &chain.transitions {
        let step = transition.forward(state, &none, noise)?;
        found.push(step.densities.is_some());
        state = step.state;
    }
    Ok(found)
}

/// `log_z_smc` over the repeats with its error, `ess_smc`, what they cost; writes `smc.csv`, the steps of the first of them.
pub(super) fn evaluate(
    plan: &ChainPlan,
    smc: &Smc,
    guided: &Guided<'_>,
    directory: &Path,
    kept: &Kept,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let mut log_z = kept.numbers("smc log_z").unwrap_or_default();
    let mut ess = kept.numbers("smc ess").unwrap_or_default();
    observer.begin("particles", (smc.particles * log_z.len()) as u64, (smc.particles * smc.repeats) as u64);
    let seen = |rows: usize| {
        observer.advance(rows as u64);
        !observer.stop()
    };
    let cost = Spent::since(guided.energy, kept, "smc cost");
    while log_z.len() < smc.repeats {
        let repeat = log_z.len();
        let noise = plan.evaluation_noise().at(Address::of_draw(repeat, 0));
        let task = Task { kept, name: "smc particles", beside: &|| cost.put(), seen: &seen };
        let found = guided.run(smc, smc.particles, &noise, &task)?;
        if repeat == 0 {
            write(&directory.join("smc.csv"), &guided.model, &found.stages)?;
        }
        ess.push(evidence(&found.log_weights).ess);
        log_z.push(found.log_z);
        kept.put("smc log_z", &log_z);
        kept.put("smc ess", &ess);
        cost.put();
        kept.save()?;
        if !seen(smc.particles) {
            return Err(Error::Interrupted);
        }
    }
    insert(metrics, "log_z_smc", evidence(&log_z).log_z);
    metrics.insert("ess_smc".to_owned(), json!(ess.iter().sum::<f64>() / smc.repeats as f64));
    if let Some(cost) = cost.so_far() {
        let particles = (smc.repeats * smc.particles) as f64;
        metrics.insert("evaluations_smc".to_owned(), json!(cost.values as f64 / particles));
        metrics.insert("gradients_smc".to_owned(), json!(cost.gradients as f64 / particles));
    }
    Ok(())
}

/// `count` equally weighted samples: of at least the recipe's particles, resampled by their weights.
pub(super) fn samples(
    smc: &Smc,
    guided: &Guided<'_>,
    count: usize,
    noise: &Noise,
    kept: &Kept,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Vec<f32>> {
    let particles = count.max(smc.particles).next_multiple_of(smc.waste_free);
    let task = Task { kept, name: "sampled particles", beside: &|| (), seen };
    let found = guided.run(smc, particles, noise, &task)?;
    let places = Resampling::Systematic.places(&found.log_weights, count, &noise.purpose(Purpose::Target));
    let places = places.expect("some have weight");
    let chosen = Batch::select(&found.states, &places);
    if seen(count) { Ok(to_vec(chosen)) } else { Err(Error::Interrupted) }
}

/// A line for each step.
fn write(path: &Path, model: &Model, stages: &[Stage]) -> Result<()> {
    let names: Vec<&str> = stages
        .iter()
        .map(|stage| &stage.info)
        .max_by_key(|info| info.len())
        .map_or_else(Vec::new, |info| info.iter().map(|(name, _)| name.as_str()).collect());
    let places = model.segments().iter().flat_map(|segment| {
        let ladder = segment.ladder();
        if ladder.is_empty() { vec![None; segment.steps()] } else { ladder.into_iter().map(Some).collect() }
    });
    let header = "step,place,ess,resampled,log_z".split(',').chain(names.iter().copied());
    let mut text = header.collect::<Vec<_>>().join(",") + "\n";
    for (step, (stage, place)) in stages.iter().zip(places).enumerate() {
        let told = |name: &&str| {
            let found = stage.info.iter().find(|(known, _)| known == *name);
            found.map_or_else(String::new, |(_, value)| value.to_string())
        };
        let resampled = u8::from(stage.resampled);
        let place = place.map_or_else(String::new, |place: f64| place.to_string());
        let mut cells = vec![(step + 1).to_string(), place, stage.ess.to_string(), resampled.to_string()];
        cells.push(stage.log_z.to_string());
        cells.extend(names.iter().map(told));
        text += &(cells.join(",") + "\n");
    }
    atomic_write(path, |out| out.write_all(text.as_bytes()))
}
