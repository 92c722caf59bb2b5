//! From a checked recipe to data, a model and an energy.

use std::path::Path;
use std::sync::Arc;

use super::segment::{
    CouplingKind, DiffusionRecipe, FlowRecipe, Mixing, ObservationName, PredictionName, ScheduleName,
    SegmentRecipe, TransformerName, VaeRecipe, WeightingName,
};
use super::target::build_energy;
use super::{ChainRecipe, StateFlowRecipe, TargetRecipe, size};
use crate::array::shape::Transform;
use crate::array::weights::to_vec_f64;
use crate::chain::Given;
use crate::data::{Dataset, Table};
use crate::error::{Problem, Result};
use crate::estimate::evidence;
use crate::estimate::likelihood::{Bound, nll};
use crate::kernel::bijection::{
    ActNorm, Autoregressive, Bijection, Coupling, Direction, Logit, LuLinear, Permutation, Split, Standardise,
};
use crate::kernel::law::centres;
use crate::model::denoiser::{NetworkDenoiser, Prediction};
use crate::model::diffusion::{Diffusion, LastMean, NoiseSchedule, Observation, Weighting};
use crate::model::flow::{Dequantise, Flow};
use crate::model::path::forward_log_weights;
use crate::model::schedule::{LearnedGamma, cosine, linear, log_linear};
use crate::model::state_flow::StateFlow;
use crate::model::vae::{ObservationModel, Vae};
use crate::model::{Model, Segment};
use crate::network::{MaskedNetwork, Network};
use crate::objective::Objective;
use crate::recipe::NetworkRecipe;
use crate::recipe::network::Asked;
use crate::rng::{Address, Noise, Purpose};
use crate::target::{Failure, Target};
use crate::train::Trainer;
use crate::train::chain::{ChainLearner, ChainTask, Ends};

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
    pub recipe: ChainRecipe,
    /// What the model learns from.
    pub data: TargetData,
    /// The model with its initial weights.
    pub model: Model,
    /// `log F` of the states on the way, where the objective needs it.
    pub flow: Option<StateFlow>,
}

