//! From a checked recipe to data, a model and an energy.

use std::path::Path;
use std::sync::Arc;

use super::{ChainPrior, Condition, Found, StateFlowRecipe, prior, proposal, size, surrounded};
use crate::array::weights::to_vec_f64;
use crate::chain::Given;
use crate::data::{Dataset, Discrete, Summary, Table};
use crate::error::{Problem, Result};
use crate::estimate::likelihood::{Bound, nll};
use crate::estimate::relative::Relative;
use crate::estimate::{annealed, evidence};
use crate::model::diffusion::NoiseSchedule;
use crate::model::energy::Annealed;
use crate::model::part::Asks;
use crate::model::path::forward_log_weights;
use crate::model::recipe::SegmentRecipe;
use crate::model::state_flow::StateFlow;
use crate::model::{Model, Segment, Watch};
use crate::objective::{Needs, Objective, ObjectiveRecipe};
use crate::recipe::{ReadGiven, Recipe};
use crate::rng::{Address, Noise, Purpose};
use crate::target::{Conditions, Counted, Failure, Target};
use crate::train::Trainer;
use crate::train::chain::{ChainLearner, ChainTask, Ends};
use crate::train::coordinate::CoordinateLearner;

/// The most rows by which training chooses its weights, and where there are fewer, how many draws all of them are scored by.
const VALIDATED: usize = 2000;

/// How many draws all rows that are reported are scored by at least, where the bound is one of some draws of its steps.
const REPORTED: usize = 7000;

/// What a model learns from.
#[derive(Debug)]
pub enum TargetData {
    /// Rows, split in three.
    Rows(Dataset),
    /// An unnormalised density over real vectors.
    Energy(Arc<dyn Target>),
}

/// A checked recipe of a chain with all that it names.
pub struct ChainPlan {
    /// The recipe.
    pub recipe: Recipe,
    /// What the model learns from.
    pub data: TargetData,
    /// The model with its initial weights.
    pub model: Model,
    /// What its paths are conditioned on.
    pub condition: Condition,
    /// `log F` of the states on the way, where the objective needs it.
    pub flow: Option<StateFlow>,
    /// `log Z` of conditions, where there are some and the objective learns it.
    pub log_z: Option<StateFlow>,
    /// What the chain is relative to, where the objective is.
    pub prior: Option<ChainPrior>,
}

