//! The instances that the laws run over, and the names that all of them use.

use std::sync::Arc;

pub use anabranch::array::lattice;
pub use anabranch::array::shape::Transform;
pub use anabranch::array::weights::{Weights, matrix, to_vec, to_vec_f64};
pub use anabranch::chain::{Densities, Given, Score, State, Transition, double};
pub use anabranch::data::Discrete;
pub use anabranch::estimate::evidence;
pub use anabranch::kernel::bijection::{
    ActNorm, Autoregressive, Bijection, BijectionStep, Constrain, Constraint, Correlate, Coupling, Direction,
    Logit, LowRank, LuLinear, Permutation, Split, Standardise, UnitLower,
};
pub use anabranch::kernel::jump::{Answer, Process, Rates, Scheme};
pub use anabranch::kernel::law::centres;
pub use anabranch::math::Estimate;
pub use anabranch::model::annealed::controlled::{Guide, Reference};
pub use anabranch::model::annealed::{
    AnnealingPath, Base, Controlled, Decay, Drift, Friction, Ladder, Langevin, PathKind, Reversal, StepSizes,
    Underdamped,
};
pub use anabranch::model::autoregressive::{Autoregressive as Sequence, SequenceNetwork};
pub use anabranch::model::denoiser::{Denoiser, Factors, NetworkDenoiser, Prediction};
pub use anabranch::model::diffusion::{Diffusion, LastMean, NoiseSchedule, Observation, Weighting};
pub use anabranch::model::flow::probit::Probit;
pub use anabranch::model::flow::{Dequantise, Flow};
pub use anabranch::model::jump::denoiser::{
    CategoricalDenoiser, Classifier, NetworkDenoiser as CategoryNetwork,
};
pub use anabranch::model::jump::sampling::{Sampling, SamplingOrder};
pub use anabranch::model::jump::unmasking::{Next, Unmasking};
pub use anabranch::model::jump::{Clock, Jump, Loss};
pub use anabranch::model::ode::Divergence;
pub use anabranch::model::part::{Place, Surroundings};
pub use anabranch::model::path::forward_log_weights;
pub use anabranch::model::path::{Path, States};
pub use anabranch::model::recipe::SegmentRecipe;
pub use anabranch::model::schedule::{LearnedGamma, cosine, linear, log_linear};
pub use anabranch::model::vae::{ObservationModel, Vae};
pub use anabranch::model::{Goal, Model, Segment};
pub use anabranch::network::embedding::{sinusoidal, sinusoidal_composed};
pub use anabranch::network::taped::{Body, CoordinateNetwork, Coordinates, Shape};
pub use anabranch::network::{
    Activation, CausalTransformer, Feedforward, HollowNetwork, MaskedNetwork, Network,
};
pub use anabranch::rng::{Noise, Purpose};
pub use anabranch::sampler::Sampler;
pub use anabranch::target::{DiagonalGaussian, FullGaussian, Target, log_density};
pub use burn::tensor::{Device, Tensor};

/// No condition.
pub const NOTHING: &Given = &Given::nothing();

/// The densities of a given pair of states, where the kernel has them.
pub fn densities_of(step: &dyn Transition, before: &State, after: &State) -> Option<Densities> {
    match step.score(before, after, NOTHING).expect("a kernel that does not fail") {
        Score::Densities(densities) => Some(densities),
        Score::Ratio(_) | Score::Deterministic => None,
    }
}

pub fn noise(step: u32) -> Noise {
    Noise::new(2024, Purpose::Metric).step(step)
}

/// Weights drawn at random, so that nothing is tested at its start, where many maps are the identity.
pub fn stir<'a>(weights: impl IntoIterator<Item = &'a mut Weights>, scale: f32) {
    for (index, weights) in weights.into_iter().enumerate() {
        let jitter = noise(1000 + index as u32).normal(1, weights.len());
        weights.set(weights.values().iter().zip(jitter).map(|(w, e)| w + scale * e).collect());
    }
}

pub fn network(input: usize, context: usize, output: usize, residual: bool) -> Network {
    let shape =
        Feedforward { input, context, hidden: vec![16, 16], output, activation: Activation::Silu, residual };
    Network::new("net", shape, 5, 0, false)
}

