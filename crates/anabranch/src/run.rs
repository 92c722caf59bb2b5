//! Runs: training a plan into a directory, and measuring what came of it.
//!
//! A run directory holds `recipe.toml` (resolved), `data.json` (what is kept of data: see [`Summary`](crate::data::Summary)), `runs.json` (where the recipe names other runs), `metrics.jsonl`, `tensorboard/`, `checkpoints/`, `samples.npy`,
//! of data `scores.csv` (how likely each held-out row is), `result.json`, `timings.json` and `report.html`. All but the log of training,
//! the events, the timings and the report, which tell the time, are the same byte for byte in equal runs.

mod chain;
mod conditions;
mod export;
pub(crate) mod gflownet;
mod kept;
mod log;
mod measures;
mod observed;
mod posterior;
mod refine;
mod rounds;
mod smc;
pub mod trust;

pub use chain::{Scored, Scores, write_scores};
pub use export::export;
pub use gflownet::Questions;
pub use refine::{Refine, Refined};
pub use rounds::{Next, RoundMeasures, Rounds};

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::data::atomic::{atomic_write, remove_torn};
use crate::data::lock::Lock;
use crate::error::{Error, Problem, Result};
use crate::estimate::{Evidence, pareto};
use crate::math::Estimate;
use crate::recipe::{Override, Plan, Recipe, saved};
use crate::train::checkpoint::Checkpoints;
use crate::train::tensorboard::EventLog;
use crate::train::{StepInfo, Trained, Training};
use kept::Kept;
use log::MetricsLog;

/// Watches a run; every method does nothing unless overridden.
pub trait Observer: Sync {
    /// Work called `task` begins, `done` of its `total` steps or rows being done already.
    fn begin(&self, _task: &str, _done: u64, _total: u64) {}
    /// So many rows more are done; called from several threads.
    fn advance(&self, _rows: u64) {}
    /// A training step was made.
    fn step(&mut self, _info: &StepInfo) {}
    /// A checkpoint was passed over, or something else deserves a line.
    fn note(&self, _message: &str) {}
    /// Whether to stop: training writes a checkpoint first, anything else has nothing to lose.
    fn stop(&self) -> bool {
        false
    }
}

/// An observer that watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {}

/// Work that `observer` watches: begins it, and answers how each finished share of it is to be reported. That answer
/// says whether to go on.
pub fn watched<'a>(
    observer: &'a dyn Observer,
    task: &str,
    total: usize,
) -> impl Fn(usize) -> bool + Sync + use<'a> {
    observer.begin(task, 0, total as u64);
    move |rows| {
        observer.advance(rows as u64);
        !observer.stop()
    }
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All steps done, or stopped early for want of improvement.
    Finished,
    /// The observer asked to stop; a checkpoint was written.
    Interrupted,
}

/// A run directory with its plan.
pub struct Run {
    /// Where it writes.
    pub directory: PathBuf,
    /// The checked recipe with its data and model.
    pub plan: Plan,
    /// Held by the one process that trains.
    _lock: Option<Lock>,
}

impl Run {
    /// Makes a directory for a new run.
    ///
    /// # Errors
    /// If the recipe is wrong, or the directory cannot be written or holds another run.
    pub fn create(directory: &Path, recipe: Recipe) -> Result<Self> {
        Self::start(directory, Plan::new(recipe)?)
    }

