//! Laws of the probability-flow ODE, with the exact flow of Gaussian data as oracle.

use super::gaussian::{GaussianDenoiser, PARAMETRISATIONS};
use super::instances::*;

use anabranch::estimate::likelihood::{Bound, row_nlls};
use anabranch::model::schedule::Level;

fn exact(prediction: Prediction, schedule: NoiseSchedule) -> Diffusion {
    let last_mean = match schedule {
        NoiseSchedule::Fixed(_) => LastMean::Denoised,
        NoiseSchedule::Learned { .. } => LastMean::Rescaled,
    };
    Diffusion {
        denoiser: Box::new(GaussianDenoiser::skew(prediction.clone())),
        prediction,
        schedule,
        observation: Observation::Continuous,
        last_mean,
        weighting: Weighting::Bound,
    }
}

fn schedules() -> [NoiseSchedule; 2] {
    let gamma = LearnedGamma::new("g", -9.0, 12.0, 4, 1);
    [NoiseSchedule::Fixed(log_linear(100, -9.0, 12.0)), NoiseSchedule::Learned { gamma, levels: 100 }]
}

/// The levels with the least and the most noise.
fn ends(diffusion: &Diffusion) -> [Level; 2] {
    let levels = diffusion.schedule.levels();
    [levels[0], levels[levels.len() - 1]]
}

/// A diffusion with a random network that changes no faster with the time than a trained one: the two highest of its
/// embedding's four frequencies, 1000 and 100 over the noise range, are cut off.
fn random(
    schedule: NoiseSchedule,
    prediction: Prediction,
    observation: Observation,
    dimension: usize,
) -> Diffusion {
    let mut diffusion = diffusion(schedule, prediction, observation, dimension);
    stir(diffusion.weights_mut(), 0.15);
    let mut weights = diffusion.weights_mut();
    let mut values = weights[0].values();
    for (row, entry) in values[..(dimension + 8) * 16].chunks_exact_mut(16).skip(dimension).enumerate() {
        if row % 4 < 2 {
            entry.fill(0.0);
        }
    }
    weights[0].set(values);
    diffusion
}

fn rows_of(state: State) -> Vec<Vec<f64>> {
    let d = state.dims()[1];
    to_vec(state).chunks_exact(d).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect()
}

fn standard_normal(z: &[f64]) -> f64 {
    z.iter().map(|z| -0.5 * (z * z + std::f64::consts::TAU.ln())).sum()
}

fn root_mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.map(|v| v * v).collect();
    (values.iter().sum::<f64>() / values.len() as f64).sqrt()
}

/// Law 6: the ODE's log-density and its states have the exact flow's values, and their errors fall with the fourth power
/// of the number of steps, in every parametrisation and in both directions.
#[test]
fn law_6_the_ode_converges_with_fourth_order() {
    for (prediction, schedule) in
        PARAMETRISATIONS.into_iter().flat_map(|p| schedules().map(|schedule| (p.clone(), schedule)))
    {
        let diffusion = exact(prediction.clone(), schedule);
        let oracle = GaussianDenoiser::skew(prediction.clone());
        let [low, high] = ends(&diffusion);
        let rows = 200;
        let data = oracle.law().draw(rows, &noise(301)).expect("exact");
        let z_0 =
            matrix(data, 3, &Device::flex()) * low.alpha() as f32 + states(rows, 3, low.sigma() as f32, 302);
        let z_n = states(rows, 3, 1.0, 303);
        let expected: Vec<f64> = rows_of(z_0.clone())
            .iter()
            .map(|z| {
                let (z_n, log_det) = oracle.carried(z, low, high, true);
                standard_normal(&z_n) + log_det
            })
            .collect();
        let samples: Vec<Vec<f64>> =
            rows_of(z_n.clone()).iter().map(|z| oracle.carried(z, low, high, false).0).collect();
        let errors = |steps: usize| {
            let found =
                diffusion.ode_log_density(z_0.clone(), steps, Divergence::Exact, NOTHING, &noise(304));
            assert!(found.iter().all(|estimate| estimate.error == 0.0), "exact traces have no error");
            let density = root_mean_square(found.iter().zip(&expected).map(|(f, e)| f.value - e));
            let steps = diffusion.ode_steps(steps, Divergence::Exact);
            let end = steps.iter().fold(z_n.clone(), |z, step| step.sample(z, NOTHING, &noise(305)).unwrap());
            let differences = rows_of(end).into_iter().flatten().zip(samples.iter().flatten());
            [density, root_mean_square(differences.map(|(f, e)| f - e))]
        };
        let (coarse, fine, finest) = (errors(12), errors(24), errors(64));
        println!("{prediction:?}: log-density and state, {coarse:?}, {fine:?}, {finest:?}");
        for (name, at) in [("log-density", 0), ("state", 1)] {
            let order = (coarse[at] / fine[at]).log2();
            assert!((3.7..4.8).contains(&order), "{prediction:?}, {name}: {} and {}", coarse[at], fine[at]);
            assert!(finest[at] < 3e-6, "{prediction:?}, {name}: {}", finest[at]);
        }
    }
}

