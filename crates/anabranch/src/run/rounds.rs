//! Rounds of active learning: propose objects, have them scored, learn from all scores so far, and again.
//!
//! ```text
//! scores-0.csv    the table to begin with                               batch-k.csv    what round k proposes
//! round-k/        the run of round k, which learns scores-(k-1).csv     scores-k.csv   scores-(k-1).csv and the scores of batch-k.csv
//! ```
//!
//! Each file is written whole or not at all, and which of them are there says how far the rounds are: nothing else is kept. A round's run
//! is one like any other; it begins with the weights of the one before, `weights-(k-1).safetensors`. So rounds that are stopped anywhere
//! go on as if they had not been.

mod measure;
mod proposer;
mod scoring;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use measure::{RoundMeasures, measures};

use serde_json::{Map, Value, json};

use crate::data::atomic::{atomic_write, remove_torn};
use crate::data::lock::Lock;
use crate::data::write_records;
use crate::environment::{Cell, Environment};
use crate::error::{Error, Problem, Result};
use crate::recipe::gflownet::{Proposer, RoundsRecipe, Task};
use crate::recipe::objects::{Rewarded, parse_object, rewarded_by};
use crate::recipe::{Plan, Recipe, saved};
use crate::rng::{Noise, Purpose};
use crate::run::gflownet::candidates::Pool;
use crate::run::{Observer, Run, trust};
use crate::target::{Direction, Missing, RewardRecipe, ScoreTable};
use crate::train::Trained;

/// A directory of rounds.
pub struct Rounds {
    directory: PathBuf,
    recipe: Recipe,
    environment: Arc<dyn Environment>,
    _lock: Lock,
}

/// What is to be done next.
pub enum Next {
    /// The run of a round is to be trained and evaluated; then [`Rounds::propose`].
    Train(u64, Box<Run>),
    /// Round `k` proposes without a model: [`Rounds::propose`].
    Propose(u64),
    /// Its batch is to be scored: [`Rounds::score`].
    Score(u64),
    /// Its batch, in this file, waits for scores from outside: [`Rounds::add`].
    Wait(PathBuf),
    /// All calls are spent.
    Finished,
}

impl Rounds {
    /// Begins in a new directory.
    ///
    /// # Errors
    /// If the recipe's reward is no regressor, its table is wrong, or the directory cannot be written or holds something already.
    pub fn create(directory: &Path, mut recipe: Recipe) -> Result<Self> {
        recipe.training.count_steps();
        recipe.rounds.get_or_insert_default();
        recipe.check()?;
        let environment = environment(&recipe)?;
        let table = initial(&recipe, environment.as_ref())?;
        check(&recipe)?;
        let place = format!("--out {}", directory.display());
        let taken = |name: &str| directory.join(name).exists();
        if let Some(name) = ["recipe.toml", "scores-0.csv"].into_iter().find(|name| taken(name)) {
            let found = format!("a directory that holds {name} already");
            return Err(Problem::new(place, found)
                .allowed("a new directory; or `anabranch propose DIR` to go on with rounds")
                .into());
        }
        std::fs::create_dir_all(directory).map_err(|error| Error::output(&place, directory, error))?;
        let lock = Lock::take(directory)?;
        write_scores(&directory.join("scores-0.csv"), environment.as_ref(), &table, &[])?;
        // The recipe comes last: a directory without one is none of rounds.
        let text = saved::sealed(&recipe);
        atomic_write(&directory.join("recipe.toml"), |out| out.write_all(text.as_bytes()))?;
        trust::sign(directory, &recipe);
        Ok(Self { directory: directory.to_owned(), recipe, environment, _lock: lock })
    }

    /// Goes on in a directory.
    ///
    /// # Errors
    /// If it holds no rounds, or another process works on it.
    pub fn open(directory: &Path) -> Result<Self> {
        let recipe = saved::recipe(directory)?;
        if recipe.rounds.is_none() || !directory.join("scores-0.csv").exists() {
            return Err(Problem::new(directory.display().to_string(), "a run that is none of rounds")
                .allowed("a directory that `anabranch propose RECIPE` made")
                .into());
        }
        let lock = Lock::take(directory)?;
        remove_torn(directory);
        let environment = environment(&recipe)?;
        Ok(Self { directory: directory.to_owned(), recipe, environment, _lock: lock })
    }