impl ChainPlan {
    /// Loads a checked recipe's data and builds its model.
    pub(in crate::recipe) fn new(recipe: ChainRecipe) -> Result<Self> {
        let rows = |data: Dataset| (data.columns, TargetData::Rows(data));
        let (dimension, data) = match &recipe.target {
            TargetRecipe::Table(table) => rows(table.load()?),
            TargetRecipe::Toy(toy) => rows(toy.load(recipe.seed)?),
            TargetRecipe::Energy { energy } => {
                let (energy, dimension) = build_energy(energy)?;
                (dimension, TargetData::Energy(energy))
            }
        };
        size::check(&recipe, dimension)?;
        if let (TargetData::Energy(energy), false) = (&data, recipe.objective.needs_target())
            && energy.draw(1, &Noise::new(0, Purpose::Target)).is_none()
        {
            return Err(Problem::new("objective.kind", "an objective that learns from samples")
                .allowed(
                    "\"reverse-kl\", \"trajectory-balance\" or \"log-variance\": this energy has no sampler",
                )
                .into());
        }
        if let TargetData::Energy(energy) = &data
            && energy.condition_width() > 0
        {
            let found = "a target that depends on a condition, which a chain does not see";
            return Err(Problem::new("target.energy", found).allowed("one without conditions").into());
        }
        if let (TargetData::Energy(energy), true) = (&data, recipe.objective.needs().through_states)
            && !energy.has_scores()
        {
            let found = "one that needs the gradient of a target that has none";
            let allowed = "\"trajectory-balance\", \"log-variance\" or another that needs none; \
                           or gradients = true, if the program answers them";
            return Err(Problem::new("objective.kind", found).allowed(allowed).into());
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
        let model = build_model(&recipe, &data, dimension)?;
        let flow = recipe.objective.needs().flow.then(|| state_flow(&recipe, &model)).transpose()?;
        Ok(Self { recipe, data, model, flow })
    }

    /// A run at its first step.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn start(&self) -> Result<Trainer<ChainLearner<'_>>> {
        let recipe = &self.recipe;
        let Ok(Objective::Paths(objective)) = recipe.objective.check("objective", recipe.backward) else {
            unreachable!("the recipe was checked");
        };
        let ends = match &self.data {
            TargetData::Rows(data) => {
                static NOTHING: Given = Given::nothing();
                Ends::Rows { rows: &data.train, columns: data.columns, given: &NOTHING }
            }
            TargetData::Energy(energy) => Ends::Target(energy.as_ref()),
        };
        let trainer = Trainer::<ChainLearner<'_>>::new(ChainTask {
            model: self.model.clone(),
            ends,
            objective,
            flow: self.flow.clone(),
            conditions: None,
            log_z: None,
            prior: None,
            score: Box::new(|model| self.validation_score(model)),
            training: recipe.training.clone(),
            optimizer: recipe.optimizer.clone(),
            seed: recipe.seed,
        });
        trainer.map_err(Failure::into_error)
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

    /// How the chain's bound on the likelihood of data is estimated: from some draws of a diffusion's steps, where one stands next
    /// to the source, else along one whole path.
    pub fn bound(&self, model: &Model) -> Bound {
        match model.segments()[0].as_diffusion() {
            Some(_) => Bound::Lower(self.recipe.evaluation.draws),
            None => Bound::Path,
        }
    }

    /// The same in continuous time, where a diffusion with a learned schedule stands next to the source.
    pub fn continuous_bound(&self, model: &Model) -> Option<Bound> {
        let diffusion = model.segments()[0].as_diffusion()?;
        matches!(diffusion.schedule, NoiseSchedule::Learned { .. })
            .then_some(Bound::Continuous(self.recipe.evaluation.draws))
    }

    /// What is to be said of the data before training.
    pub fn notes(&self) -> Vec<String> {
        match &self.data {
            // A mass on integers has its meaning on any column.
            TargetData::Rows(data) if self.recipe.target.levels() == 0 => data.degenerate(),
            _ => Vec::new(),
        }
    }

    /// Reads a file of further rows for the model.
    ///
    /// # Errors
    /// As [`TargetRecipe::read`], or if a number has no logit where the model's last map is one.
    pub fn read(&self, path: &Path) -> Result<Table> {
        let table = self.recipe.target.read(path, self.dimension())?;
        let margins = self.recipe.model.iter().enumerate().filter_map(|(index, segment)| match segment {
            SegmentRecipe::Logit(logit) if self.recipe.target.levels() == 0 => Some((index, logit.margin)),
            _ => None,
        });
        for (index, margin) in margins {
            let logit = Logit::new(margin);
            let Some(at) = table.values.iter().position(|value| !logit.holds(*value)) else { continue };
            let [low, high] = logit.ends();
            let (row, label) = (at / table.columns + 1, &table.labels[at % table.columns]);
            let place = format!("{}, row {row}, {label}", path.display());
            return Err(Problem::new(place, table.values[at].to_string())
                .allowed(format!(
                    "a number between {low} and {high}, where the logit of model.{index} ends (margin = {margin})"
                ))
                .into());
        }
        Ok(table)
    }

    /// The score by which training stops and chooses: nats per validation row, or `-ELBO` on an energy.
    ///
    /// # Errors
    /// If the energy does not answer.
    pub fn validation_score(&self, model: &Model) -> Result<f64, Failure> {
        Ok(match &self.data {
            TargetData::Rows(data) => {
                let rows = if data.validation.is_empty() { &data.train } else { &data.validation };
                let rows = &rows[..rows.len().min(2000 * data.columns)];
                nll(model, rows, &Given::nothing(), Bound::Lower(2), &self.validation_noise())?.value
            }
            TargetData::Energy(energy) => {
                let noise = self.validation_noise();
                let weights =
                    forward_log_weights(&model.frozen(), energy.as_ref(), 2000, &Given::nothing(), &noise)?;
                -evidence(&to_vec_f64(weights)).elbo.value
            }
        })
    }
}