impl ChainPlan {
    /// Loads a checked recipe's data and builds its model.
    ///
    /// Where there is a `summary` of the data, no row of them is read.
    pub(in crate::recipe) fn new(mut recipe: Recipe, summary: Option<&Summary>) -> Result<Self> {
        let prior = prior::open(&mut recipe)?;
        let run = proposal::open(&recipe)?;
        let (dimension, data) = match (recipe.target.rows(), recipe.target.energy()) {
            (Some(rows), _) => {
                let data = match summary {
                    Some(summary) => summary.remembered(),
                    None => {
                        let mut data = rows.load(recipe.seed)?;
                        SegmentRecipe::parts(&recipe.model).for_each(|(part, _)| part.fit(&mut data));
                        data
                    }
                };
                (data.columns, TargetData::Rows(data))
            }
            (None, Some(energy)) if let Some(prior) = &prior => {
                recipe.check()?;
                let energy = energy.over(prior.model.dimension())?;
                (prior.model.dimension(), TargetData::Energy(Arc::new(Counted::new(energy))))
            }
            (None, Some(energy)) => {
                let (energy, dimension) = energy.build()?;
                (dimension, TargetData::Energy(Arc::new(Counted::new(energy))))
            }
            (None, None) => unreachable!("objects are of flow networks"),
        };
        let condition = match &data {
            TargetData::Rows(data) => Condition::of_rows(data, recipe.evaluation.samples)?,
            TargetData::Energy(energy) => {
                let law = Conditions::of(recipe.conditions.clone(), energy)?;
                if law.width() > 0 { Condition::Law(law) } else { Condition::Nothing }
            }
        };
        size::check(&recipe, run.as_ref(), [dimension, condition.width()])?;
        let learns = super::learns(&recipe);
        let needs = if learns { recipe.objective.needs() } else { Needs::default() };
        if let TargetData::Energy(energy) = &data
            && learns
            && (needs.samples || !recipe.objective.needs_target())
        {
            check_sampler(energy.as_ref(), &condition)?;
        }
        let single =
            matches!(recipe.objective, ObjectiveRecipe::Craft(_) | ObjectiveRecipe::Fab(_)) && learns;
        if condition.width() > 0 && matches!(data, TargetData::Energy(_)) && (single || recipe.smc.is_some())
        {
            let place = if single { "objective.kind" } else { "smc" };
            let found = "it of a target under conditions, each with a Z of its own";
            return Err(Problem::new(place, found).allowed("a target without conditions").into());
        }
        let in_turn = recipe.smc.is_some()
            && !needs.flow
            && recipe.model.iter().any(|segment| segment.part().draws_in_turn());
        if let (TargetData::Energy(energy), true) = (&data, in_turn)
            && !energy.partial(&vec![0.0; dimension], &[], &mut [0.0]).map_err(Failure::into_error)?
        {
            let found = "it towards a reward of which nothing is known while coordinates are missing";
            let allowed =
                "it with `reward = { kind = \"ising\" }`, or an objective that learns state flows; or no smc";
            return Err(Problem::new("smc", found).allowed(allowed).into());
        }
        let derived = matches!(recipe.objective, ObjectiveRecipe::Craft(_) | ObjectiveRecipe::Fab(_));
        if let (TargetData::Energy(energy), true, true) = (&data, needs.through_states || derived, learns)
            && !energy.has_scores()
        {
            let found = "one that needs the gradient of a target that has none";
            let allowed = "\"trajectory-balance\", \"log-variance\" or another that needs none; \
                           or gradients = true, if the program answers them";
            return Err(Problem::new("objective.kind", found).allowed(allowed).into());
        }
        if let (TargetData::Energy(energy), ObjectiveRecipe::CoordinateAscent(_)) = (&data, &recipe.objective)
            && energy.bayesian_mixture().is_none()
        {
            let problem =
                Problem::new("objective.kind", "coordinate ascent on a target that knows no factors");
            return Err(problem.allowed("it on a \"bayesian-mixture\"; or \"reverse-kl\"").into());
        }
        if let (TargetData::Energy(energy), true) = (&data, recipe.objective.needs_target())
            && !energy.positive_everywhere()
        {
            return Err(Problem::new(
                "objective.kind",
                "an objective that learns from log R, where R is 0 in places and flat elsewhere",
            )
            .allowed(
                "\"forward-kl\" or \"importance-weighted\", which learn from this energy's exact samples",
            )
            .into());
        }
        let width = condition.width();
        let model = match &prior {
            Some(prior) => prior.model.clone(),
            None => build_model(&recipe, &data, run.as_ref(), [dimension, width])?,
        };
        let flow = needs.flow.then(|| state_flow(&recipe, &model, width)).transpose()?;
        let log_z = ((needs.log_z || needs.flow) && width > 0).then(|| log_z(&recipe, width));
        Ok(Self { recipe, data, model, condition, flow, log_z, prior })
    }