    /// [`Run::create`] for a plan that is made already.
    ///
    /// # Errors
    /// If the directory cannot be written or holds another run.
    pub fn start(directory: &Path, plan: Plan) -> Result<Self> {
        let place = format!("--out {}", directory.display());
        let path = directory.join("recipe.toml");
        let taken = || -> Result<()> {
            if path.symlink_metadata().is_ok() {
                return Err(Problem::new(&*place, "a directory that holds a run already")
                    .allowed("a new directory; or `anabranch resume` to go on with that run")
                    .into());
            }
            // A link that leads nowhere would be followed, too.
            let there = |name: &&str| directory.join(name).symlink_metadata().is_ok();
            match saved::OWNED.into_iter().find(there) {
                Some(name) => {
                    let found = format!("a directory that holds {name}, which a run would write over");
                    Err(Problem::new(&*place, found).allowed("a new directory").into())
                }
                None => Ok(()),
            }
        };
        taken()?;
        let named = saved::runs(plan.recipe())?;
        std::fs::create_dir_all(directory).map_err(|error| Error::output(&place, directory, error))?;
        let lock = Lock::take(directory)?;
        // Another process may have been faster.
        taken()?;
        // The recipe comes last: a directory without one is no run.
        let summary = directory.join(saved::SUMMARY);
        let runs = directory.join(saved::RUNS);
        let files =
            [(&summary, saved::summary(&plan)), (&runs, named), (&path, Some(saved::sealed(plan.recipe())))];
        for (path, text) in files {
            let Some(text) = text else { continue };
            if let Err(error) = atomic_write(path, |out| out.write_all(text.as_bytes())) {
                // Nothing is left behind, unless the directory had something in it before.
                let _ = std::fs::remove_file(&summary);
                let _ = std::fs::remove_file(&runs);
                let _ = std::fs::remove_file(directory.join("lock"));
                let _ = std::fs::remove_dir(directory);
                return Err(match error {
                    Error::Io { source, .. } => Error::output(&place, path, source),
                    other => other,
                });
            }
        }
        trust::sign(directory, plan.recipe());
        Ok(Self { directory: directory.to_owned(), plan, _lock: Some(lock) })
    }

    /// Opens an existing run to look at.
    ///
    /// # Errors
    /// If the directory holds no run, or its recipe is damaged or wrong.
    pub fn open(directory: &Path) -> Result<Self> {
        Ok(Self { directory: directory.to_owned(), plan: saved::open(directory)?, _lock: None })
    }

    /// [`Run::open`], with other values of what is measured: nothing but keys of `evaluation` can be changed.
    ///
    /// # Errors
    /// As [`Run::open`], or if something else is to be changed.
    pub fn open_with(directory: &Path, changes: &[Override]) -> Result<Self> {
        Ok(Self { directory: directory.to_owned(), plan: saved::open_with(directory, changes)?, _lock: None })
    }

    /// [`Run::open_without_data`], with other values of what is measured.
    ///
    /// # Errors
    /// As [`Run::open_without_data`], or if something else is to be changed.
    pub fn open_without_data_with(directory: &Path, changes: &[Override]) -> Result<Self> {
        let plan = saved::remembered_with(directory, changes)?;
        Ok(Self { directory: directory.to_owned(), plan, _lock: None })
    }

    /// Opens an existing run to draw from it or to score other rows: its data are not read.
    ///
    /// # Errors
    /// If the directory holds no run, or its recipe is damaged or wrong.
    pub fn open_without_data(directory: &Path) -> Result<Self> {
        Ok(Self { directory: directory.to_owned(), plan: saved::remembered(directory)?, _lock: None })
    }

    /// Opens an existing run to draw from it under conditions of its own choice: its data are read where these are numbers of their rows.
    ///
    /// # Errors
    /// As [`Run::open`].
    pub fn open_to_draw(directory: &Path) -> Result<Self> {
        let recipe = saved::recipe(directory)?;
        match recipe.target.rows().is_some_and(|rows| !rows.given().is_empty()) {
            true => Self::open(directory),
            false => Self::open_without_data(directory),
        }
    }

    /// Opens an existing run to go on with: no other process can do so meanwhile.
    ///
    /// # Errors
    /// As [`Run::open`], or if another process works on it.
    pub fn reopen(directory: &Path) -> Result<Self> {
        let run = Self::open(directory)?;
        let lock = Lock::take(directory)?;
        remove_torn(directory);
        remove_torn(&directory.join("checkpoints"));
        Ok(Self { _lock: Some(lock), ..run })
    }