/// Law 6: with the exact denoiser the likelihood along the ODE agrees with the exact log-density, where the bound along the
/// chain's steps is still below it and its importance-weighted form between, in every parametrisation.
#[test]
fn law_6_the_ode_likelihood_agrees_with_the_density_and_the_bounds() {
    let rows = 4000;
    let law = GaussianDenoiser::skew(Prediction::Noise).law();
    let x = matrix(law.draw(rows, &noise(311)).expect("exact"), 3, &Device::flex());
    let exact_values = to_vec_f64(log_density(&law, &x, NOTHING).expect("a density"));
    let gap = |values: Vec<f64>| {
        Estimate::mean(&exact_values.iter().zip(&values).map(|(e, v)| e - v).collect::<Vec<_>>())
    };
    for prediction in PARAMETRISATIONS {
        for schedule in schedules() {
            let learned = matches!(schedule, NoiseSchedule::Learned { .. });
            let model = Model::new(vec![Box::new(exact(prediction.clone(), schedule))]);
            let ode = model
                .ode_chain(40, Divergence::Exact)
                .encode(x.clone(), NOTHING, &noise(312))
                .unwrap()
                .log_weight;
            let ode = gap(to_vec_f64(ode));
            let path =
                gap(to_vec_f64(model.chain().encode(x.clone(), NOTHING, &noise(313)).unwrap().log_weight));
            let importance =
                gap(to_vec_f64(model.importance_bound(x.clone(), 8, NOTHING, &noise(314)).unwrap()));
            println!("{prediction:?}: gaps of ODE {ode:?}, bound {path:?}, importance {importance:?}");
            // z_0's noise costs half of exp(gamma_0) / std^2 per coordinate where the last kernel only rescales.
            let rescaled: f64 = if learned {
                [0.4f64, 1.3, 0.8].iter().map(|s| 0.5 * (-9f64).exp() / (s * s)).sum()
            } else {
                0.0
            };
            assert!(
                (ode.value - rescaled).abs() < 4.0 * ode.error + 5e-5,
                "{prediction:?}: {ode:?}, {rescaled}"
            );
            assert!(ode.error < 1e-3, "{prediction:?}: the check has power, {ode:?}");
            assert!(importance.value > ode.value - 5.0 * importance.error, "{prediction:?}: {importance:?}");
            let error = (path.error.powi(2) + importance.error.powi(2)).sqrt();
            assert!(path.value > importance.value - 4.0 * error, "{prediction:?}: {path:?}, {importance:?}");
            assert!(path.value > ode.value + 4.0 * path.error, "{prediction:?}: {path:?} and {ode:?}");
        }
    }
}

/// Law 6: samples along the ODE have the data's mean and whole covariance.
#[test]
fn law_6_ode_samples_have_the_data_s_law() {
    let rows = 30_000;
    let oracle = GaussianDenoiser::skew(Prediction::Velocity);
    let model = Model::new(vec![Box::new(exact(Prediction::Velocity, schedules()[0].clone()))]);
    let samples =
        Sampler::Ode { steps: 24 }.sample(&model, rows, NOTHING, &Noise::new(5, Purpose::Source)).unwrap();
    let column = |c: usize| samples.iter().skip(c).step_by(3).map(|v| f64::from(*v));
    for i in 0..3 {
        let mean = Estimate::mean(&column(i).collect::<Vec<_>>());
        assert!((mean.value - oracle.mean[i]).abs() < 4.0 * mean.error, "mean {i}: {mean:?}");
        for j in 0..=i {
            let products = column(i).zip(column(j)).map(|(a, b)| (a - oracle.mean[i]) * (b - oracle.mean[j]));
            let found = Estimate::mean(&products.collect::<Vec<_>>());
            let expected: f64 =
                (0..3).map(|k| oracle.axes[3 * i + k] * oracle.std[k].powi(2) * oracle.axes[3 * j + k]).sum();
            // The lowest level leaves exp(gamma_0) of noise.
            let allowed = 4.0 * found.error + 3e-4;
            assert!((found.value - expected).abs() < allowed, "{i}, {j}: {found:?}, exact {expected}");
        }
    }
    let again =
        Sampler::Ode { steps: 24 }.sample(&model, 3, NOTHING, &Noise::new(5, Purpose::Source)).unwrap();
    let differences = again.iter().zip(&samples).map(|(a, b)| (a - b).abs());
    assert!(differences.fold(0.0, f32::max) < 1e-5, "a row depends on its own noise alone");
}