    /// A run at its first step that learns by its paths; [`ChainPlan::training`] finds the learner of whatever the recipe tells.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn start(&self) -> Result<Trainer<ChainLearner<'_>>> {
        self.trainer(false, &|_| true)
    }

    /// [`ChainPlan::start`], kernels tuned unless it is there to be `restored`; `watch` is told how far.
    pub(super) fn trainer(&self, restored: bool, watch: &Watch<'_>) -> Result<Trainer<ChainLearner<'_>>> {
        let recipe = &self.recipe;
        let Ok(Objective::Paths(objective)) = recipe.objective.check("objective", recipe.backward) else {
            unreachable!("the recipe was checked");
        };
        let ends = match &self.data {
            TargetData::Rows(data) => {
                let given = self.condition.of_training();
                Ends::Rows { rows: &data.train, columns: data.columns, given }
            }
            TargetData::Energy(energy) => Ends::Target(energy.as_ref()),
        };
        let task = ChainTask {
            model: self.model.clone(),
            ends,
            chances: match &self.data {
                TargetData::Rows(data) => data.chances.as_deref(),
                TargetData::Energy(_) => None,
            },
            objective,
            flow: self.flow.clone(),
            conditions: match &self.condition {
                Condition::Law(law) => Some(law.clone()),
                Condition::Class { .. } | Condition::Numbers { .. } | Condition::Nothing => None,
            },
            log_z: self.log_z.clone(),
            prior: self.prior.as_ref().map(|prior| prior.model.clone()),
            score: Box::new(|model| self.validation_score(model)),
            training: recipe.training.clone(),
            optimizer: recipe.optimizer.clone(),
            seed: recipe.seed,
            restored,
        };
        Trainer::<ChainLearner<'_>>::observed(task, watch).map_err(Failure::into_error)
    }

    /// A run of coordinate ascent at its first step, where the recipe asks for it.
    ///
    /// # Errors
    /// If the guide has no start.
    pub fn ascent(&self) -> Result<Option<Trainer<CoordinateLearner<'_>>>> {
        let (TargetData::Energy(energy), ObjectiveRecipe::CoordinateAscent(objective)) =
            (&self.data, self.recipe.objective)
        else {
            return Ok(None);
        };
        let recipe = &self.recipe;
        let mut model = self.model.clone();
        model
            .start(energy.as_ref(), &Noise::new(recipe.seed, Purpose::Probe))
            .map_err(Failure::into_error)?;
        let mixture = energy.bayesian_mixture().expect("plans are checked");
        let score = Box::new(|model: &Model| self.validation_score(model));
        let learner = CoordinateLearner { model, mixture, objective, score, seed: recipe.seed };
        let (training, optimizer) = (recipe.training.clone(), recipe.optimizer.clone());
        Ok(Some(Trainer::start(learner, training, optimizer, recipe.seed)))
    }

    /// The dimension of the target's space.
    pub fn dimension(&self) -> usize {
        self.model.dimension()
    }

    /// The noise of the evaluations by which training chooses its weights.
    pub fn validation_noise(&self) -> Noise {
        Noise::of_validation(self.recipe.seed, Purpose::Backward)
    }

    /// The noise of what is reported.
    pub fn evaluation_noise(&self) -> Noise {
        Noise::of_evaluation(self.recipe.seed, Purpose::Backward)
    }

    /// The noise of the samples that a run writes.
    pub fn sampling_noise(&self) -> Noise {
        Noise::new(self.recipe.seed, Purpose::Source).at(Address::SAMPLES)
    }

    /// How the chain's bound on the likelihood of so many rows of data is estimated: from some draws of its steps, where the segment next to
    /// the source has such an estimate, else along one whole path.
    pub fn bound(&self, model: &Model, rows: usize) -> Bound {
        match &model.segments()[0] {
            first if first.is_exact() => Bound::Lower(1),
            first if first.is_local() => Bound::Lower(self.draws(rows)),
            _ => Bound::Path,
        }
    }

    /// The same in continuous time, where a diffusion with a learned schedule stands next to the source.
    pub fn continuous_bound(&self, model: &Model, rows: usize) -> Option<Bound> {
        let diffusion = model.segments()[0].as_diffusion()?;
        matches!(diffusion.schedule, NoiseSchedule::Learned { .. })
            .then_some(Bound::Continuous(self.draws(rows)))
    }

    /// Draws per row of what is reported: more than the recipe's where rows are few, of which the noise of the draws would drown the mean.
    fn draws(&self, rows: usize) -> usize {
        self.recipe.evaluation.draws.max(REPORTED / rows.max(1))
    }

    /// What is to be said of the data before training.
    pub fn notes(&self) -> Vec<String> {
        let TargetData::Rows(data) = &self.data else { return Vec::new() };
        let mut notes = data.remarks.clone();
        // A mass on integers has its meaning on any column.
        if self.recipe.target.levels() == 0 {
            notes.extend(data.degenerate());
        }
        notes
    }

    /// What the columns of samples are called, where the data name them.
    pub fn names(&self) -> Option<Vec<String>> {
        match &self.data {
            TargetData::Rows(data) => data.columns_by_name(),
            TargetData::Energy(_) => None,
        }
    }

    /// What is kept of the data; of an energy nothing.
    fn summary(&self) -> Option<&Summary> {
        match &self.data {
            TargetData::Rows(data) => Some(&data.summary),
            TargetData::Energy(_) => None,
        }
    }

    /// The columns of integers and words beside real ones.
    pub fn discrete(&self) -> &[Discrete] {
        self.summary().map_or(&[], |summary| &summary.discrete)
    }

    /// Reads a file of further rows for the model, with their conditions.
    ///
    /// # Errors
    /// As [`TargetRecipe::read`](crate::recipe::TargetRecipe::read), or if a number has no logit where the model's last map is one.
    pub fn read(&self, path: &Path) -> Result<(Table, Given)> {
        if let Condition::Law(_) = &self.condition {
            return Err(Problem::new("--data", "rows for a model of a target under conditions")
                .allowed("it for a model of data, or of an energy without conditions")
                .into());
        }
        let (table, given) = self.recipe.target.read(path, self.summary(), self.dimension())?;
        let given = match (&self.condition, given) {
            (Condition::Numbers { numbers, .. }, ReadGiven::Numbers(given)) => {
                numbers.check(&path.display().to_string(), &given.values)?;
                Given::rows(numbers.columns(), numbers.standardised(&given.values))
            }
            (Condition::Class { classes: known, .. }, ReadGiven::Classes(classes)) => {
                Given::rows(known.count, known.one_hot(&known.parse_rows(path, &classes)?))
            }
            _ => Given::nothing(),
        };
        let parts = SegmentRecipe::parts(&self.recipe.model).filter(|_| self.recipe.target.levels() == 0);
        for (part, place) in parts {
            let excluded = |value: &f32| Some((*value, part.excludes(*value, &place)?));
            let Some((at, (value, allowed))) =
                table.values.iter().enumerate().find_map(|(at, value)| Some((at, excluded(value)?)))
            else {
                continue;
            };
            let (row, label) = (at / table.columns + 1, &table.labels[at % table.columns]);
            let place = format!("{}, row {row}, {label}", path.display());
            return Err(Problem::new(place, value.to_string()).allowed(allowed).into());
        }
        Ok((table, given))
    }

    /// The score by which training stops and chooses: nats per validation row, or `-ELBO` on an energy.
    ///
    /// # Errors
    /// If the energy does not answer.
    pub fn validation_score(&self, model: &Model) -> Result<f64, Failure> {
        Ok(match &self.data {
            TargetData::Rows(data) => {
                let rows = if data.validation.is_empty() { &data.train } else { &data.validation };
                let rows = &rows[..rows.len().min(VALIDATED * data.columns)];
                let count = rows.len() / data.columns;
                let given = self.condition.of_validation().range(0, count);
                if let Some(annealed) = model.segments()[0].as_energy() {
                    return energy_score(model, annealed, rows, &self.validation_noise());
                }
                let draws = 2.max(VALIDATED / count.max(1));
                nll(model, rows, &given, Bound::Lower(draws), &self.validation_noise())?.value
            }
            TargetData::Energy(energy) if let Some(prior) = &self.prior => {
                let model = model.frozen();
                let relative = Relative { prior: &prior.model, model: &model, beta: prior.beta };
                let noise = self.validation_noise();
                let paths = relative.of_model(energy.as_ref(), 2000, &noise, &|_| true)?;
                -evidence(&paths.expect("nobody asks to stop").log_weights()).elbo.value
            }
            TargetData::Energy(energy) => {
                let noise = self.validation_noise();
                let given = self.condition.of_samples(2000, &noise);
                let weights = forward_log_weights(&model.frozen(), energy.as_ref(), 2000, &given, &noise)?;
                -evidence(&to_vec_f64(weights)).elbo.value
            }
        })
    }
}