    /// [`Run::reopen`], with another length of the training, which from now on is the run's: nothing but `training.steps` can be changed.
    /// A learning rate that follows a schedule follows it to the new end.
    ///
    /// # Errors
    /// As [`Run::reopen`], or if something else is to be changed, or so many steps are behind the run already.
    pub fn lengthen(directory: &Path, changes: &[Override]) -> Result<Self> {
        if changes.is_empty() {
            return Self::reopen(directory);
        }
        let recipe = saved::lengthened(directory, changes)?;
        let run = Self::reopen(directory)?;
        let done = if Checkpoints::of(directory).any()? { run.steps_done()? } else { 0 };
        if recipe.training.steps < done {
            let place = format!("--set {}", changes[0].key());
            return Err(Problem::new(
                place,
                format!("{}, of a run that has made {done} steps", recipe.training.steps),
            )
            .allowed(format!("{done} or more"))
            .into());
        }
        let text = saved::sealed(&recipe);
        atomic_write(&directory.join("recipe.toml"), |out| out.write_all(text.as_bytes()))?;
        Ok(Self { plan: saved::open(directory)?, ..run })
    }

    /// [`Run::start`], or [`Run::reopen`] where the directory holds a run of the same recipe already.
    ///
    /// # Errors
    /// As those two.
    pub fn start_or_reopen(directory: &Path, plan: Plan) -> Result<Self> {
        match saved::recipe(directory) {
            Ok(recipe) if recipe == *plan.recipe() => Self::reopen(directory),
            _ => Self::start(directory, plan),
        }
    }