/// Forward mode agrees with reverse mode, `w . (J t) = (J^T w) . t`, for every shape and activation, and a coordinate's own
/// derivatives are those along the coordinates.
#[test]
fn derivatives_along_directions_agree_with_gradients() {
    let activations =
        [Activation::Relu, Activation::Silu, Activation::Gelu, Activation::Tanh, Activation::Elu];
    let shapes: [(&[usize], bool, usize, usize, usize); 7] = [
        (&[24, 24], false, 1, 3, 4),
        (&[24, 24], true, 129, 1, 4),
        (&[17], false, 300, 2, 1),
        (&[9], true, 5, 200, 4),
        (&[], false, 7, 3, 4),
        (&[16, 40, 8], false, 40, 5, 0),
        (&[33, 33, 33], true, 3, 1, 1),
    ];
    for activation in activations {
        for (hidden, residual, rows, count, context) in shapes {
            let shape =
                Feedforward { input: 5, context, hidden: hidden.to_vec(), output: 10, activation, residual };
            let net = Network::new("n", shape, 8, 1, false);
            let place = format!("{activation:?}, {hidden:?}, residual {residual}");
            derivatives_agree(net, &place, [rows, count, context]);
        }
    }
    for (name, body) in bodies() {
        for sizes in [[1, 3, 4], [70, 2, 0], [5, 40, 1]] {
            let net = over_coordinates([5, sizes[2], 5, 2], true, false, body.clone());
            derivatives_agree(net, name, sizes);
        }
    }
}

/// Those of a network from 5 coordinates to 10, at so many rows, along so many directions, in a context so wide.
fn derivatives_agree(mut net: Network, place: &str, [rows, count, context]: [usize; 3]) {
    stir([net.weights_mut()], 0.1);
    let device = Device::flex();
    let x = states(rows, 5, 1.0, 70);
    let tangents = states(rows * count, 5, 1.0, 71);
    for shared in [false, true] {
        let context_rows = if shared { 1 } else { rows };
        let c = (context > 0).then(|| states(context_rows, context, 1.0, 72));
        let (y, derivatives) = net.push_forward(&x, c.clone(), &tangents);
        let found = to_vec(y);
        assert_eq!(found, to_vec(net.apply(x.clone(), c.clone())), "{place}");
        let mut tracked = net.clone();
        tracked.weights_mut().track();
        let live = tracked.weights().device();
        let x_live = Tensor::<2>::from_data(x.clone().into_data(), &live).require_grad();
        let c_live = c.clone().map(|c| Tensor::<2>::from_data(c.into_data(), &live));
        let w = states(rows, 10, 1.0, 73);
        let weight = Tensor::<2>::from_data(w.clone().into_data(), &live);
        let gradients = (tracked.apply(x_live.clone(), c_live) * weight).sum().backward();
        let pulled = to_vec(x_live.grad(&gradients).expect("x takes part"));
        let (w, t, jt) = (to_vec(w), to_vec(tangents.clone()), to_vec(derivatives));
        for at in 0..rows * count {
            let row = at / count;
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let forward = dot(&w[row * 10..][..10], &jt[at * 10..][..10]);
            let reverse = dot(&pulled[row * 5..][..5], &t[at * 5..][..5]);
            let scale = reverse.abs().max(1.0);
            assert!((forward - reverse).abs() < 3e-5 * scale, "{place}: {forward} and {reverse}");
        }
        let basis = Tensor::eye(5, &device).reshape([1, 5, 5]).repeat_dim(0, rows).reshape([rows * 5, 5]);
        let whole = to_vec(net.push_forward(&x, c.clone(), &basis).1);
        let own = to_vec(net.own_derivatives(&x, c).1);
        for (at, own) in own.iter().enumerate() {
            let (row, column) = (at / 10, at % 10);
            let expected = whole[(row * 5 + column / 2) * 10 + column];
            assert!((own - expected).abs() < 1e-5 * expected.abs().max(1.0), "{place}: {own}, {expected}");
        }
    }
}