/// Nats per row under an energy that learns; where `log Z` is not known, by some annealed paths, which are as good for every step.
fn energy_score(model: &Model, annealed: &Annealed, rows: &[f32], noise: &Noise) -> Result<f64, Failure> {
    let energy = annealed.energy();
    let states: Vec<u8> = rows.iter().map(|value| *value as u8).collect();
    let mut log_r = vec![0.0; states.len() / energy.sites()];
    energy.log_density(&states, &mut log_r);
    let log_z = match energy.exact() {
        Some(exact) => exact.log_z(),
        None => {
            let paths = annealed::forward(model, SCORED, noise, &|_| true)?;
            evidence(&paths.expect("nobody asks to stop")).log_z.value
        }
    };
    Ok(log_z - log_r.iter().sum::<f64>() / log_r.len() as f64)
}

/// Annealed paths of a validation score.
const SCORED: usize = 256;

/// Refuses an energy whose samples an objective learns from, and which has no sampler.
fn check_sampler(energy: &dyn Target, condition: &Condition) -> Result<()> {
    let noise = Noise::new(0, Purpose::Target);
    match condition {
        Condition::Law(law) if energy.draw_given(&law.draw(1, &noise), &noise).is_none() => {
            let found = "an objective that learns from samples, of a target that depends on a condition";
            Err(Problem::new("objective.kind", found)
                .allowed("one that learns from log R, such as \"trajectory-balance\" or \"reverse-kl\"")
                .into())
        }
        Condition::Nothing if energy.draw(1, &noise).is_none() => {
            Err(Problem::new("objective.kind", "an objective that learns from samples")
                .allowed(
                    "\"reverse-kl\", \"trajectory-balance\" or \"log-variance\": this energy has no sampler",
                )
                .into())
        }
        _ => Ok(()),
    }
}