/// The network of state flows, which all states of a chain share.
fn state_flow(recipe: &ChainRecipe, model: &Model) -> Result<StateFlow> {
    let dimension = model.dimension();
    if let Some(other) = model.segments().iter().find(|segment| segment.inner_dimension() != dimension) {
        let found = format!("state flows of {} and of {dimension} coordinates", other.inner_dimension());
        return Err(Problem::new("objective.kind", found)
            .allowed("an objective without state flows, such as \"trajectory-balance\"; or segments of one dimension")
            .into());
    }
    let StateFlowRecipe { hidden, activation } = recipe.state_flow.clone().unwrap_or_default();
    Ok(StateFlow::new([dimension, 0], &hidden, activation.into(), recipe.seed))
}

fn build_model(recipe: &ChainRecipe, data: &TargetData, dimension: usize) -> Result<Model> {
    let levels = recipe.target.levels();
    let mut outer = dimension;
    // Whether the states on the segment's outer side are still the data's integers.
    let mut discrete = levels > 0;
    let mut shift = 0.0;
    let mut segments: Vec<Box<dyn Segment>> = Vec::new();
    for (index, segment) in recipe.model.iter().enumerate().rev() {
        let key = format!("model.{index}");
        let builder = Builder { seed: recipe.seed, index, dimension: outer };
        let accepts_integers = matches!(
            segment,
            SegmentRecipe::Dequantise {} | SegmentRecipe::Diffusion(_) | SegmentRecipe::Vae(_)
        );
        if discrete && !accepts_integers {
            return Err(Problem::new(
                format!("{key}.kind"),
                format!("\"{}\" next to integer data", segment.kind()),
            )
            .allowed("\"dequantise\" between it and the data, or a diffusion or VAE next to the data")
            .into());
        }
        let built: Box<dyn Segment> = match segment {
            SegmentRecipe::Diffusion(diffusion) => {
                Box::new(builder.diffusion(diffusion, discrete.then_some(levels), &key)?)
            }
            SegmentRecipe::Flow(flow) => Box::new(builder.flow(flow, &key)?),
            SegmentRecipe::Vae(vae) => Box::new(builder.vae(vae, discrete.then_some(levels), &key)?),
            SegmentRecipe::Dequantise {} => {
                if !discrete {
                    return Err(Problem::new(format!("{key}.kind"), "\"dequantise\" on continuous data")
                        .allowed("it only where target.levels is above 0")
                        .into());
                }
                shift = 0.5;
                Box::new(Dequantise::new(outer, levels))
            }
            SegmentRecipe::Standardise {} => {
                let TargetData::Rows(data) = data else {
                    return Err(Problem::new(format!("{key}.kind"), "\"standardise\" on an energy")
                        .allowed("it only where the target is data")
                        .into());
                };
                Box::new(Flow::new(outer, vec![Box::new(standardise(data, shift))]))
            }
            SegmentRecipe::Logit(logit) => {
                let TargetData::Rows(data) = data else {
                    return Err(Problem::new(format!("{key}.kind"), "\"logit\" on an energy")
                        .allowed("it only where the target is data")
                        .into());
                };
                let outside = data
                    .train
                    .iter()
                    .chain(&data.validation)
                    .chain(&data.test)
                    .find(|v| !(0.0..=1.0).contains(*v));
                if let (0, Some(value)) = (levels, outside) {
                    return Err(Problem::new(
                        format!("{key}.kind"),
                        format!("\"logit\" on data with {value}"),
                    )
                    .allowed("it on data with levels, or within [0, 1]")
                    .into());
                }
                let mut layers: Vec<Box<dyn Bijection>> = vec![Box::new(Logit::new(logit.margin))];
                if levels > 0 {
                    let scale = vec![levels as f32; outer];
                    layers.push(Box::new(Standardise::new(vec![0.0; outer], scale)));
                }
                Box::new(Flow::new(outer, layers))
            }
        };
        discrete = false;
        outer = built.inner_dimension();
        segments.push(built);
    }
    segments.reverse();
    Ok(Model::new(segments))
}