    /// The newest whole state.
    fn newest(&self, observer: &dyn Observer) -> Result<Box<dyn Training + '_>> {
        saved::newest(&self.plan, &self.directory, &|message| observer.note(message))
    }

    /// The trained weights.
    ///
    /// # Errors
    /// If no checkpoint is whole.
    pub fn trained(&self, observer: &dyn Observer) -> Result<Trained> {
        Ok(Trained::of(self.newest(observer)?.as_ref()))
    }

    /// The weights of the checkpoint of a step, as they were then: their average where one is kept, and not the best so far.
    ///
    /// # Errors
    /// If there is no whole checkpoint of that step.
    pub fn weights_at(&self, step: u64) -> Result<Trained> {
        let mut trainer = self.plan.blank()?;
        Checkpoints::of(&self.directory).restore_step(step, trainer.as_mut())?;
        Ok(Trained { names: trainer.names(), vectors: trainer.scored().to_vec() })
    }

    /// How many steps were made: fewer than the recipe's where training stopped early.
    ///
    /// # Errors
    /// If no checkpoint is whole.
    pub fn steps_done(&self) -> Result<u64> {
        Ok(self.newest(&Silent)?.state().step)
    }

    /// Trains from the newest checkpoint (or the start) to the end.
    ///
    /// # Errors
    /// If a number is not finite, or a file cannot be written.
    pub fn train(&self, observer: &mut dyn Observer) -> Result<Ending> {
        self.plan.notes().iter().for_each(|note| observer.note(note));
        let mut trainer = match Checkpoints::of(&self.directory).any()? {
            true => self.newest(observer)?,
            false => match self.begin(observer) {
                Err(Error::Interrupted) => {
                    observer
                        .note("stopped while kernels were tuned, of which nothing is kept: that begins anew");
                    return Ok(Ending::Interrupted);
                }
                begun => begun?,
            },
        };
        let ending = self.steps(trainer.as_mut(), observer);
        if let Err(Error::Io { .. }) = ending {
            // The log lacks this step: it is made again, with its line, from the checkpoint before.
            return ending;
        }
        // However else the steps ended, what was reached is kept.
        Checkpoints::of(&self.directory)
            .save(trainer.as_ref(), self.plan.recipe().training.keep_checkpoints)?;
        ending
    }

    /// Training at its first step, kernels tuned.
    fn begin(&self, observer: &dyn Observer) -> Result<Box<dyn Training + '_>> {
        if !self.plan.tunes() {
            return self.plan.start();
        }
        // Shares of the whole, in which steps along the path are not of one length.
        const PARTS: f64 = 1000.0;
        observer.begin("warm-up", 0, PARTS as u64);
        let told = Cell::new(0);
        self.plan.start_observed(&|share| {
            let done = (PARTS * share) as u64;
            observer.advance(done.saturating_sub(told.replace(done.max(told.get()))));
            !observer.stop()
        })
    }

    fn steps(&self, trainer: &mut dyn Training, observer: &mut dyn Observer) -> Result<Ending> {
        let checkpoints = Checkpoints::of(&self.directory);
        let training = &self.plan.recipe().training;
        let due = |every: u64, step: u64| every > 0 && step.is_multiple_of(every);
        let mut log = MetricsLog::after(&self.directory, trainer.state().step)?;
        let (_, before) = self.training_time();
        observer.begin("training", trainer.state().step, training.steps);
        let mut events = EventLog::after(&self.directory, trainer.state().step, self.plan.score());
        let (start, first) = (Instant::now(), trainer.state().step);
        if first == 0 && training.evaluate_every > 0 && !trainer.finished() {
            // What a model begins with may be better than all that becomes of it.
            trainer.evaluate()?;
        }
        while !trainer.finished() {
            if observer.stop() {
                return Ok(Ending::Interrupted);
            }
            let info = trainer.step()?;
            observer.step(&info);
            let mut line = Map::new();
            if due(training.log_every, info.step) || info.step == training.steps {
                line.insert("loss".to_owned(), json!(info.loss));
                line.insert("gradient_norm".to_owned(), json!(info.gradient_norm));
                line.insert("learning_rate".to_owned(), json!(info.learning_rate));
                let rate = (info.step - first) as f64 / start.elapsed().as_secs_f64();
                line.insert("steps_per_second".to_owned(), json!(rate));
            }
            if due(training.evaluate_every, info.step)
                || (training.evaluate_every > 0 && info.step == training.steps)
            {
                let score = trainer.evaluate()?;
                line.insert("validation".to_owned(), json!(score));
                line.insert("trajectories".to_owned(), json!(info.step * training.batch as u64));
                let scored = Trained { names: trainer.names(), vectors: trainer.scored().to_vec() };
                line.extend(match &self.plan {
                    Plan::Chain(plan) => chain::measures(plan, &scored, score),
                    Plan::GFlowNet(plan) => gflownet::measures(plan, &scored)?,
                });
            }
            if !line.is_empty() {
                line.insert("seconds".to_owned(), json!(before + start.elapsed().as_secs_f64()));
                events.write(info.step, &line)?;
                log.write(info.step, line)?;
            }
            if due(training.checkpoint_every, info.step) {
                checkpoints.save(trainer, training.keep_checkpoints)?;
            }
        }
        Ok(Ending::Finished)
    }

    /// Measures what was trained; writes `samples.npy`. What takes long is kept in the run's directory until all is measured, and the next
    /// call goes on from there.
    ///
    /// # Errors
    /// If no checkpoint is whole, a file cannot be written, or the observer asked to stop.
    pub fn evaluate(&self, observer: &dyn Observer) -> Result<Map<String, Value>> {
        let trained = self.trained(observer)?;
        let kept = Kept::of(&self.directory, &trained);
        let metrics = self.measure(&trained, &kept, observer)?;
        kept.close();
        Ok(metrics)
    }

    /// [`Run::evaluate`] of weights of one's choice, from the beginning.
    ///
    /// # Errors
    /// As [`Run::evaluate`].
    pub fn evaluate_weights(&self, trained: &Trained, observer: &dyn Observer) -> Result<Map<String, Value>> {
        self.measure(trained, &Kept::nothing(), observer)
    }

    fn measure(&self, trained: &Trained, kept: &Kept, observer: &dyn Observer) -> Result<Map<String, Value>> {
        match &self.plan {
            Plan::Chain(plan) => chain::evaluate(plan, trained, &self.directory, kept, observer),
            Plan::GFlowNet(plan) => gflownet::evaluate(plan, trained, &self.directory, observer),
        }
    }

    /// The step of the last line of `metrics.jsonl`, and the seconds of training up to it over all the times that the
    /// run was resumed; zeros before the first line.
    pub fn training_time(&self) -> (u64, f64) {
        let text = std::fs::read_to_string(self.directory.join("metrics.jsonl")).unwrap_or_default();
        let time = |line: &str| {
            let line = serde_json::from_str::<Value>(line).ok()?;
            Some((line["step"].as_u64()?, line["seconds"].as_f64()?))
        };
        text.lines().rev().find_map(time).unwrap_or((0, 0.0))
    }

    /// The one JSON object that describes the run. What a clock decides - `timings`, and `seconds` of training - is written as
    /// `timings.json`, the rest but the directory as `result.json`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn result(&self, mut metrics: Map<String, Value>) -> Result<Value> {
        let recipe = self.plan.recipe();
        let mut timings = timings(&mut metrics);
        let (step, seconds) = self.training_time();
        if seconds > 0.0 {
            let rate = step as f64 / seconds;
            timings.insert("steps_per_second".to_owned(), json!(rate));
            if let Plan::GFlowNet(_) = self.plan {
                let trajectories = rate * recipe.training.batch as f64;
                timings.insert("trajectories_per_second".to_owned(), json!(trajectories));
            }
        }
        let trainer = self.newest(&Silent)?;
        let counted = trainer.counted().into_iter().filter(|(_, count)| *count > 0);
        metrics.extend(counted.map(|(name, count)| (name.to_owned(), json!(count))));
        let value = json!({
            "recipe": recipe.name,
            "seed": recipe.seed,
            "steps": trainer.state().step,
            "seconds": seconds,
            "parameters": self.plan.parameters(),
            "metrics": metrics,
            "timings": timings,
            "out": self.directory.display().to_string(),
        });
        let by_clock = |name: &str| matches!(name, "seconds" | "timings");
        let part = |kept: &dyn Fn(&str) -> bool| -> Map<String, Value> {
            let entries = value.as_object().into_iter().flatten();
            entries
                .filter(|(name, _)| kept(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let result = part(&|name| name != "out" && !by_clock(name));
        for (name, part) in [("timings.json", part(&by_clock)), ("result.json", result)] {
            let text = serde_json::to_string_pretty(&part).expect("plain values");
            atomic_write(&self.directory.join(name), |out| writeln!(out, "{text}"))?;
        }
        Ok(value)
    }
}

/// Takes what a clock decides out of what was measured.
pub fn timings(metrics: &mut Map<String, Value>) -> Map<String, Value> {
    let names = ["seconds_per_sample", "environment_calls", "seconds_per_call"];
    names.iter().filter_map(|name| metrics.shift_remove_entry(*name)).collect()
}

/// Puts the ESS of importance weights and the shape of their tail, with the largest at which they are to be trusted.
fn insert_weights(metrics: &mut Map<String, Value>, found: &Evidence) {
    metrics.insert("ess".to_owned(), json!(found.ess));
    if let Some(k) = found.pareto_k {
        metrics.insert("pareto_k".to_owned(), json!(k));
        metrics.insert("pareto_k_threshold".to_owned(), json!(pareto::threshold(found.paths)));
    }
}

/// Puts an estimate and, as `NAME_se`, its standard error.
fn insert(metrics: &mut Map<String, Value>, name: &str, estimate: Estimate) {
    metrics.insert(name.to_owned(), json!(estimate.value));
    metrics.insert(format!("{name}_se"), json!(estimate.error));
}