    /// Where it writes.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn settings(&self) -> &RoundsRecipe {
        self.recipe.rounds.as_ref().expect("rounds have settings")
    }

    /// The table after round `k`.
    fn scores(&self, k: u64) -> PathBuf {
        self.directory.join(format!("scores-{k}.csv"))
    }

    fn batch(&self, k: u64) -> PathBuf {
        self.directory.join(format!("batch-{k}.csv"))
    }

    fn weights(&self, k: u64) -> PathBuf {
        self.directory.join(format!("weights-{k}.safetensors"))
    }

    /// The last round whose scores are known.
    pub fn done(&self) -> u64 {
        (0..).take_while(|k| self.scores(*k).exists()).last().unwrap_or(0)
    }

    /// The table after round `k`.
    fn table(&self, k: u64) -> Result<ScoreTable> {
        self.read(&self.scores(k), Missing::Refuse)
    }

    fn read(&self, path: &Path, missing: Missing) -> Result<ScoreTable> {
        let parse = parse_object(self.environment.as_ref());
        ScoreTable::read(path, ScoreTable::NAMES, missing, self.environment.cells(), &parse)
    }

    /// The tables after each round so far.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn tables(&self) -> Result<Vec<ScoreTable>> {
        (0..=self.done()).map(|k| self.table(k)).collect()
    }

    /// How many scores may still be asked for.
    fn left(&self) -> Result<usize> {
        let spent = self.table(self.done())?.measured() - self.table(0)?.measured();
        Ok(self.settings().calls.saturating_sub(spent))
    }

    /// What is to be done next.
    ///
    /// # Errors
    /// If a file is damaged, or the run of a round cannot be made.
    pub fn next(&self) -> Result<Next> {
        let k = self.done() + 1;
        if self.left()? == 0 {
            return Ok(Next::Finished);
        }
        if self.batch(k).exists() {
            return Ok(match self.settings().scorer {
                Some(_) => Next::Score(k),
                None => Next::Wait(self.batch(k)),
            });
        }
        match self.settings().proposer {
            Proposer::FlowNetwork {} => Ok(Next::Train(k, Box::new(self.run(k)?))),
            Proposer::Random {} | Proposer::Genetic { .. } => Ok(Next::Propose(k)),
        }
    }

    /// The run of round `k`: of the same recipe, with the scores and the weights of the round before.
    fn run(&self, k: u64) -> Result<Run> {
        let mut recipe = self.recipe.with_scores(&self.scores(k - 1))?;
        recipe.seed = (recipe.seed + k - 1) & i64::MAX as u64;
        recipe.rounds = None;
        if k > 1 {
            recipe.policy.start = Some(self.weights(k - 1).display().to_string());
            recipe.training.steps = self.settings().steps.unwrap_or(recipe.training.steps);
        }
        Run::start_or_reopen(&self.directory.join(format!("round-{k}")), Plan::new(recipe)?)
    }

    /// Writes what round `k` proposes; `run` is its run, where it has one, which was trained.
    ///
    /// # Errors
    /// If there is nothing new to propose, or a file cannot be written.
    pub fn propose(&self, k: u64, run: Option<&Run>, observer: &dyn Observer) -> Result<()> {
        let count = self.settings().batch.min(self.left()?);
        let table = self.table(k - 1)?;
        let known: HashSet<&[Cell]> = table.objects.chunks_exact(table.cells).collect();
        let noise = Noise::new(self.recipe.seed, Purpose::Choice).long_step(k);
        let environment = self.environment.as_ref();
        let describe = |object: &Vec<Cell>| vec![environment.describe(object), String::new()];
        let (header, rows): (&str, Vec<Vec<String>>) = match self.settings().proposer {
            Proposer::FlowNetwork {} => {
                let run = run.expect("a flow network proposes what it was trained for");
                let trained = run.trained(observer)?;
                let rows = self.of_network(run, &trained, count, observer)?;
                trained.write(&self.weights(k))?;
                ("object,predicted,sd,score", rows)
            }
            Proposer::Random {} => {
                let found = proposer::random(environment, count, &known, &noise);
                ("object,score", found.iter().map(describe).collect())
            }
            Proposer::Genetic { parents, mutations } => {
                let parents = best(&table, self.direction(), parents);
                let found = proposer::genetic(environment, &parents, mutations, count, &known, &noise)?;
                ("object,score", found.iter().map(describe).collect())
            }
        };
        if rows.is_empty() {
            return Err(Problem::new("rounds.proposer", "no object without a score to propose")
                .allowed("a space with more objects, or a lower `exponent`")
                .into());
        }
        write_records(&self.batch(k), header, rows.into_iter())
    }

    /// What a trained flow network proposes.
    fn of_network(
        &self,
        run: &Run,
        trained: &Trained,
        count: usize,
        observer: &dyn Observer,
    ) -> Result<Vec<Vec<String>>> {
        let Plan::GFlowNet(plan) = &run.plan else { unreachable!("checked: objects of a flow network") };
        let Task::Discrete(task) = &plan.task else { unreachable!("checked: a reward of integers") };
        let pool = Pool::draw(plan, task, trained, observer)?;
        let Some(pool) = pool else { unreachable!("checked: a regressor without conditions or roots") };
        let row = |place: &usize| {
            let prediction = pool.predictions()[*place];
            let name = self.environment.describe(pool.object(*place));
            vec![name, prediction.mean.to_string(), prediction.sd.to_string(), String::new()]
        };
        Ok(pool.diverse(count, plan.candidates().distance).iter().map(row).collect())
    }

    /// Asks the recipe's scorer about the batch of round `k`, and writes the table after it.
    ///
    /// # Errors
    /// If it fails twice, or the table cannot be written.
    pub fn score(&self, k: u64, observer: &dyn Observer) -> Result<()> {
        let settings = self.settings();
        let scorer = settings.scorer.as_ref().expect("a scorer scores");
        let objects = self.unscored(k)?;
        let cache = self.directory.join("cache.csv");
        let scorers: Vec<Rewarded> = (0..settings.workers.min(objects.len()))
            .map(|_| rewarded_by(&self.recipe, scorer))
            .collect::<Result<_>>()?;
        let known = if cache.exists() { Some(self.read(&cache, Missing::Refuse)?) } else { None };
        let scores = scoring::ask(&scorers, &objects, known.as_ref(), &cache, observer)?;
        let new: Vec<(&[Cell], f64)> = objects.iter().map(|object| &object[..]).zip(scores).collect();
        write_scores(&self.scores(k), self.environment.as_ref(), &self.table(k - 1)?, &new)?;
        // It is a matter of this batch alone.
        let _ = std::fs::remove_file(cache);
        Ok(())
    }

    /// The objects of the batch of round `k`.
    fn unscored(&self, k: u64) -> Result<Vec<Vec<Cell>>> {
        let path = self.batch(k);
        let text = crate::data::read_text(&path)?;
        let parse = parse_object(self.environment.as_ref());
        let mut objects = Vec::new();
        let mut header = true;
        crate::data::records(&path.display().to_string(), &text, |line, record| {
            if !std::mem::replace(&mut header, false) {
                let mut object = vec![0; self.environment.cells()];
                let place = format!("{}, line {line}", path.display());
                parse(&record[0], &mut object).map_err(|found| Problem::new(place, found))?;
                objects.push(object);
            }
            Ok(())
        })?;
        Ok(objects)
    }

    /// Takes the scores in a file, of the objects that wait for them or of others; rows without a score are left out.
    ///
    /// # Errors
    /// If no batch waits, the file has no scores or is wrong, or the table cannot be written.
    pub fn add(&self, path: &Path) -> Result<()> {
        let k = self.done() + 1;
        if !self.batch(k).exists() {
            return Err(Problem::new("--scores", "a file, while no batch waits for scores")
                .allowed("it after a batch was proposed; `anabranch propose DIR` proposes the next one")
                .into());
        }
        let found = self.read(path, Missing::Drop)?;
        let new: Vec<(&[Cell], f64)> = found.measurements().collect();
        write_scores(&self.scores(k), self.environment.as_ref(), &self.table(k - 1)?, &new)
    }

    /// Which scores are good.
    pub fn direction(&self) -> Direction {
        self.recipe.regressor().map_or(Direction::Maximise, |regressor| regressor.direction)
    }

    /// An object as its environment writes it.
    pub fn describe(&self, object: &[Cell]) -> String {
        self.environment.describe(object)
    }

    /// Space, target, what proposes and what scores, one `label value` a line.
    pub fn facts(&self) -> String {
        let (settings, objects) = (self.settings(), self.recipe.objects());
        let proposer = match self.settings().proposer {
            Proposer::FlowNetwork {} => {
                "a flow network on the regressor's reward, diverse candidates".to_owned()
            }
            Proposer::Random {} => "random moves".to_owned(),
            Proposer::Genetic { parents, mutations } => {
                format!("a genetic algorithm: {parents} parents, {mutations} mutations of a child")
            }
        };
        let scorer = match &settings.scorer {
            Some(scorer) => format!("{} at once: {}", settings.workers, scorer.formula()),
            None => "by hand, from outside".to_owned(),
        };
        let RoundsRecipe { calls, batch, .. } = settings;
        format!(
            "space       {}\ntarget      {}\nrounds      {batch} objects each, {calls} scores in all\n\
             proposer    {proposer}\nscorer      {scorer}\n",
            objects.space(),
            objects.formula()
        )
    }

    /// The one JSON object that describes the rounds so far. Without the directory it is written as `result.json`; `rounds.csv` has a line
    /// for each round.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn result(&self) -> Result<Value> {
        let found = self.measures()?;
        let last = found[found.len() - 1];
        let mut metrics = Map::new();
        metrics.insert("rounds".to_owned(), json!(found.len() - 1));
        metrics.insert("calls".to_owned(), json!(last.calls));
        metrics.insert("best_score".to_owned(), json!(last.best));
        metrics.insert("top_score".to_owned(), json!(last.top.0));
        metrics.insert("top_score_distance".to_owned(), json!(last.top.1));
        metrics.insert("batch_score".to_owned(), json!(last.batch.0));
        let row = |(k, found): (usize, &RoundMeasures)| {
            let RoundMeasures { calls, best, top, batch } = found;
            [k.to_string(), calls.to_string()]
                .into_iter()
                .chain([*best, top.0, top.1, batch.0, batch.1].map(|value| value.to_string()))
                .collect()
        };
        let header = "round,calls,best,top,top_distance,batch,batch_distance";
        write_records(&self.directory.join("rounds.csv"), header, found.iter().enumerate().map(row))?;
        let mut result = json!({ "recipe": self.recipe.name, "seed": self.recipe.seed, "metrics": metrics });
        let text = serde_json::to_string_pretty(&result).expect("plain values");
        atomic_write(&self.directory.join("result.json"), |out| writeln!(out, "{text}"))?;
        result["out"] = json!(self.directory.display().to_string());
        Ok(result)
    }

    /// What was reached after each round so far.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn measures(&self) -> Result<Vec<RoundMeasures>> {
        let top = self.recipe.evaluation.candidates.unwrap_or_default().count;
        Ok(measures(&self.tables()?, self.environment.as_ref(), self.direction(), top))
    }
}