/// Means and standard deviations of the training split; `shift` and the matching variance are those of uniform noise.
fn standardise(data: &Dataset, shift: f64) -> Standardise {
    let rows = (data.train.len() / data.columns) as f64;
    let column = |c: usize| data.train.iter().skip(c).step_by(data.columns).map(|v| f64::from(*v));
    let (mut mean, mut std) = (Vec::new(), Vec::new());
    for c in 0..data.columns {
        let average = column(c).sum::<f64>() / rows;
        let variance = column(c).map(|v| (v - average).powi(2)).sum::<f64>() / rows + shift * shift / 3.0;
        mean.push((average + shift) as f32);
        // Of a constant column, or one that f32 hardly tells from one, rounding is all there is to scale.
        let varies = variance > 1e-12 * (average * average + variance);
        let scale = if varies { variance.sqrt() as f32 } else { 1.0 };
        std.push(if scale >= f32::MIN_POSITIVE { scale } else { 1.0 });
    }
    Standardise::new(mean, std)
}

struct Builder {
    seed: u64,
    index: usize,
    dimension: usize,
}

impl Builder {
    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.index)
    }

    fn stream(&self, part: usize) -> u32 {
        (self.index << 12 | part) as u32
    }

    fn diffusion(&self, recipe: &DiffusionRecipe, levels: Option<u32>, key: &str) -> Result<Diffusion> {
        let prediction = match (recipe.prediction, levels) {
            (PredictionName::Noise, _) => Prediction::Noise,
            (PredictionName::Signal, _) => Prediction::Signal,
            (PredictionName::Velocity, _) => Prediction::Velocity,
            (PredictionName::Score, _) => Prediction::Score,
            (PredictionName::Levels, Some(levels)) => Prediction::Levels(centres(levels)),
            (PredictionName::Levels, None) => {
                return Err(Problem::new(format!("{key}.prediction"), "\"levels\" on continuous states")
                    .allowed("it only next to integer data; \"noise\", \"signal\", \"velocity\" or \"score\"")
                    .into());
            }
        };
        let asked = Asked {
            input: self.dimension,
            context: recipe.embedding,
            output: self.dimension,
            each: prediction.outputs(),
            own: true,
            planar: false,
        };
        let denoiser = recipe.network().over_coordinates(&format!("{key}.network"), asked)?;
        let network = Network::new(self.name("denoiser"), denoiser, self.seed, self.stream(0), true);
        let (schedule, last_mean) = match recipe.schedule {
            ScheduleName::Linear => (NoiseSchedule::Fixed(linear(recipe.levels)), LastMean::Denoised),
            ScheduleName::Cosine => (NoiseSchedule::Fixed(cosine(recipe.levels)), LastMean::Denoised),
            ScheduleName::LogLinear => {
                let (first, last) = (f64::from(recipe.gamma_first), f64::from(recipe.gamma_last));
                (NoiseSchedule::Fixed(log_linear(recipe.levels, first, last)), LastMean::Denoised)
            }
            ScheduleName::Learned => {
                let (first, last) = (recipe.gamma_first, recipe.gamma_last);
                let gamma = LearnedGamma::new(self.name("gamma"), first, last, 32, self.seed);
                (NoiseSchedule::Learned { gamma, levels: recipe.levels }, LastMean::Rescaled)
            }
        };
        Ok(Diffusion {
            denoiser: Box::new(NetworkDenoiser::new(network, 0)),
            prediction,
            schedule,
            observation: levels.map_or(Observation::Continuous, Observation::Levels),
            last_mean,
            weighting: match recipe.weighting {
                WeightingName::Bound => Weighting::Bound,
                WeightingName::Simple => Weighting::Simple,
                WeightingName::MinSnr => Weighting::MinSnr(5.0),
            },
        })
    }

    fn flow(&self, recipe: &FlowRecipe, key: &str) -> Result<Flow> {
        let d = self.dimension;
        if d < 2 && recipe.coupling == CouplingKind::Coupling {
            return Err(Problem::new(format!("{key}.coupling"), "\"coupling\" in one dimension")
                .allowed("\"autoregressive\" or \"inverse-autoregressive\"")
                .into());
        }
        let transform = match recipe.transformer {
            TransformerName::Affine => Transform::Affine { cap: 3.0 },
            TransformerName::Spline => Transform::Spline { bins: recipe.bins, bound: recipe.bound },
        };
        let mut layers: Vec<Box<dyn Bijection>> = Vec::new();
        for layer in 0..recipe.layers {
            let name = |part: &str| self.name(&format!("{layer}.{part}"));
            match recipe.mixing {
                Mixing::Lu => {
                    layers.push(Box::new(Permutation::random(d, self.seed, self.stream(2048 + layer))));
                    layers.push(Box::new(LuLinear::new(name("lu"), d)));
                }
                Mixing::Permutation => {
                    layers.push(Box::new(Permutation::random(d, self.seed, self.stream(2048 + layer))));
                }
                Mixing::Reversal => layers.push(Box::new(Permutation::reversal(d))),
                Mixing::None => {}
            }
            layers.push(match recipe.coupling {
                CouplingKind::Coupling => {
                    let split = if layer % 2 == 0 { Split::Even } else { Split::Odd };
                    let (pass, change) = split.counts(d);
                    let asked = Asked {
                        input: pass,
                        context: 0,
                        output: change,
                        each: transform.raw_len(),
                        own: false,
                        planar: false,
                    };
                    let conditioner = recipe.network().over_coordinates(&format!("{key}.network"), asked)?;
                    let network =
                        Network::new(name("conditioner"), conditioner, self.seed, self.stream(layer), true);
                    let coupling = Coupling::new(d, split, transform, network);
                    Box::new(match recipe.pass_spline {
                        true => coupling.with_pass_transform(name("pass")),
                        false => coupling,
                    })
                }
                CouplingKind::Autoregressive | CouplingKind::InverseAutoregressive => {
                    let direction = match recipe.coupling {
                        CouplingKind::Autoregressive => Direction::Maf,
                        _ => Direction::Iaf,
                    };
                    let NetworkRecipe::Mlp { hidden, activation, .. } = recipe.network() else {
                        let found = recipe.network().name();
                        return Err(Problem::new(format!("{key}.network.kind"), found).allowed("mlp").into());
                    };
                    let masked = MaskedNetwork::new(
                        name("conditioner"),
                        [d, 0],
                        &hidden,
                        transform.raw_len(),
                        activation.into(),
                        self.seed,
                        self.stream(layer),
                    );
                    Box::new(Autoregressive::new(direction, transform, masked))
                }
            });
            if recipe.actnorm {
                layers.push(Box::new(ActNorm::new(name("actnorm"), d)));
            }
        }
        Ok(Flow::new(d, layers))
    }

    fn vae(&self, recipe: &VaeRecipe, levels: Option<u32>, key: &str) -> Result<Vae> {
        let observation = match (recipe.observation, levels) {
            (ObservationName::DiscretisedLogistic, Some(levels)) => {
                ObservationModel::DiscretisedLogistic(levels)
            }
            (ObservationName::Bernoulli, Some(2)) => ObservationModel::Bernoulli,
            (ObservationName::Gaussian, None) => ObservationModel::Gaussian,
            (name, levels) => {
                let data = levels
                    .map_or("continuous data".to_owned(), |levels| format!("data with {levels} levels"));
                return Err(Problem::new(format!("{key}.observation"), format!("\"{}\" on {data}", name.name()))
                    .allowed("\"gaussian\" on continuous data, \"bernoulli\" on two levels, \"discretised-logistic\" on levels")
                    .into());
            }
        };
        let network =
            |part: &str, stream: usize, input: usize, output: usize, each: usize| -> Result<Network> {
                // Means stand before scales.
                let asked = Asked { input, context: 0, output, each, own: false, planar: true };
                let architecture = recipe.network().over_coordinates(&format!("{key}.network"), asked)?;
                Ok(Network::new(self.name(part), architecture, self.seed, self.stream(stream), false))
            };
        let dimensions: Vec<usize> =
            [self.dimension].into_iter().chain(recipe.latent.iter().copied()).collect();
        let (mut encoders, mut decoders) = (Vec::new(), Vec::new());
        for (level, pair) in dimensions.windows(2).enumerate() {
            let each = if level == 0 { observation.outputs() } else { 2 };
            encoders.push(network(&format!("encoder.{level}"), 2 * level, pair[0], pair[1], 2)?);
            decoders.push(network(&format!("decoder.{level}"), 2 * level + 1, pair[1], pair[0], each)?);
        }
        Ok(Vae::new(observation, encoders, decoders))
    }
}
