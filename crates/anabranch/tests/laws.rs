//! The laws, each over every instance: a new kernel, chain or target is covered by adding it to a list.

use anabranch::chain::{State, Transition, double};
use anabranch::estimate::evidence;
use anabranch::fused::lattice;
use anabranch::kernel::bijection::{
    ActNorm, Autoregressive, Bijection, BijectionStep, Coupling, Direction, Logit, LuLinear, Permutation,
    Split, Standardise,
};
use anabranch::kernel::law::centres;
use anabranch::kernel::transformer::Transform;
use anabranch::math::Estimate;
use anabranch::model::denoiser::{Denoiser, Factors, NetworkDenoiser, Prediction};
use anabranch::model::diffusion::{Diffusion, LastMean, Observation, Schedule, Weighting};
use anabranch::model::flow::{Dequantise, Flow};
use anabranch::model::schedule::{LearnedGamma, cosine, linear, log_linear};
use anabranch::model::vae::{ObservationModel, Vae};
use anabranch::model::{Goal, Model, Segment};
use anabranch::network::weights::{Weights, matrix, to_vec, to_vec_f64};
use anabranch::network::{Activation, Feedforward, MaskedNetwork, Network};
use anabranch::objective::forward_log_weights;
use anabranch::objective::path::Path;
use anabranch::rng::{Noise, Purpose};
use anabranch::sampler::Sampler;
use anabranch::target::{DiagonalGaussian, Energy, FullGaussian, Funnel, ManyWell, Mixture, Toy};
use burn::tensor::{Device, Tensor};

fn noise(step: u32) -> Noise {
    Noise::new(2024, Purpose::Metric).step(step)
}

/// Weights drawn at random, so that nothing is tested at its start, where many maps are the identity.
fn stir<'a>(weights: impl IntoIterator<Item = &'a mut Weights>, scale: f32) {
    for (index, weights) in weights.into_iter().enumerate() {
        let jitter = noise(1000 + index as u32).normal(1, weights.len());
        weights.set(weights.values().iter().zip(jitter).map(|(w, e)| w + scale * e).collect());
    }
}

fn network(input: usize, context: usize, output: usize, residual: bool) -> Network {
    let shape =
        Feedforward { input, context, hidden: vec![16, 16], output, activation: Activation::Silu, residual };
    Network::new("net", shape, 5, 0, false)
}

fn bijections(dimension: usize) -> Vec<(&'static str, Box<dyn Bijection>)> {
    let spline = Transform::Spline { bins: 6, bound: 3.0 };
    let affine = Transform::Affine { cap: 2.0 };
    let coupling = |split: Split, transform: Transform, residual: bool| -> Box<dyn Bijection> {
        let (pass, change) = split.counts(dimension);
        Box::new(Coupling::new(
            dimension,
            split,
            transform,
            network(pass, 0, change * transform.raw_len(), residual),
        ))
    };
    let masked = |direction: Direction, transform: Transform| -> Box<dyn Bijection> {
        let conditioner =
            MaskedNetwork::new("m", dimension, &[16, 16], transform.raw_len(), Activation::Relu, 3, 0);
        Box::new(Autoregressive::new(direction, transform, conditioner))
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
                    network(dimension / 2, 0, dimension.div_ceil(2) * spline.raw_len(), false),
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
    ];
    list.iter_mut().for_each(|(_, bijection)| stir(bijection.weights_mut(), 0.05));
    list
}

fn diffusion(
    schedule: Schedule,
    prediction: Prediction,
    observation: Observation,
    dimension: usize,
) -> Diffusion {
    let last_mean = match schedule {
        Schedule::Fixed(_) => LastMean::Denoised,
        Schedule::Learned { .. } => LastMean::Rescaled,
    };
    let mut diffusion = Diffusion {
        denoiser: Box::new(NetworkDenoiser::new(network(
            dimension,
            8,
            dimension * prediction.outputs(),
            false,
        ))),
        prediction,
        schedule,
        observation,
        last_mean,
        weighting: Weighting::Bound,
    };
    stir(diffusion.weights_mut(), 0.05);
    diffusion
}

fn learned(levels: usize) -> Schedule {
    Schedule::Learned { gamma: LearnedGamma::new("g", -4.0, 4.0, 8, 1), levels }
}

