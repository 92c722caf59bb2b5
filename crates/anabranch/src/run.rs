//! Runs: training a plan into a directory, and measuring what came of it.
//!
//! A run directory holds `recipe.toml` (resolved), `metrics.jsonl`, `checkpoints/`, `samples.npy` and `result.json`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::data::atomic::atomic_write;
use crate::data::{Format, write_samples};
use crate::error::{Error, Problem, Result};
use crate::estimate::baseline::{gaussian_nll, histogram_nll};
use crate::estimate::likelihood::{Bound, bits_per_dim, nll};
use crate::estimate::{evidence, forward_ess, upper_bound};
use crate::math::Estimate;
use crate::model::Model;
use crate::network::weights::{matrix, to_vec_f64};
use crate::objective::forward_log_weights;
use crate::recipe::{Plan, Recipe, TargetData, read};
use crate::rng::{Noise, Purpose};
use crate::train::checkpoint::Checkpoints;
use crate::train::{StepInfo, Trainer};

/// Watches a run; every method does nothing unless overridden.
pub trait Observer {
    /// A step was made.
    fn step(&mut self, _info: &StepInfo) {}
    /// A checkpoint was passed over, or something else deserves a line.
    fn note(&mut self, _message: &str) {}
    /// Whether to write a checkpoint and stop.
    fn stop(&self) -> bool {
        false
    }
}

/// An observer that watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {}

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
}

impl Run {
    /// Makes a directory for a new run.
    ///
    /// # Errors
    /// If the recipe is wrong, or the directory cannot be written or holds another run.
    pub fn create(directory: &Path, recipe: Recipe) -> Result<Self> {
        let plan = Plan::new(recipe)?;
        let unwritable = |error: std::io::Error| {
            Problem::new(format!("--out {}", directory.display()), error.to_string())
                .allowed("a directory that can be written")
        };
        if directory.join("recipe.toml").exists() {
            return Err(Problem::new(
                format!("--out {}", directory.display()),
                "a directory that holds a run already",
            )
            .allowed("a new directory; or `anabranch resume` to go on with that run")
            .into());
        }
        std::fs::create_dir_all(directory).map_err(unwritable)?;
        let text = plan.recipe.to_toml();
        atomic_write(&directory.join("recipe.toml"), |out| out.write_all(text.as_bytes())).map_err(
            |error| match error {
                Error::Io { source, .. } => unwritable(source).into(),
                other => other,
            },
        )?;
        Ok(Self { directory: directory.to_owned(), plan })
    }