/// Law 3: a step's log-determinant is that of its map's Jacobian by difference quotients, and the step back undoes it, for a
/// network of a trained one's shape in every parametrisation.
#[test]
fn law_3_ode_steps_are_bijections() {
    let levels = 5;
    let mut cases: Vec<(Prediction, Observation)> =
        PARAMETRISATIONS.into_iter().map(|p| (p, Observation::Continuous)).collect();
    cases.push((Prediction::Levels(centres(levels)), Observation::Levels(levels)));
    for (prediction, observation) in cases {
        // At less noise the levels' steps have no width left for difference quotients.
        for schedule in [NoiseSchedule::Fixed(log_linear(40, -3.0, 8.0)), learned(30)] {
            let segment = random(schedule, prediction.clone(), observation, 3);
            let steps = segment.ode_steps(120, Divergence::Exact);
            for index in [0, 50, 90, 119] {
                let (step, rows, width) = (&steps[index], 5, 5e-3);
                let from = states(rows, 3, 0.8, 320 + index as u32);
                let moved = step.forward(from.clone(), NOTHING, &noise(1)).unwrap();
                let log_det = doubles(moved.log_ratio);
                let quotient = |i: usize| -> Vec<f32> {
                    let mut shift = vec![0.0; 3];
                    shift[i] = width;
                    let shift = matrix(shift, 3, &Device::flex());
                    let end = |z: State| step.sample(z, NOTHING, &noise(1)).unwrap();
                    let difference = end(from.clone() + shift.clone()) - end(from.clone() - shift);
                    to_vec(difference / (2.0 * width))
                };
                let columns: Vec<Vec<f32>> = (0..3).map(quotient).collect();
                for row in 0..rows {
                    let j = |i: usize, k: usize| f64::from(columns[k][3 * row + i]);
                    let minor = |a: usize, b: usize| j(1, a) * j(2, b) - j(1, b) * j(2, a);
                    let det = j(0, 0) * minor(1, 2) - j(0, 1) * minor(0, 2) + j(0, 2) * minor(0, 1);
                    let (found, expected) = (log_det[row], det.ln());
                    assert!(
                        (found - expected).abs() < 2e-4,
                        "{prediction:?}, step {index}: {found} and {expected}"
                    );
                }
                let back = step.backward(moved.state, NOTHING, &noise(1)).unwrap();
                let round = largest_difference(
                    &doubles(back.log_ratio),
                    &log_det.iter().map(|v| -v).collect::<Vec<_>>(),
                );
                assert!(
                    round < 2e-3,
                    "{prediction:?}, step {index}: log-determinants there and back, {round}"
                );
                let far = to_vec((back.state - from).abs()).into_iter().fold(0.0, f32::max);
                assert!(far < 1e-4, "{prediction:?}, step {index}: there and back again ends {far} away");
            }
        }
    }
}

/// Hutchinson's estimate of the ODE's log-density is unbiased within its standard error, which its probes know.
#[test]
fn law_6_estimated_traces_are_unbiased() {
    let mut segment = diffusion(learned(20), Prediction::Noise, Observation::Continuous, 5);
    stir(segment.weights_mut(), 0.3);
    let rows = 4000;
    let z_0 = matrix([0.5, -1.2, 0.1, 2.0, -0.3].repeat(rows), 5, &Device::flex());
    let one = z_0.clone().slice([0..1, 0..5]);
    let exact = segment.ode_log_density(one, 10, Divergence::Exact, NOTHING, &noise(0))[0].value;
    for probes in [1, 4] {
        let divergence = Divergence::Hutchinson { probes };
        let found = segment.ode_log_density(z_0.clone(), 10, divergence, NOTHING, &noise(330));
        let values: Vec<f64> = found.iter().map(|estimate| estimate.value).collect();
        let mean = Estimate::mean(&values);
        println!("{probes} probes: {mean:?}, exact {exact}, one row's error {}", found[0].error);
        assert!((mean.value - exact).abs() < 4.0 * mean.error, "{mean:?}, exact {exact}");
        assert!(mean.error > 1e-5 && mean.error < 0.03, "{probes} probes: the check has power, {mean:?}");
        let spread = mean.error.powi(2) * rows as f64;
        let stated = found.iter().map(|estimate| estimate.error.powi(2)).sum::<f64>() / rows as f64;
        let ratio = stated / spread;
        match probes {
            1 => assert!(stated.is_nan(), "one probe has no error: {stated}"),
            // Each variance has a relative error of about sqrt(2 / 4000).
            _ => assert!((0.85..1.15).contains(&ratio), "stated variance {stated}, found {spread}"),
        }
    }
}