/// The network of state flows, which all states of a chain share.
fn state_flow(recipe: &Recipe, model: &Model, condition: usize) -> Result<StateFlow> {
    let dimension = model.dimension();
    let other =
        |segment: &dyn Segment| segment.inner_dimension() != dimension || segment.widest() != dimension;
    if let Some(other) = model.segments().iter().find(|segment| other(segment.as_ref())) {
        let found = format!("state flows of {} and of {dimension} coordinates", other.widest());
        return Err(Problem::new("objective.kind", found)
            .allowed("an objective without state flows, such as \"trajectory-balance\"; or segments of one dimension")
            .into());
    }
    let StateFlowRecipe { hidden, activation } = recipe.state_flow.clone().unwrap_or_default();
    Ok(StateFlow::new([dimension, condition], &hidden, activation, recipe.seed))
}

/// `log Z` of conditions: the flow before the first kernel, by a network as that of state flows.
fn log_z(recipe: &Recipe, condition: usize) -> StateFlow {
    let StateFlowRecipe { hidden, activation } = recipe.state_flow.clone().unwrap_or_default();
    StateFlow::of_conditions(condition, &hidden, activation, recipe.seed)
}

fn build_model(recipe: &Recipe, data: &TargetData, run: Option<&Model>, sizes: [usize; 2]) -> Result<Model> {
    let (data, energy) = match data {
        TargetData::Rows(data) => (Some(data), None),
        TargetData::Energy(energy) => (None, Some(energy)),
    };
    let mut segments: Vec<Box<dyn Segment>> = Vec::new();
    surrounded(recipe, Found { data, energy, run }, sizes, |part, around| {
        if around.integers().is_some() && !part.takes_integers() {
            let found = format!("\"{}\" next to integer data", part.kind());
            return Err(around
                .place
                .problem("kind", found)
                .allowed("\"dequantise\" between it and the data, or a diffusion or VAE next to the data")
                .into());
        }
        if around.prefix > 0 && !part.reads_prefix() {
            let found = format!("\"{}\" given the states of a prefix", part.kind());
            return Err(around
                .place
                .problem("kind", found)
                .allowed("\"jump\", or \"autoregressive\" in any order; or target.prefix = 0, of which a model in a fixed order knows every prefix")
                .into());
        }
        let few = data.is_some_and(|data| !data.summary.discrete.is_empty());
        if few && around.place.is_last() && !part.takes_few_values() {
            let found = format!("\"{}\" next to data with columns of few values", part.kind());
            return Err(around
                .place
                .problem("kind", found)
                .allowed("\"probit\" between it and the data")
                .into());
        }
        let through_states = super::learns(recipe) && recipe.objective.needs().through_states;
        if let (true, Asks::Curvature, Some(energy)) = (through_states, part.asks(), energy)
            && !energy.has_curvature()
        {
            let found = "one that is differentiated through kernels that follow a gradient, of a target without second derivatives";
            return Err(Problem::new("objective.kind", found)
                .allowed("\"trajectory-balance\", \"log-variance\" or another of states at rest; or kernels that follow none")
                .into());
        }
        let built = part.build(around)?;
        let inner = built.inner_dimension();
        segments.push(built);
        Ok(inner)
    })?;
    segments.reverse();
    Ok(Model::new(segments))
}