/// What networks over coordinates put their tokens through.
pub fn bodies() -> [(&'static str, Body); 2] {
    let shape = Shape { layers: 1, heads: 2, width: 8, inner: 8, activation: Activation::Gelu };
    let sets = Body::Sets { width: 8, hidden: vec![12], activation: Activation::Silu };
    [("transformer", Body::Transformer(shape)), ("sets", sets)]
}

/// A token for each coordinate, `each` numbers for each of `output` of them.
pub fn over_coordinates(
    [input, context, output, each]: [usize; 4],
    own: bool,
    planar: bool,
    body: Body,
) -> Network {
    let coordinates = Coordinates { input, context, output, each, own, planar, patch: 1, positions: true };
    Network::new("net", CoordinateNetwork::new(coordinates, body), 5, 0, false)
}

/// With a condition of `context` numbers where they can read one.
pub fn bijections([dimension, context]: [usize; 2]) -> Vec<(&'static str, Box<dyn Bijection>)> {
    let spline = Transform::Spline { bins: 6, bound: 3.0 };
    let affine = Transform::Affine { cap: 2.0 };
    let coupling = |split: Split, transform: Transform, residual: bool| -> Box<dyn Bijection> {
        let (pass, change) = split.counts(dimension);
        Box::new(Coupling::new(
            dimension,
            split,
            transform,
            network(pass, context, change * transform.raw_len(), residual),
        ))
    };
    let masked = |direction: Direction, transform: Transform| -> Box<dyn Bijection> {
        let conditioner = MaskedNetwork::new(
            "m",
            [dimension, 1, context],
            &[16, 16],
            transform.raw_len(),
            Activation::Relu,
            3,
            0,
        );
        Box::new(Autoregressive::new(direction, transform, conditioner))
    };
    // What stands above the diagonal is not read.
    let lower = |d: usize| -> Vec<f64> {
        (0..d * d)
            .map(|at| {
                if at % (d + 1) == 0 {
                    0.6 + 0.2 * (at / d) as f64
                } else {
                    0.7 - 0.25 * (at % d) as f64 - 0.1 * (at / d) as f64
                }
            })
            .collect()
    };
    let row = |offset: f32| (0..dimension).map(|i| offset + 0.3 * i as f32).collect::<Vec<f32>>();
    let mut list: Vec<(&'static str, Box<dyn Bijection>)> = vec![
        ("standardise", Box::new(Standardise::new(row(-1.0), row(0.4)))),
        ("actnorm", Box::new(ActNorm::new("a", dimension))),
        ("logit", Box::new(Logit::new(0.05))),
        ("permutation", Box::new(Permutation::random(dimension, 3, 1))),
        ("reversal", Box::new(Permutation::reversal(dimension))),
        ("lu", Box::new(LuLinear::new("lu", dimension))),
        ("coupling-spline-even", coupling(Split::Even, spline, true)),
        ("coupling-spline-first", coupling(Split::FirstHalf, spline, false)),
        (
            "coupling-spline-pass",
            Box::new(
                Coupling::new(
                    dimension,
                    Split::Odd,
                    spline,
                    network(dimension / 2, context, dimension.div_ceil(2) * spline.raw_len(), false),
                )
                .with_pass_transform("pass"),
            ),
        ),
        ("coupling-affine-odd", coupling(Split::Odd, affine, false)),
        ("coupling-affine-second", coupling(Split::SecondHalf, affine, false)),
        ("maf-spline", masked(Direction::Maf, spline)),
        ("maf-affine", masked(Direction::Maf, affine)),
        ("iaf-spline", masked(Direction::Iaf, spline)),
        ("iaf-affine", masked(Direction::Iaf, affine)),
        ("unit-lower", Box::new(UnitLower::new("lower", dimension))),
        ("low-rank", Box::new(LowRank::new("directions", [2, dimension], 3, 0))),
        ("correlate", Box::new(Correlate::new(&lower(dimension), dimension))),
    ];
    for ((name, body), split) in bodies().into_iter().zip([Split::Odd, Split::FirstHalf]) {
        let (pass, change) = split.counts(dimension);
        let conditioner = over_coordinates([pass, 0, change, spline.raw_len()], false, false, body);
        list.push((name, Box::new(Coupling::new(dimension, split, spline, conditioner))));
    }
    list.iter_mut().for_each(|(_, bijection)| stir(bijection.weights_mut(), 0.05));
    list
}

/// Every constraint over all coordinates, and some beside each other.
pub fn constraints(dimension: usize) -> Vec<(&'static str, Constrain)> {
    let interval = Constraint::Interval { low: -1.0, high: 2.5 };
    let alone = |constraint| Constrain::new(vec![(constraint, dimension)]);
    vec![
        ("free", alone(Constraint::Free)),
        ("exp", alone(Constraint::Exp)),
        ("softplus", alone(Constraint::Softplus)),
        ("interval", alone(interval)),
        ("ordered", alone(Constraint::Ordered)),
        ("simplex", alone(Constraint::Simplex)),
        ("blocks", Constrain::new(vec![(Constraint::Exp, 1), (Constraint::Simplex, dimension - 1)])),
    ]
}

/// A guide of a recipe's keys, next to the source and the target.
pub fn guide(keys: &str, dimension: usize) -> Box<dyn Segment> {
    let recipe: SegmentRecipe = toml::from_str(keys).expect("a segment");
    let place = Place { index: 0, before: vec![], after: vec![], learned_after: false };
    let around = Surroundings {
        place,
        dimension,
        levels: 0,
        data: None,
        energy: None,
        run: None,
        seed: 3,
        condition: 0,
        prefix: 0,
        backward: false,
    };
    recipe.part().build(&around).expect("a guide")
}

/// Every guide with weights.
pub fn guides(dimension: usize) -> Vec<(&'static str, Model)> {
    let mut guides: Vec<(&'static str, Box<dyn Segment>)> = vec![
        ("mean-field", guide("kind = 'gaussian'\nstd = 0.8", dimension)),
        ("full-rank", guide("kind = 'gaussian'\ncovariance = 'full'", dimension)),
        ("low-rank", guide("kind = 'gaussian'\ncovariance = 'low-rank'\nrank = 2", dimension)),
        ("mixture", guide("kind = 'mixture'\ncomponents = 3\nspread = 0.5", dimension)),
    ];
    guides.iter_mut().for_each(|(_, guide)| stir(guide.weights_mut(), 0.2));
    guides.into_iter().map(|(name, guide)| (name, Model::new(vec![guide]))).collect()
}

pub fn diffusion(
    schedule: NoiseSchedule,
    prediction: Prediction,
    observation: Observation,
    dimension: usize,
) -> Diffusion {
    let denoiser = network(dimension, 8, dimension * prediction.outputs(), false);
    diffusion_with(denoiser, schedule, prediction, observation)
}

pub fn diffusion_with(
    denoiser: Network,
    schedule: NoiseSchedule,
    prediction: Prediction,
    observation: Observation,
) -> Diffusion {
    let last_mean = match schedule {
        NoiseSchedule::Fixed(_) => LastMean::Denoised,
        NoiseSchedule::Learned { .. } => LastMean::Rescaled,
    };
    let mut diffusion = Diffusion {
        denoiser: Box::new(NetworkDenoiser::new(denoiser, 0)),
        prediction,
        schedule,
        observation,
        last_mean,
        weighting: Weighting::Bound,
    };
    stir(diffusion.weights_mut(), 0.05);
    diffusion
}

pub fn learned(levels: usize) -> NoiseSchedule {
    NoiseSchedule::Learned { gamma: LearnedGamma::new("g", -4.0, 4.0, 8, 1), levels }
}

/// Diffusions whose denoisers have tokens of coordinates.
fn diffusions_of_tokens(
    dimension: usize,
    prediction: &Prediction,
    observation: Observation,
) -> Vec<(&'static str, Model)> {
    let names = ["vdm-transformer", "vdm-sets"];
    let of = |(name, (_, body))| {
        let sizes = [dimension, 8, dimension, prediction.outputs()];
        let denoiser = over_coordinates(sizes, true, false, body);
        let segment = diffusion_with(denoiser, learned(8), prediction.clone(), observation);
        (name, Model::new(vec![Box::new(segment)]))
    };
    names.into_iter().zip(bodies()).map(of).collect()
}

/// A variational autoencoder whose encoder is a transformer and whose decoder a deep set.
fn vae_of_tokens(dimension: usize, latent: usize) -> Vae {
    let [(_, transformer), (_, sets)] = bodies();
    let encoder = over_coordinates([dimension, 0, latent, 2], false, true, transformer);
    let decoder = over_coordinates([latent, 0, dimension, 2], false, true, sets);
    let mut vae = Vae::new(ObservationModel::Gaussian, vec![encoder], vec![decoder]);
    stir(vae.weights_mut(), 0.2);
    vae
}

pub fn vae(model: ObservationModel, dimension: usize, latent: &[usize]) -> Vae {
    let sizes: Vec<usize> = [dimension].into_iter().chain(latent.iter().copied()).collect();
    let (mut encoders, mut decoders) = (Vec::new(), Vec::new());
    for (level, pair) in sizes.windows(2).enumerate() {
        let outputs = if level == 0 { model.outputs() } else { 2 };
        encoders.push(network(pair[0], 0, 2 * pair[1], false));
        decoders.push(network(pair[1], 0, outputs * pair[0], false));
    }
    let mut vae = Vae::new(model, encoders, decoders);
    stir(vae.weights_mut(), 0.2);
    vae
}

/// Models on continuous states, whose chains can end in an energy.
pub fn continuous_models(dimension: usize) -> Vec<(&'static str, Model)> {
    let flow = || {
        let mut layers: Vec<Box<dyn Bijection>> = Vec::new();
        for (_, layer) in bijections([dimension, 0]).into_iter().skip(3).take(5) {
            layers.push(layer);
        }
        Box::new(Flow::new(dimension, layers)) as Box<dyn Segment>
    };
    let continuous = |schedule, prediction| -> Box<dyn Segment> {
        Box::new(diffusion(schedule, prediction, Observation::Continuous, dimension))
    };
    let mut models = vec![
        ("flow", Model::new(vec![flow()])),
        ("ddpm-noise", Model::new(vec![continuous(NoiseSchedule::Fixed(linear(10)), Prediction::Noise)])),
        (
            "ddpm-velocity",
            Model::new(vec![continuous(NoiseSchedule::Fixed(cosine(10)), Prediction::Velocity)]),
        ),
        ("vdm-signal", Model::new(vec![continuous(learned(8), Prediction::Signal)])),
        ("vdm-score", Model::new(vec![continuous(learned(8), Prediction::Score)])),
        ("vae", Model::new(vec![Box::new(vae(ObservationModel::Gaussian, dimension, &[2]))])),
        ("hvae", Model::new(vec![Box::new(vae(ObservationModel::Gaussian, dimension, &[3, 2]))])),
        ("indm", Model::new(vec![continuous(learned(6), Prediction::Velocity), flow()])),
        (
            "latent-diffusion",
            Model::new(vec![
                Box::new(diffusion(learned(6), Prediction::Velocity, Observation::Continuous, 2)),
                Box::new(vae(ObservationModel::Gaussian, dimension, &[2])),
            ]),
        ),
        ("vae-of-tokens", Model::new(vec![Box::new(vae_of_tokens(dimension, 2))])),
    ];
    models.extend(diffusions_of_tokens(dimension, &Prediction::Velocity, Observation::Continuous));
    let target = || {
        let row = |first: f32, by: f32| (0..dimension).map(|i| first + by * i as f32).collect();
        Arc::new(DiagonalGaussian { mean: row(0.6, -0.2), std: row(0.5, 0.1), log_z: 0.4 })
    };
    let reversal = |own| own_drift([dimension, dimension], 0.2, own);
    let path = |kind| annealing_path(target(), kind, 4, true);
    let langevin = Langevin { path: path(PathKind::Geometric), reversal: reversal(Reversal::Learned) };
    let controlled = Langevin { path: path(PathKind::Linear), reversal: reversal(Reversal::Controlled) };
    models.push(("langevin", Model::new(vec![Box::new(langevin)])));
    models.push(("controlled-langevin", Model::new(vec![Box::new(controlled)])));
    for (name, reference) in REFERENCES {
        models.push((name, Model::new(vec![Box::new(controlled_diffusion(dimension, reference, None))])));
    }
    models.extend(guides(dimension));
    models
}

/// The processes of controlled diffusions.
pub const REFERENCES: [(&str, Reference); 2] =
    [("brownian", Reference::Brownian), ("ornstein-uhlenbeck", Reference::OrnsteinUhlenbeck(1.5))];

/// A reversal with a network that is not 0.
pub fn own_drift(sizes: [usize; 2], by: f32, made: fn(Drift) -> Reversal) -> Reversal {
    made(drift(sizes, by))
}

pub fn drift([input, output]: [usize; 2], by: f32) -> Drift {
    let mut drift = Drift::new(network(input, 8, output, false), 0, 0.2, 1.2);
    stir([drift.weights_mut()], by * 0.2);
    drift
}

/// A path whose base, ladder and step sizes are not at their start, all learned or none.
pub fn annealing_path(target: Arc<dyn Target>, kind: PathKind, steps: usize, learned: bool) -> AnnealingPath {
    let dimension = target.draw(1, &noise(40)).expect("an exact sampler").len();
    let mut path = AnnealingPath {
        target,
        base: Base::new("base", dimension, 0.2, 1.1, learned),
        draws_base: true,
        kind,
        ladder: Ladder::new("ladder", steps, learned),
        sizes: StepSizes::new("steps", steps, 0.1, Decay::Cosine, learned),
    };
    stir(path.base.weights_mut(), 0.05);
    stir([path.ladder.weights_mut(), path.sizes.weights_mut()], 0.2);
    path
}

pub fn controlled_diffusion(
    dimension: usize,
    reference: Reference,
    target: Option<Arc<dyn Target>>,
) -> Controlled {
    let guide = target.map(|target| {
        let shape = Feedforward {
            input: 8,
            context: 0,
            hidden: vec![8],
            output: dimension,
            activation: Activation::Silu,
            residual: false,
        };
        Guide { target, gate: Network::new("gate", shape, 6, 0, false) }
    });
    let drift = drift([dimension, dimension], 0.1);
    Controlled { dimension, reference, steps: 5, std: 1.2, drift, guide }
}

/// A network over indicators of categories, stirred.
pub fn categorical_network(dimension: usize, states: usize, hollow: bool) -> Box<dyn CategoricalDenoiser> {
    let columns = dimension * states;
    let mut network = match hollow {
        true => Classifier::Hollow(HollowNetwork::new(
            "net",
            [dimension, states, 4],
            &[16, 16],
            Activation::Silu,
            5,
            0,
        )),
        false => Classifier::Open(network(columns, 4, columns, false)),
    };
    match &mut network {
        Classifier::Open(network) => stir([network.weights_mut()], 0.1),
        Classifier::Hollow(network) => stir(network.weights_mut(), 0.2),
        Classifier::HollowTransformer(network) => stir(network.weights_mut(), 0.2),
    }
    Box::new(CategoryNetwork { network, states, embedding: 4 })
}

/// Jump processes of every kind of rates, of answer and of step.
pub fn jumps(dimension: usize, values: usize) -> Vec<(&'static str, Model)> {
    let made = [
        ("jump-uniform", Rates::Uniform, Answer::Signal, Scheme::Ancestral),
        ("jump-masked", Rates::Absorbing, Answer::Signal, Scheme::Ancestral),
        ("jump-birth-death", Rates::BirthDeath, Answer::Conditional, Scheme::Ancestral),
        ("jump-gaussian-leaping", Rates::Gaussian(1.5), Answer::Conditional, Scheme::TauLeaping),
        ("jump-masked-leaping", Rates::Absorbing, Answer::Signal, Scheme::TauLeaping),
        ("jump-ratios-euler", Rates::Uniform, Answer::Marginal, Scheme::Euler),
    ];
    let model = |(name, rates, answer, scheme)| {
        let process = Process::new(rates, values);
        let hollow = answer == Answer::Conditional;
        let denoiser = categorical_network(dimension, process.states(), hollow);
        // Of the cosine clock the steps next to the source are too long for Euler's at any number of them: they are cut.
        let clock = if scheme == Scheme::Euler { Clock::Linear } else { Clock::Cosine };
        let (process, loss) = (Arc::new(process), Loss::Bound(0.0));
        let jump = Jump { denoiser, process, answer, scheme, clock, levels: 6, loss, corrector: 0 };
        (name, Model::new(vec![Box::new(jump)]))
    };
    made.into_iter().map(model).collect()
}

/// Networks over categories in a row, masked or causal, that read a condition of `context` numbers.
pub fn sequences(dimension: usize, values: usize, context: usize) -> Vec<(&'static str, SequenceNetwork)> {
    let sizes = [dimension, values, context];
    let mut masked = MaskedNetwork::new("m", sizes, &[24, 20], values, Activation::Silu, 6, 0);
    stir([masked.weights_mut()], 0.3);
    let shape = Shape { layers: 2, heads: 2, width: 8, inner: 12, activation: Activation::Gelu };
    let mut causal = CausalTransformer::new("c", [dimension, values, context, values], shape, (6, 1, true));
    stir([causal.weights_mut()], 0.2);
    vec![("masked", SequenceNetwork::Masked(masked)), ("causal", SequenceNetwork::Transformer(causal))]
}

/// Autoregressive models in a fixed order: by every network, in one step and several, at a temperature.
pub fn in_order(dimension: usize, values: usize) -> Vec<(&'static str, Sequence)> {
    let [(_, masked), (_, causal)] = <[_; 2]>::try_from(sequences(dimension, values, 0)).expect("two");
    let straight: Arc<[usize]> = (0..dimension).collect();
    let turned: Arc<[usize]> = (0..dimension).map(|d| (d + 2) % dimension).rev().collect();
    let of = |network: &SequenceNetwork, order: &Arc<[usize]>, steps, temperature| Sequence {
        network: network.clone(),
        order: order.clone(),
        steps,
        temperature,
    };
    vec![
        ("masked-perceptron", of(&masked, &straight, dimension, 1.0)),
        ("masked-perceptron-turned", of(&masked, &turned, dimension.min(2), 0.7)),
        ("causal-transformer", of(&causal, &straight, 1, 1.0)),
        ("causal-transformer-turned", of(&causal, &turned, dimension, 1.6)),
    ]
}

/// Chains that take masks away, in every order and in several numbers of steps.
pub fn unmasked(dimension: usize, values: usize) -> Vec<(&'static str, Unmasking)> {
    let of = |next, steps: usize, clock| Unmasking {
        denoiser: categorical_network(dimension, values + 1, false),
        values,
        next,
        steps: steps.min(dimension),
        clock,
    };
    vec![
        ("any-order", of(Next::Any, dimension, Clock::Linear)),
        ("any-order-in-two", of(Next::Any, 2, Clock::Cosine)),
        ("left-to-right", of(Next::First, dimension, Clock::Linear)),
        ("confidence", of(Next::Confident, dimension, Clock::Linear)),
        ("confidence-in-two", of(Next::Confident, 2, Clock::Linear)),
    ]
}

/// Models on integers `0 .. levels`.
pub fn discrete_models(dimension: usize, levels: u32) -> Vec<(&'static str, Model)> {
    let on_levels = |schedule, prediction| -> Box<dyn Segment> {
        Box::new(diffusion(schedule, prediction, Observation::Levels(levels), dimension))
    };
    let mut models = vec![
        ("ddpm", Model::new(vec![on_levels(NoiseSchedule::Fixed(linear(10)), Prediction::Noise)])),
        ("vdm", Model::new(vec![on_levels(learned(8), Prediction::Velocity)])),
        ("vdm-levels", Model::new(vec![on_levels(learned(8), Prediction::Levels(centres(levels)))])),
        (
            "vae",
            Model::new(vec![Box::new(vae(ObservationModel::DiscretisedLogistic(levels), dimension, &[2]))]),
        ),
    ];
    let prediction = Prediction::Levels(centres(levels));
    models.extend(diffusions_of_tokens(dimension, &prediction, Observation::Levels(levels)));
    models.extend(jumps(dimension, levels as usize));
    let boxed = |model: Box<dyn Segment>| Model::new(vec![model]);
    models.extend(in_order(dimension, levels as usize).into_iter().map(|(n, m)| (n, boxed(Box::new(m)))));
    models.extend(unmasked(dimension, levels as usize).into_iter().map(|(n, m)| (n, boxed(Box::new(m)))));
    if levels == 2 {
        models.push((
            "bernoulli",
            Model::new(vec![Box::new(vae(ObservationModel::Bernoulli, dimension, &[2]))]),
        ));
    }
    models
}

pub fn states(rows: usize, columns: usize, scale: f32, step: u32) -> State {
    matrix(noise(step).normal(rows, columns), columns, &Device::flex()) * scale
}

pub fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

pub fn doubles(values: Tensor<1>) -> Vec<f64> {
    to_vec_f64(double(values))
}