/// The density that the ODE gives the lowest level is normalised, for networks that are no exact denoiser.
#[test]
fn law_2_densities_along_the_ode_integrate_to_one() {
    let levels = 4;
    for (prediction, observation) in [
        (Prediction::Noise, Observation::Continuous),
        (Prediction::Score, Observation::Continuous),
        (Prediction::Velocity, Observation::Continuous),
        (Prediction::Levels(centres(levels)), Observation::Levels(levels)),
    ] {
        let segment =
            random(NoiseSchedule::Fixed(log_linear(20, -3.0, 6.0)), prediction.clone(), observation, 1);
        // The noise parametrisation of a random network spreads as 1 / alpha_N = 20.
        let (points, reach) = (20_001, 200.0);
        let width = 2.0 * reach / f64::from(points - 1);
        let grid = (0..points).map(|i| (f64::from(i) * width - reach) as f32).collect();
        let found = segment.ode_log_density(
            matrix(grid, 1, &Device::flex()),
            30,
            Divergence::Exact,
            NOTHING,
            &noise(340),
        );
        let sum = found.iter().map(|estimate| estimate.value.exp() * width).sum::<f64>();
        println!("{prediction:?}: {sum}");
        assert!((sum - 1.0).abs() < 2e-5, "{prediction:?}: {sum}");
    }
}

/// A network of the levels parametrisation starts as the exact denoiser of independent uniform levels: every row of integers
/// has the same mass along the ODE, without any spread.
#[test]
fn law_6_uniform_integers_have_their_exact_mass() {
    for (levels, d) in [(2, 1), (5, 3), (17, 2)] {
        let prediction = Prediction::Levels(centres(levels));
        let shape = Feedforward {
            input: d,
            context: 8,
            hidden: vec![16],
            output: d * levels as usize,
            activation: Activation::Silu,
            residual: false,
        };
        let gamma = LearnedGamma::new("g", -6.0, 13.0, 4, 1);
        let model = Model::new(vec![Box::new(Diffusion {
            denoiser: Box::new(NetworkDenoiser::new(Network::new("n", shape, 1, 0, true), 0)),
            prediction,
            schedule: NoiseSchedule::Learned { gamma, levels: 10 },
            observation: Observation::Levels(levels),
            last_mean: LastMean::Rescaled,
            weighting: Weighting::Bound,
        })]);
        let rows: Vec<f32> = (0..40 * d).map(|i| ((i * i + i / d) % levels as usize) as f32).collect();
        let expected = d as f64 * f64::from(levels).ln();
        let errors = |steps: usize, divergence: Divergence| {
            let found =
                row_nlls(&model, &rows, NOTHING, Bound::Ode { steps, divergence }, &noise(341)).unwrap();
            root_mean_square(found.iter().map(|nll| nll - expected))
        };
        let (coarse, fine) = (errors(40, Divergence::Exact), errors(200, Divergence::Exact));
        // Coordinates are independent: the Jacobian is diagonal, where signs give its trace without error.
        let signs = errors(200, Divergence::Hutchinson { probes: 1 });
        println!(
            "{levels} levels in {d} dimensions: errors {coarse:.2e}, {fine:.2e}, with signs {signs:.2e}"
        );
        assert!(fine < 1e-3 && fine < 0.2 * coarse, "{levels} levels: {coarse} and {fine}");
        assert!((signs - fine).abs() < 1e-4, "{levels} levels: {signs} and {fine}");
    }
}

/// Law 7: a row's likelihood along the ODE depends on its own noise alone, through every composition.
#[test]
fn law_7_ode_likelihoods_do_not_depend_on_the_batch() {
    for (name, model) in continuous_models(3) {
        if !model.segments().iter().any(|segment| segment.as_diffusion().is_some()) {
            continue;
        }
        let rows = to_vec(states(150, 3, 1.0, 350));
        for divergence in [Divergence::Exact, Divergence::Hutchinson { probes: 2 }] {
            let bound = Bound::Ode { steps: 6, divergence };
            let all = row_nlls(&model, &rows, NOTHING, bound, &noise(351)).unwrap();
            let few = row_nlls(&model, &rows[..3 * 7], NOTHING, bound, &noise(351)).unwrap();
            assert!(all.iter().all(|value| value.is_finite()), "{name}");
            let difference = largest_difference(&few, &all[..7]);
            assert!(difference < 1e-4, "{name}, {divergence:?}: {difference}");
        }
    }
}