    /// Opens an existing run.
    ///
    /// # Errors
    /// If the directory holds no run, or its recipe is wrong.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("recipe.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Problem::new(path.display().to_string(), error.to_string())
                .allowed("a run directory, as `anabranch run` writes it")
        })?;
        let plan = Plan::new(read(&path.display().to_string(), &text, &[])?)?;
        Ok(Self { directory: directory.to_owned(), plan })
    }

    /// The newest whole state, or a fresh start where there is no checkpoint yet.
    fn trainer(&self, observer: &mut dyn Observer) -> Result<Trainer<'_>> {
        let fresh = Trainer::new(&self.plan);
        let directory = self.directory.join("checkpoints");
        let any = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
        if !any {
            return Ok(fresh);
        }
        let lengths: Vec<usize> = fresh.state().weights.iter().map(Vec::len).collect();
        let (state, passed) = Checkpoints::of(&self.directory).latest(&fresh.names(), &lengths)?;
        passed.iter().for_each(|message| observer.note(&format!("passed over {message}")));
        Ok(Trainer::resume(&self.plan, state))
    }

    /// The trained model.
    ///
    /// # Errors
    /// If no checkpoint is whole.
    pub fn model(&self) -> Result<Model> {
        let fresh = Trainer::new(&self.plan);
        let lengths: Vec<usize> = fresh.state().weights.iter().map(Vec::len).collect();
        let (state, _) = Checkpoints::of(&self.directory).latest(&fresh.names(), &lengths)?;
        Ok(Trainer::resume(&self.plan, state).trained())
    }

    /// Trains from the newest checkpoint (or the start) to the end.
    ///
    /// # Errors
    /// If a number is not finite, or a file cannot be written.
    pub fn train(&self, observer: &mut dyn Observer) -> Result<Ending> {
        let mut trainer = self.trainer(observer)?;
        let checkpoints = Checkpoints::of(&self.directory);
        let names = trainer.names();
        let training = &self.plan.recipe.training;
        let due = |every: u64, step: u64| every > 0 && step.is_multiple_of(every);
        let mut log = MetricsLog::after(&self.directory, trainer.state().step)?;
        let (start, first) = (Instant::now(), trainer.state().step);
        while !trainer.finished() {
            if observer.stop() {
                checkpoints.save(&names, trainer.state())?;
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
                line.insert("validation".to_owned(), json!(trainer.evaluate()));
            }
            if !line.is_empty() {
                log.write(info.step, line)?;
            }
            if due(training.checkpoint_every, info.step) {
                checkpoints.save(&names, trainer.state())?;
            }
        }
        checkpoints.save(&names, trainer.state())?;
        Ok(Ending::Finished)
    }

    /// Measures the trained model; writes `samples.npy`.
    ///
    /// # Errors
    /// If no checkpoint is whole, or a file cannot be written.
    pub fn evaluate(&self) -> Result<Map<String, Value>> {
        let model = self.model()?;
        let recipe = &self.plan.recipe;
        let noise = self.plan.evaluation_noise();
        let mut metrics = Map::new();
        let dimension = self.plan.dimension();
        match &self.plan.data {
            TargetData::Rows(data) => {
                let test = if data.test.is_empty() { &data.train } else { &data.test };
                let bound = if model.chain_offset() < 100 {
                    Bound::Path
                } else {
                    Bound::Lower(recipe.evaluation.draws)
                };
                let score = nll(&model, test, bound, &noise);
                insert(&mut metrics, "nll", score);
                if recipe.target.levels() > 0 {
                    insert(&mut metrics, "bits_per_dim", bits_per_dim(score, dimension));
                    let levels = recipe.target.levels();
                    let gaussian = gaussian_nll(&data.train, test, dimension, Some(recipe.seed));
                    insert(&mut metrics, "bits_per_dim_gaussian", bits_per_dim(gaussian, dimension));
                    let histogram = histogram_nll(&data.train, test, dimension, levels);
                    insert(&mut metrics, "bits_per_dim_histogram", bits_per_dim(histogram, dimension));
                }
                if recipe.evaluation.importance_samples > 0 {
                    let bound = Bound::Importance(recipe.evaluation.importance_samples);
                    insert(&mut metrics, "nll_importance", nll(&model, test, bound, &noise));
                }
            }
            TargetData::Energy(energy) => {
                let frozen = model.frozen();
                let weights = forward_log_weights(&frozen, energy.as_ref(), recipe.evaluation.paths, &noise);
                let found = evidence(&to_vec_f64(weights));
                insert(&mut metrics, "elbo", found.elbo);
                insert(&mut metrics, "log_z", found.log_z);
                metrics.insert("ess".to_owned(), json!(found.ess));
                if let Some(exact) = energy.log_z() {
                    metrics.insert("log_z_exact".to_owned(), json!(exact));
                }
                let address = Noise::new(recipe.seed, Purpose::Target).from_trajectory(1 << 40);
                if let Some(rows) = energy.sample(recipe.evaluation.paths, &address) {
                    let x = matrix(rows, dimension, &frozen.device());
                    let reward = crate::chain::double(energy.log_density(&x));
                    let backward = to_vec_f64(reward - frozen.chain().encode(x, &noise).log_weight);
                    insert(&mut metrics, "eubo", upper_bound(&backward));
                    metrics.insert("forward_ess".to_owned(), json!(forward_ess(&backward)));
                }
            }
        }
        let address = Noise::new(recipe.seed, Purpose::Source).from_trajectory(1 << 41);
        let start = Instant::now();
        let samples = recipe.sampler.sample(&model, recipe.evaluation.samples, &address);
        let seconds = start.elapsed().as_secs_f64();
        metrics.insert("seconds_per_sample".to_owned(), json!(seconds / recipe.evaluation.samples as f64));
        let path = self.directory.join("samples.npy");
        write_samples(
            &path,
            Format::Npy,
            &samples,
            dimension,
            recipe.target.image(),
            recipe.target.levels(),
        )?;
        Ok(metrics)
    }

    /// The one JSON object that describes the run; also written as `result.json`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn result(&self, metrics: Map<String, Value>, seconds: f64) -> Result<Value> {
        let recipe = &self.plan.recipe;
        let value = json!({
            "recipe": recipe.name,
            "seed": recipe.seed,
            "steps": recipe.training.steps,
            "seconds": seconds,
            "parameters": self.plan.model.parameters(),
            "metrics": metrics,
            "out": self.directory.display().to_string(),
        });
        let text = serde_json::to_string_pretty(&value).expect("plain values");
        atomic_write(&self.directory.join("result.json"), |out| writeln!(out, "{text}"))?;
        Ok(value)
    }
}

/// Puts an estimate and, as `NAME_se`, its standard error.
fn insert(metrics: &mut Map<String, Value>, name: &str, estimate: Estimate) {
    metrics.insert(name.to_owned(), json!(estimate.value));
    metrics.insert(format!("{name}_se"), json!(estimate.error));
}

/// `metrics.jsonl`: one object per line, each with its step.
struct MetricsLog {
    path: PathBuf,
    file: std::fs::File,
}

impl MetricsLog {
    /// Opens the log, dropping lines after `step` (they will be written again) and a torn last line.
    fn after(directory: &Path, step: u64) -> Result<Self> {
        let path = directory.join("metrics.jsonl");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let kept = text.lines().filter(|line| {
            let parsed = serde_json::from_str::<Value>(line).ok();
            parsed.and_then(|value| value["step"].as_u64()).is_some_and(|at| at <= step)
        });
        let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
        atomic_write(&path, |out| out.write_all(kept.as_bytes()))?;
        let file =
            std::fs::OpenOptions::new().append(true).open(&path).map_err(|e| Error::io("open", &path, e))?;
        Ok(Self { path, file })
    }

    fn write(&mut self, step: u64, fields: Map<String, Value>) -> Result<()> {
        let mut line = Map::from_iter([("step".to_owned(), json!(step))]);
        line.extend(fields);
        writeln!(self.file, "{}", Value::Object(line)).map_err(|error| Error::io("write", &self.path, error))
    }
}