fn vae(model: ObservationModel, dimension: usize, latent: &[usize]) -> Vae {
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
fn continuous_models(dimension: usize) -> Vec<(&'static str, Model)> {
    let flow = || {
        let mut layers: Vec<Box<dyn Bijection>> = Vec::new();
        for (_, layer) in bijections(dimension).into_iter().skip(3).take(5) {
            layers.push(layer);
        }
        Box::new(Flow::new(dimension, layers)) as Box<dyn Segment>
    };
    let continuous = |schedule, prediction| -> Box<dyn Segment> {
        Box::new(diffusion(schedule, prediction, Observation::Continuous, dimension))
    };
    vec![
        ("flow", Model::new(vec![flow()])),
        ("ddpm-noise", Model::new(vec![continuous(Schedule::Fixed(linear(10)), Prediction::Noise)])),
        ("ddpm-velocity", Model::new(vec![continuous(Schedule::Fixed(cosine(10)), Prediction::Velocity)])),
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
    ]
}

/// Models on integers `0 .. levels`.
fn discrete_models(dimension: usize, levels: u32) -> Vec<(&'static str, Model)> {
    let on_levels = |schedule, prediction| -> Box<dyn Segment> {
        Box::new(diffusion(schedule, prediction, Observation::Levels(levels), dimension))
    };
    let mut models = vec![
        ("ddpm", Model::new(vec![on_levels(Schedule::Fixed(linear(10)), Prediction::Noise)])),
        ("vdm", Model::new(vec![on_levels(learned(8), Prediction::Velocity)])),
        ("vdm-levels", Model::new(vec![on_levels(learned(8), Prediction::Levels(centres(levels)))])),
        (
            "vae",
            Model::new(vec![Box::new(vae(ObservationModel::DiscretisedLogistic(levels), dimension, &[2]))]),
        ),
    ];
    if levels == 2 {
        models.push((
            "bernoulli",
            Model::new(vec![Box::new(vae(ObservationModel::Bernoulli, dimension, &[2]))]),
        ));
    }
    models
}

fn states(rows: usize, columns: usize, scale: f32, step: u32) -> State {
    matrix(noise(step).normal(rows, columns), columns, &Device::flex()) * scale
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn doubles(values: Tensor<1>) -> Vec<f64> {
    to_vec_f64(double(values))
}

/// Law 1: forward's ratio is the densities' difference, backward's its negative.
#[test]
fn law_1_ratio() {
    let mut models = continuous_models(4);
    models.extend(discrete_models(4, 5));
    models.extend(discrete_models(4, 2));
    models.push((
        "dequantise",
        Model::new(vec![
            Box::new(Flow::new(3, vec![Box::new(Standardise::new(vec![2.5; 3], vec![1.0; 3]))])),
            Box::new(Dequantise::new(3, 5)),
        ]),
    ));
    let mut checked = 0;
    for (name, model) in &models {
        let chain = model.chain();
        let mut before: Vec<State> = Vec::new();
        chain.sample_observed(64, &noise(1), |_, state| before.push(state.clone()));
        for (index, transition) in chain.transitions.iter().enumerate() {
            let from = before[index].clone();
            let forward = transition.forward(from.clone(), &noise(2));
            let Some(densities) = transition.densities(&from, &forward.state) else { continue };
            let expected = doubles(densities.backward - densities.forward);
            let tolerance = 1e-3 * expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            let found = doubles(forward.log_ratio);
            assert!(largest_difference(&found, &expected) <= tolerance, "{name}, step {index} forward");
            let backward = transition.backward(forward.state.clone(), &noise(3));
            let densities =
                transition.densities(&backward.state, &forward.state).expect("densities exist both ways");
            let expected = doubles(densities.forward - densities.backward);
            let tolerance = 1e-3 * expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            let found = doubles(backward.log_ratio);
            assert!(largest_difference(&found, &expected) <= tolerance, "{name}, step {index} backward");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} kernels with densities were checked");
}

/// Law 2: the mean weight is Z, and the mean log-weight no more than log Z, on asymmetric targets, for any chain.
#[test]
fn law_2_jarzynski() {
    // Wide chains onto narrow targets keep the weights' variance finite.
    let target =
        DiagonalGaussian { mean: vec![0.4, -0.3, 0.2, 0.0], std: vec![0.5, 0.4, 0.6, 0.5], log_z: 1.3 };
    for (name, model) in continuous_models(4) {
        let log_weights =
            to_vec_f64(forward_log_weights(&model, &target, 200_000, &noise(7).purpose(Purpose::Forward)));
        let found = evidence(&log_weights);
        let exact = target.log_z().expect("known");
        assert!(found.elbo.value <= exact + 4.0 * found.elbo.error, "{name}: {found:?}");
        // One path in 200 carrying weight is the least that makes the error bound meaningful.
        if found.ess > 0.005 {
            assert!((found.log_z.value - exact).abs() < 5.0 * found.log_z.error + 1e-3, "{name}: {found:?}");
        }
        // The other side of the sandwich, which no chain can fail to cover.
        let rows = target.sample(20_000, &noise(8).purpose(Purpose::Target)).expect("exact sampler");
        let x = matrix(rows, 4, &Device::flex());
        let reward = double(target.log_density(&x));
        let backward = to_vec_f64(reward - model.chain().encode(x, &noise(9)).log_weight);
        let upper = Estimate::mean(&backward);
        assert!(upper.value >= exact - 4.0 * upper.error, "{name}: {upper:?}");
        let negated: Vec<f64> = backward.iter().map(|log_weight| -log_weight).collect();
        let inverse = evidence(&negated);
        if inverse.ess > 0.02 {
            let error = (inverse.log_z.value + exact).abs();
            assert!(error < 5.0 * inverse.log_z.error + 1e-3, "{name}: E_backward[1/w] = 1/Z, {inverse:?}");
        }
    }
}

/// Law 3: inverse and forward undo each other, and the log-determinant is that of the Jacobian by differences.
#[test]
fn law_3_bijection() {
    for dimension in [2, 3, 5] {
        for (name, bijection) in bijections(dimension) {
            let z = states(40, dimension, 1.5, 20);
            let (x, log_det) = bijection.forward(z.clone());
            let (back, inverse_log_det) = bijection.inverse(x.clone());
            let (z_values, back_values) = (to_vec(z.clone()), to_vec(back));
            for (a, b) in z_values.iter().zip(&back_values) {
                assert!((a - b).abs() < 2e-3 * a.abs().max(1.0), "{name}: {a} came back as {b}");
            }
            let (log_det, inverse_log_det) = (doubles(log_det), doubles(inverse_log_det));
            for (a, b) in log_det.iter().zip(&inverse_log_det) {
                assert!((a + b).abs() < 5e-3, "{name}: log-determinants {a} and {b}");
            }
            let columns = differences(bijection.as_ref(), &z, dimension, false);
            let inverse_columns = differences(bijection.as_ref(), &x, dimension, true);
            // A difference quotient that straddles a knot of a spline is less exact: few may, and none by much.
            let errors = (0..40).flat_map(|row| {
                let forward = log_abs_det(&columns, row, dimension) - log_det[row];
                let inverse = log_abs_det(&inverse_columns, row, dimension) - inverse_log_det[row];
                [forward.abs(), inverse.abs()]
            });
            let mut errors: Vec<f64> = errors.collect();
            errors.sort_by(f64::total_cmp);
            assert!(errors[75] < 1e-2 && errors[79] < 0.3, "{name} in {dimension}: {:?}", &errors[70..]);
        }
    }
}

/// Central difference quotients: `columns[j]` holds `d map / d input_j` for all rows.
fn differences(bijection: &dyn Bijection, at: &State, dimension: usize, inverse: bool) -> Vec<Vec<f64>> {
    let step = 2e-3;
    let map = |x: State| to_vec(if inverse { bijection.inverse(x).0 } else { bijection.forward(x).0 });
    let shifted = |j: usize, by: f32| {
        let mut row = vec![0.0; dimension];
        row[j] = by;
        map(at.clone() + matrix(row, dimension, &Device::flex()))
    };
    (0..dimension)
        .map(|j| {
            let (up, down) = (shifted(j, step), shifted(j, -step));
            up.iter().zip(&down).map(|(u, d)| f64::from(u - d) / (2.0 * f64::from(step))).collect()
        })
        .collect()
}

fn log_abs_det(columns: &[Vec<f64>], row: usize, d: usize) -> f64 {
    let mut m: Vec<Vec<f64>> = (0..d).map(|i| (0..d).map(|j| columns[j][row * d + i]).collect()).collect();
    let mut sum = 0.0;
    for k in 0..d {
        let pivot = (k..d).max_by(|a, b| m[*a][k].abs().total_cmp(&m[*b][k].abs())).expect("rows are left");
        m.swap(k, pivot);
        sum += m[k][k].abs().ln();
        for i in k + 1..d {
            let factor = m[i][k] / m[k][k];
            for j in k..d {
                m[i][j] -= factor * m[k][j];
            }
        }
    }
    sum
}

/// Law 6: on Gaussian data with the exact denoiser, the simple estimate, the full path and the importance-weighted
/// bound agree with the exact log-density as the number of levels grows, in every parametrisation.
#[test]
fn law_6_agreement_of_estimates() {
    // The random network is no exact denoiser; but the simulation-free estimate and the simulated path estimate the
    // same bound, whatever the network.
    for prediction in PARAMETRISATIONS {
        let schedule = Schedule::Fixed(cosine(12));
        let segment = diffusion(schedule, prediction.clone(), Observation::Continuous, 3);
        let model = Model::new(vec![Box::new(segment)]);
        let rows = 40_000;
        let row = [0.5, -1.2, 0.1].repeat(rows);
        let x = matrix(row, 3, &Device::flex());
        let local = model.segments()[0].local(&x, &noise(31), Goal::Bound).expect("a diffusion has one");
        let local = Estimate::mean(&doubles(local));
        let path = Estimate::mean(&to_vec_f64(model.chain().encode(x, &noise(32)).log_weight));
        let error = (local.error.powi(2) + path.error.powi(2)).sqrt();
        assert!((local.value - path.value).abs() < 4.0 * error, "{prediction:?}: {local:?} and {path:?}");
        assert!(error < 0.05 * local.value.abs().max(1.0), "{prediction:?}: the check has power");
    }
}

/// Law 6 on integers: the same agreement where the signal is kept within the data's range.
#[test]
fn law_6_agreement_of_estimates_on_integers() {
    let levels = 5;
    let mut predictions = PARAMETRISATIONS.to_vec();
    predictions.push(Prediction::Levels(centres(levels)));
    for prediction in predictions {
        let schedule = Schedule::Fixed(log_linear(12, -5.0, 6.0));
        let segment = diffusion(schedule, prediction.clone(), Observation::Levels(levels), 3);
        let model = Model::new(vec![Box::new(segment)]);
        let rows = 40_000;
        let x = matrix([0.0, 4.0, 1.0].repeat(rows), 3, &Device::flex());
        let local = Estimate::mean(&to_vec_f64(model.bound(x.clone(), &noise(33))));
        let path = Estimate::mean(&to_vec_f64(model.chain().encode(x, &noise(34)).log_weight));
        let error = (local.error.powi(2) + path.error.powi(2)).sqrt();
        assert!((local.value - path.value).abs() < 4.0 * error, "{prediction:?}: {local:?} and {path:?}");
        assert!(error < 0.05 * local.value.abs().max(1.0), "{prediction:?}: the check has power");
    }
}

/// The terms of a path add up to the chain's own number.
#[test]
fn path_terms_add_up() {
    for (name, model) in continuous_models(4) {
        let mut states: Vec<State> = Vec::new();
        model.chain().sample_observed(50, &noise(41), |_, state| states.push(state.clone()));
        let scored = to_vec_f64(Path::scored(&model, states, &noise(42)).total());
        assert!(scored.iter().all(|value| value.is_finite()), "{name}");
    }
    let vae = Model::new(vec![Box::new(vae(ObservationModel::Gaussian, 4, &[3, 2]))]);
    let x = states(30, 4, 1.0, 43);
    let address = noise(44);
    let terms = Path::backward(&vae, x.clone(), &address, Goal::Bound);
    assert_eq!(terms.divergences.len(), 2);
    let total = to_vec_f64(terms.total());
    let chain = to_vec_f64(vae.chain().encode(x, &address).log_weight);
    assert!(largest_difference(&total, &chain) < 1e-3, "{total:?} {chain:?}");
}

/// Masses over all integers sum to one.
#[test]
fn discrete_laws_are_normalised() {
    let device = Device::flex();
    for (name, model) in discrete_models(1, 5) {
        let chain = model.chain();
        let last = chain.transitions.last().expect("a chain has steps");
        let inner = match name {
            "vae" => 2,
            _ => 1,
        };
        let before = states(20, inner, 1.0, 50);
        let mut sums = vec![0.0; 20];
        for level in 0..5 {
            let value = Tensor::full([20, 1], level as f32, &device);
            let log_mass = last.densities(&before, &value).expect("the last kernel has densities").forward;
            sums.iter_mut().zip(doubles(log_mass)).for_each(|(sum, log_mass)| *sum += log_mass.exp());
        }
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{name}: {sums:?}");
    }
}

/// Law 7: a trajectory has the same states in any batch, up to rounding, and the same bits for any number of threads.
#[test]
fn law_7_addressable_noise() {
    for (name, model) in continuous_models(4) {
        let address = Noise::new(9, Purpose::Source);
        let all = to_vec(model.chain().sample(300, &address));
        let tail = to_vec(model.chain().sample(40, &address.from_trajectory(260)));
        for (a, b) in all[260 * 4..].iter().zip(&tail) {
            assert!((a - b).abs() <= 1e-3 * a.abs().max(1.0), "{name}: {a} and {b}");
        }
        let with_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| Sampler::Ancestral.sample(&model, 300, &address))
        };
        let one = with_threads(1);
        assert_eq!(one, with_threads(2), "{name}");
        assert_eq!(one, with_threads(3), "{name}");
    }
}

/// The fused network equals burn's composed form, in value and in every gradient.
#[test]
fn fused_networks_agree_with_burn() {
    let activations =
        [Activation::Relu, Activation::Silu, Activation::Gelu, Activation::Tanh, Activation::Elu];
    for (residual, rows, shared) in
        [(false, 3, true), (true, 129, false), (false, 300, false), (true, 300, true)]
    {
        for activation in activations {
            let shape =
                Feedforward { input: 5, context: 4, hidden: vec![24, 24], output: 7, activation, residual };
            let mut net = Network::new("n", shape, 8, 1, false);
            net.weights_mut().track();
            let device = net.weights().device();
            let x = matrix(noise(60).normal(rows, 5), 5, &device).require_grad();
            let context_rows = if shared { 1 } else { rows };
            let context = matrix(noise(61).normal(context_rows, 4), 4, &device).require_grad();
            let weight = matrix(noise(62).normal(rows, 7), 7, &device);
            let run = |fused: bool| {
                let output = if fused {
                    net.apply(x.clone(), Some(context.clone()))
                } else {
                    net.apply_composed(x.clone(), Some(context.clone()))
                };
                let values = to_vec(output.clone());
                let mut gradients = (output * weight.clone()).sum().backward();
                let theta = net.weights().gradient(&mut gradients).expect("theta takes part");
                let grad_x = to_vec(x.grad(&gradients).expect("x takes part"));
                let grad_c = to_vec(context.grad(&gradients).expect("the context takes part"));
                [values, theta, grad_x, grad_c]
            };
            for (part, (fused, composed)) in run(true).iter().zip(run(false)).enumerate() {
                let scale = composed.iter().fold(1.0, |m: f32, v| m.max(v.abs()));
                for (a, b) in fused.iter().zip(&composed) {
                    assert!((a - b).abs() < 2e-5 * scale, "{activation:?}, part {part}: {a} and {b}");
                }
            }
        }
    }
}

/// Fused element-wise maps equal burn's composed form in both directions, in value and in every gradient: inside
/// the box and out of it, with parameters per row and shared, whatever the chunking.
#[test]
fn fused_transforms_agree_with_burn() {
    let transforms = [
        Transform::Affine { cap: 2.0 },
        Transform::Spline { bins: 8, bound: 3.0 },
        Transform::Spline { bins: 2, bound: 1.0 },
        Transform::Spline { bins: 5, bound: 5.0 },
    ];
    let device = burn::tensor::Device::flex().autodiff();
    for transform in transforms {
        for (rows, columns, shared) in [(1, 3, false), (300, 3, false), (257, 5, true), (40, 1, true)] {
            for inverse in [false, true] {
                let width = columns * transform.raw_len();
                let x: Vec<f32> = noise(63).normal(rows, columns).iter().map(|v| 2.0 * v).collect();
                let x = matrix(x, columns, &device).require_grad();
                let raw_rows = if shared { 1 } else { rows };
                let raw = matrix(noise(64).normal(raw_rows, width), width, &device).require_grad();
                let weight = matrix(noise(65).normal(rows, columns), columns, &device);
                let slope_weight = matrix(noise(66).normal(rows, 1), 1, &device).squeeze_dim::<1>(1);
                let run = |fused: bool| {
                    let (y, log_det) = if fused {
                        transform.apply(x.clone(), raw.clone(), inverse)
                    } else {
                        transform.apply_composed(x.clone(), raw.clone(), inverse)
                    };
                    let values = [to_vec(y.clone()), to_vec(log_det.clone())];
                    let loss = (y * weight.clone()).sum() + (log_det * slope_weight.clone()).sum();
                    let gradients = loss.backward();
                    let [y, log_det] = values;
                    let grad_x = to_vec(x.grad(&gradients).expect("x takes part"));
                    [y, log_det, grad_x, to_vec(raw.grad(&gradients).expect("raw takes part"))]
                };
                for (part, (fused, composed)) in run(true).iter().zip(run(false)).enumerate() {
                    assert_eq!(fused.len(), composed.len());
                    let scale = composed.iter().fold(1.0, |m: f32, v| m.max(v.abs()));
                    for (a, b) in fused.iter().zip(&composed) {
                        // The root of the inverse cancels digits, in either form.
                        let close = (a - b).abs() < 5e-4 * scale;
                        assert!(close, "{transform:?}, inverse {inverse}, part {part}: {a} and {b}");
                    }
                }
            }
        }
    }
}

/// Gradients of the bound reach every weight vector.
#[test]
fn every_weight_learns() {
    for (name, mut model) in continuous_models(4) {
        model.track();
        let x = states(64, 4, 1.0, 70).to_device(&model.device());
        let x = Tensor::<2>::from_data(x.into_data(), &model.device());
        let loss = anabranch::objective::forward_kl(&model, x, &noise(71), Default::default());
        let mut gradients = loss.backward();
        for weights in model.weights() {
            let gradient = weights
                .gradient(&mut gradients)
                .unwrap_or_else(|| panic!("{name}: {} learns", weights.name()));
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
            assert!(gradient.iter().any(|g| *g != 0.0), "{name}: {}", weights.name());
        }
    }
}

/// Every kind of energy that is finite everywhere.
fn finite_energies() -> Vec<Box<dyn Energy>> {
    let covariance = [1.0, -0.4, 0.2, -0.4, 0.5, 0.1, 0.2, 0.1, 2.0];
    let full = FullGaussian::from_covariance(vec![0.5, -1.0, 0.2], &covariance, -0.7);
    let mixture = Mixture::new(
        &[3.0, 1.0],
        &[vec![0.0, 1.0, -0.5], vec![-2.0, 0.5, 1.0]],
        &[vec![0.5, 0.3, 1.0], vec![1.0, 0.6, 0.4]],
    );
    let mut energies: Vec<Box<dyn Energy>> = vec![
        Box::new(DiagonalGaussian { mean: vec![0.3, -0.8], std: vec![0.5, 2.0], log_z: 1.1 }),
        Box::new(full.expect("positive definite")),
        Box::new(mixture),
        Box::new(Mixture::gmm9()),
        Box::new(Mixture::gmm25()),
        Box::new(Mixture::gmm40(3)),
        Box::new(Funnel { dimension: 4, std: 1.0 }),
        Box::new(ManyWell { dimension: 4 }),
    ];
    let toys = Toy::ALL.into_iter().filter(Energy::positive_everywhere);
    energies.extend(toys.map(|toy| Box::new(toy) as Box<dyn Energy>));
    energies
}

/// Energies keep the sandwich under an untrained chain: ELBO at most, EUBO at least log Z.
#[test]
fn untrained_chains_bracket_log_z() {
    let rows = 10_000;
    for target in finite_energies() {
        let exact = target.log_z().expect("known");
        let dimension = target.dimension();
        let samples = target.sample(rows, &noise(81)).expect("exact sampler");
        let samples = matrix(samples, dimension, &Device::flex());
        let reward = double(target.log_density(&samples));
        for (name, model) in continuous_models(dimension) {
            let log_weights = to_vec_f64(forward_log_weights(&model, target.as_ref(), rows, &noise(80)));
            let lower = Estimate::mean(&log_weights);
            // A path into the funnel's neck may weigh nothing at all: then the mean is -inf, which is below.
            let below = lower.value == f64::NEG_INFINITY || lower.value <= exact + 4.0 * lower.error;
            assert!(below, "{name} on {target:?}: {lower:?} above {exact}");
            let encoded = model.chain().encode(samples.clone(), &noise(82)).log_weight;
            let upper = Estimate::mean(&to_vec_f64(reward.clone() - encoded));
            let above = upper.value == f64::INFINITY || upper.value >= exact - 4.0 * upper.error;
            assert!(above, "{name} on {target:?}: {upper:?} below {exact}");
        }
    }
}

/// A bijection as a step has no densities and returns its log-determinant.
#[test]
fn bijections_are_ratio_steps() {
    for (name, bijection) in bijections(3) {
        let step = BijectionStep(bijection.as_ref());
        let z = states(5, 3, 1.0, 90);
        let forward = step.forward(z.clone(), &noise(0));
        assert!(forward.densities.is_none() && step.densities(&z, &forward.state).is_none(), "{name}");
        assert_eq!(doubles(forward.log_ratio), doubles(bijection.forward(z).1), "{name}");
    }
}

/// The sequential direction of an autoregressive map, a group of units at a time, equals a whole evaluation of the
/// network per coordinate.
#[test]
fn fused_inversion_agrees_with_burn() {
    for transform in [Transform::Affine { cap: 2.0 }, Transform::Spline { bins: 4, bound: 3.0 }] {
        for (dimension, hidden, rows) in
            [(1, vec![4], 3), (2, vec![5], 1), (5, vec![16, 7], 130), (9, vec![3, 20, 20], 300)]
        {
            let mut net =
                MaskedNetwork::new("m", dimension, &hidden, transform.raw_len(), Activation::Silu, 3, 0);
            stir([net.weights_mut()], 0.3);
            let v = states(rows, dimension, 1.5, 95);
            let (u, log_det) = net.invert(&transform, v.clone());
            let (expected, expected_log_det) = net.invert_composed(&transform, v);
            for (a, b) in to_vec(u).iter().zip(to_vec(expected)) {
                assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{transform:?} in {dimension}: {a} and {b}");
            }
            let difference = largest_difference(&doubles(log_det), &doubles(expected_log_det));
            assert!(
                difference < 2e-3,
                "{transform:?} in {dimension}: log-determinants differ by {difference}"
            );
        }
    }
}

/// The fused mean over levels equals burn's composed form, in value and in every gradient.
#[test]
fn fused_lattices_agree_with_burn() {
    let device = Device::flex().autodiff();
    for (rows, columns, levels) in [(1, 1, 2), (5, 3, 17), (300, 4, 5)] {
        let centres = centres(levels);
        let logits =
            matrix(noise(67).normal(rows, columns * levels as usize), columns * levels as usize, &device);
        let h = matrix(noise(68).normal(rows, columns), columns, &device) * 9.0;
        let q = matrix(noise(69).uniform(rows, 1), 1, &device) * 30.0;
        let weight = matrix(noise(62).normal(rows, columns), columns, &device);
        let inputs =
            [logits, h, q].map(|input| Tensor::<2>::from_data(input.into_data(), &device).require_grad());
        let run = |mean: fn(&std::sync::Arc<[f32]>, Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let [logits, h, q] = inputs.clone();
            let output = mean(&centres, logits, h, q);
            let values = to_vec(output.clone());
            let gradients = (output * weight.clone()).sum().backward();
            let mut parts = vec![values];
            parts.extend(inputs.iter().map(|input| to_vec(input.grad(&gradients).expect("it takes part"))));
            parts
        };
        let (fused, composed) = (run(lattice::mean), run(lattice::mean_composed));
        for (part, (fused, composed)) in fused.iter().zip(&composed).enumerate() {
            for (a, b) in fused.iter().zip(composed) {
                assert!((a - b).abs() < 2e-5, "{rows} rows, part {part}: {a} and {b}");
            }
        }
    }
}

/// The exact denoiser of independent Gaussians `N(mean_i, std_i^2)`: `E[x | z]`, in every parametrisation.
#[derive(Debug, Clone)]
struct GaussianDenoiser {
    mean: Vec<f32>,
    std: Vec<f32>,
    prediction: Prediction,
}

impl Denoiser for GaussianDenoiser {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    fn output(&self, z: &State, _: Tensor<2>, factors: &Factors) -> State {
        let d = self.mean.len();
        let row = |values: Vec<f32>| matrix(values, d, &z.device());
        let ones = Tensor::<2>::ones([z.dims()[0], d], &z.device());
        let (alpha, sigma) = (factors.alpha.times(ones.clone()), factors.sigma.times(ones));
        let (mean, variance) = (row(self.mean.clone()), row(self.std.iter().map(|s| s * s).collect()));
        let total = alpha.clone().square() * variance.clone() + sigma.clone().square();
        // Of z ~ N(alpha mean, total): the score, and the others from it by Tweedie's formula.
        let score = -(z.clone() - alpha.clone() * mean) / total;
        let noise = -score.clone() * sigma.clone();
        let signal = (z.clone() + score.clone() * sigma.clone().square()) / alpha.clone();
        match self.prediction {
            Prediction::Noise => noise,
            Prediction::Signal => signal,
            Prediction::Velocity => alpha * noise - sigma * signal,
            Prediction::Score => score,
            Prediction::Levels(_) => unreachable!("Gaussian data have no levels"),
        }
    }

    fn boxed(&self) -> Box<dyn Denoiser> {
        Box::new(self.clone())
    }
}

const PARAMETRISATIONS: [Prediction; 4] =
    [Prediction::Noise, Prediction::Signal, Prediction::Velocity, Prediction::Score];

fn exact_diffusion(prediction: Prediction, schedule: Schedule) -> Model {
    let denoiser =
        GaussianDenoiser { mean: vec![0.7, -1.5], std: vec![0.4, 1.3], prediction: prediction.clone() };
    let last_mean = match schedule {
        Schedule::Fixed(_) => LastMean::Denoised,
        Schedule::Learned { .. } => LastMean::Rescaled,
    };
    Model::new(vec![Box::new(Diffusion {
        denoiser: Box::new(denoiser),
        prediction,
        schedule,
        observation: Observation::Continuous,
        last_mean,
        weighting: Weighting::Bound,
    })])
}

/// Law 6: on Gaussian data with the exact denoiser the bounds, simulated and simulation-free, and the importance-weighted
/// likelihood approach the exact log-density as levels are added, in every parametrisation.
#[test]
fn law_6_gaussian_data_with_the_exact_denoiser() {
    let data = DiagonalGaussian { mean: vec![0.7, -1.5], std: vec![0.4, 1.3], log_z: 0.0 };
    let rows = 20_000;
    let x =
        matrix(data.sample(rows, &noise(201).purpose(Purpose::Target)).expect("exact"), 2, &Device::flex());
    let exact = doubles(data.log_density(&x));
    for prediction in PARAMETRISATIONS {
        let mut gaps = Vec::new();
        for levels in [50, 200] {
            let model = exact_diffusion(prediction.clone(), Schedule::Fixed(log_linear(levels, -9.0, 12.0)));
            let gap = |values: Vec<f64>| {
                Estimate::mean(&exact.iter().zip(&values).map(|(e, v)| e - v).collect::<Vec<_>>())
            };
            let path = gap(to_vec_f64(model.chain().encode(x.clone(), &noise(202)).log_weight));
            let local = gap(to_vec_f64(model.bound(x.clone(), &noise(203))));
            let importance = gap(to_vec_f64(model.importance_bound(x.clone(), 8, &noise(204))));
            for (name, bound) in [("path", path), ("local", local), ("importance", importance)] {
                let allowed = 5.0 * bound.error;
                assert!(
                    bound.value > -allowed,
                    "{prediction:?}, {levels}: {name} above the density, {bound:?}"
                );
            }
            let error = (path.error.powi(2) + local.error.powi(2)).sqrt();
            assert!((path.value - local.value).abs() < 4.0 * error, "{prediction:?}: {path:?} and {local:?}");
            assert!(importance.value < path.value + 4.0 * error, "{prediction:?}: {importance:?}, {path:?}");
            gaps.push((path, importance));
        }
        let [(coarse, _), (fine, fine_importance)] = gaps[..] else { panic!("two gaps") };
        // The bound's gap falls as one over the number of levels: here by a factor of 4.
        let ratio = coarse.value / fine.value;
        assert!((2.5..6.5).contains(&ratio), "{prediction:?}: gaps {coarse:?} and {fine:?}");
        assert!(fine_importance.value < 0.7 * fine.value, "{prediction:?}: {fine_importance:?}, {fine:?}");
        let continuous = exact_diffusion(
            prediction.clone(),
            Schedule::Learned { gamma: LearnedGamma::new("g", -9.0, 12.0, 4, 1), levels: 10 },
        );
        let local = continuous.segments()[0].local(&x, &noise(205), Goal::Bound).expect("simulation-free");
        let local: Vec<f64> = exact.iter().zip(doubles(local)).map(|(e, v)| e - v).collect();
        let local = Estimate::mean(&local);
        assert!(local.value.abs() < 4.0 * local.error + 0.01, "{prediction:?}: continuous time, {local:?}");
    }
}

/// Law 6: ancestral samples have the data's law up to one over the number of levels, and so have deterministic ones
/// (DDIM), whose error falls in that order.
#[test]
fn law_6_samplers_have_the_data_s_law() {
    let rows = 30_000;
    let moments = |sampler: Sampler, levels: usize| -> Vec<[Estimate; 2]> {
        let model = exact_diffusion(Prediction::Velocity, Schedule::Fixed(log_linear(levels, -9.0, 12.0)));
        let samples = sampler.sample(&model, rows, &Noise::new(5, Purpose::Source));
        let column = |c: usize| samples.iter().skip(c).step_by(2).map(|v| f64::from(*v)).collect::<Vec<_>>();
        let moments = |values: Vec<f64>| {
            let mean = Estimate::mean(&values);
            let squares: Vec<f64> = values.iter().map(|v| (v - mean.value).powi(2)).collect();
            [mean, Estimate::mean(&squares)]
        };
        (0..2).map(|c| moments(column(c))).collect()
    };
    let exact: [[f64; 2]; 2] = [[0.7, 0.16], [-1.5, 1.69]];
    for sampler in
        [Sampler::Ancestral, Sampler::Ddim { steps: 400, eta: 0.0 }, Sampler::Ddim { steps: 400, eta: 0.5 }]
    {
        for (found, exact) in moments(sampler, 400).iter().zip(exact) {
            for (found, exact) in found.iter().zip(exact) {
                let allowed = 4.0 * found.error + 0.02 * exact.abs();
                assert!((found.value - exact).abs() < allowed, "{sampler:?}: {found:?}, exact {exact}");
            }
        }
    }
    // The same noise at both resolutions, so that the difference is the discretisation's alone.
    let error = |steps: usize| {
        let found = moments(Sampler::Ddim { steps, eta: 0.0 }, 801);
        let limit = moments(Sampler::Ddim { steps: 801, eta: 0.0 }, 801);
        found.iter().zip(&limit).map(|(f, l)| (f[1].value - l[1].value).abs()).fold(0.0, f64::max)
    };
    let (coarse, fine) = (error(11), error(21));
    assert!(coarse / fine > 1.6, "first order: errors {coarse} and {fine}");
}