/// The environment of a recipe's objects.
fn environment(recipe: &Recipe) -> Result<Arc<dyn Environment>> {
    let nothing = RewardRecipe::Expression { log_reward: Some("0".to_owned()), reward: None };
    Ok(rewarded_by(recipe, &nothing)?.0)
}

/// The table that a recipe's regressor names.
fn initial(recipe: &Recipe, environment: &dyn Environment) -> Result<ScoreTable> {
    let Some(regressor) = recipe.regressor() else {
        return Err(Problem::new("target.reward.kind", "a reward that no scores are learned for")
            .allowed("regressor, for rounds of proposals and scores")
            .into());
    };
    regressor.table(environment.cells(), &parse_object(environment))
}

/// Refuses what proposals cannot be made of.
fn check(recipe: &Recipe) -> Result<()> {
    let settings = recipe.rounds.as_ref().expect("rounds have settings");
    if !recipe.conditions.is_empty() || recipe.roots.is_some() {
        let problem = Problem::new("conditions or roots", "some, beside rounds of proposals");
        return Err(problem.allowed("none: candidates are of one law").into());
    }
    if matches!(settings.proposer, Proposer::Genetic { .. }) && !recipe.target.has_cells_apart() {
        let found = "a genetic algorithm over objects whose cells depend on each other";
        return Err(Problem::new("rounds.proposer.kind", found)
            .allowed("flow-network or random; or words, bits, sets, multisets or points of a grid")
            .into());
    }
    Ok(())
}

/// The best objects of a table.
fn best(table: &ScoreTable, direction: Direction, count: usize) -> Vec<&[Cell]> {
    let order = table.order(direction);
    order.into_iter().take(count).map(|place| table.object(place)).collect()
}

/// Writes a table and what is new.
fn write_scores(
    path: &Path,
    environment: &dyn Environment,
    table: &ScoreTable,
    new: &[(&[Cell], f64)],
) -> Result<()> {
    let rows = table.measurements().chain(new.iter().copied());
    let rows = rows.map(|(object, score)| vec![environment.describe(object), score.to_string()]);
    write_records(path, "object,score", rows)
}
