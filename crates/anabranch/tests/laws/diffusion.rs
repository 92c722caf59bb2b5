//! Law 6: the estimates of a diffusion agree, and its samplers have the law they promise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anabranch::estimate::likelihood::{Bound, row_nlls};
use anabranch::model::schedule::Level;

use super::gaussian::{GaussianDenoiser, PARAMETRISATIONS};
use super::instances::*;

/// Law 6: on Gaussian data with the exact denoiser, the simple estimate, the full path and the importance-weighted
/// bound agree with the exact log-density as the number of levels grows, in every parametrisation.
#[test]
fn law_6_agreement_of_estimates() {
    // The random network is no exact denoiser; but the simulation-free estimate and the simulated path estimate the
    // same bound, whatever the network.
    // A learned schedule's estimate is that of its chain, too, and not of continuous time.
    let cases = PARAMETRISATIONS.into_iter().map(|prediction| (NoiseSchedule::Fixed(cosine(12)), prediction));
    for (schedule, prediction) in cases.chain([(learned(6), Prediction::Velocity)]) {
        let segment = diffusion(schedule, prediction.clone(), Observation::Continuous, 3);
        let model = Model::new(vec![Box::new(segment)]);
        let rows = 40_000;
        let row = [0.5, -1.2, 0.1].repeat(rows);
        let x = matrix(row, 3, &Device::flex());
        let local =
            model.segments()[0].local(&x, NOTHING, &noise(31), Goal::Bound).expect("a diffusion has one");
        let local = Estimate::mean(&doubles(local));
        let path =
            Estimate::mean(&to_vec_f64(model.chain().encode(x, NOTHING, &noise(32)).unwrap().log_weight));
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
        let schedule = NoiseSchedule::Fixed(log_linear(12, -5.0, 6.0));
        let segment = diffusion(schedule, prediction.clone(), Observation::Levels(levels), 3);
        let model = Model::new(vec![Box::new(segment)]);
        let rows = 40_000;
        let x = matrix([0.0, 4.0, 1.0].repeat(rows), 3, &Device::flex());
        let local = Estimate::mean(&to_vec_f64(model.bound(x.clone(), NOTHING, &noise(33)).unwrap()));
        let path =
            Estimate::mean(&to_vec_f64(model.chain().encode(x, NOTHING, &noise(34)).unwrap().log_weight));
        let error = (local.error.powi(2) + path.error.powi(2)).sqrt();
        assert!((local.value - path.value).abs() < 4.0 * error, "{prediction:?}: {local:?} and {path:?}");
        assert!(error < 0.05 * local.value.abs().max(1.0), "{prediction:?}: the check has power");
    }
}

fn exact_diffusion(prediction: Prediction, schedule: NoiseSchedule) -> Model {
    let axes = vec![1.0, 0.0, 0.0, 1.0];
    let denoiser =
        GaussianDenoiser { mean: vec![0.7, -1.5], axes, std: vec![0.4, 1.3], prediction: prediction.clone() };
    let last_mean = match schedule {
        NoiseSchedule::Fixed(_) => LastMean::Denoised,
        NoiseSchedule::Learned { .. } => LastMean::Rescaled,
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
    let x = matrix(data.draw(rows, &noise(201).purpose(Purpose::Target)).expect("exact"), 2, &Device::flex());
    let exact = to_vec_f64(log_density(&data, &x, NOTHING).expect("a density"));
    for prediction in PARAMETRISATIONS {
        let mut gaps = Vec::new();
        for levels in [50, 200] {
            let model =
                exact_diffusion(prediction.clone(), NoiseSchedule::Fixed(log_linear(levels, -9.0, 12.0)));
            let gap = |values: Vec<f64>| {
                Estimate::mean(&exact.iter().zip(&values).map(|(e, v)| e - v).collect::<Vec<_>>())
            };
            let path =
                gap(to_vec_f64(model.chain().encode(x.clone(), NOTHING, &noise(202)).unwrap().log_weight));
            let local = gap(to_vec_f64(model.bound(x.clone(), NOTHING, &noise(203)).unwrap()));
            let importance =
                gap(to_vec_f64(model.importance_bound(x.clone(), 8, NOTHING, &noise(204)).unwrap()));
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
            NoiseSchedule::Learned { gamma: LearnedGamma::new("g", -9.0, 12.0, 4, 1), levels: 10 },
        );
        let local = continuous.segments()[0].local(&x, NOTHING, &noise(205), Goal::ContinuousBound);
        let local = local.expect("simulation-free");
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
        let model =
            exact_diffusion(Prediction::Velocity, NoiseSchedule::Fixed(log_linear(levels, -9.0, 12.0)));
        let samples = sampler.sample(&model, rows, NOTHING, &Noise::new(5, Purpose::Source)).unwrap();
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

/// A denoiser that answers 0 and counts the rows it was asked about at each time.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<BTreeMap<u32, usize>>>);

impl Asked {
    /// The times asked since the last call, each with its rows.
    fn take(&self) -> BTreeMap<u32, usize> {
        std::mem::take(&mut self.0.lock().expect("no thread panicked"))
    }
}

impl Denoiser for Asked {
    fn dimension(&self) -> usize {
        2
    }

    fn output(&self, z: &State, time: Tensor<2>, _: &Factors, _: &Given) -> State {
        let mut asked = self.0.lock().expect("no thread panicked");
        let times = to_vec(time);
        let rows = z.dims()[0] / times.len();
        times.iter().for_each(|time| *asked.entry((time * 1e6) as u32).or_default() += rows);
        Tensor::zeros(z.dims(), &z.device())
    }

    fn push_forward(
        &self,
        z: &State,
        time: Tensor<2>,
        factors: &Factors,
        given: &Given,
        tangents: &State,
    ) -> (State, State) {
        (self.output(z, time, factors, given), tangents.clone() * 0.0)
    }

    fn boxed(&self) -> Box<dyn Denoiser> {
        Box::new(self.clone())
    }
}

const WEIGHTINGS: [Weighting; 3] = [Weighting::Bound, Weighting::Simple, Weighting::MinSnr(5.0)];

/// Wherever sampling asks the network, training has asked it: by `L_simple` as often at each level.
#[test]
fn every_level_that_sampling_asks_for_is_trained() {
    let rows = 600;
    for last_mean in [LastMean::Denoised, LastMean::Rescaled] {
        for weighting in WEIGHTINGS {
            let asked = Asked::default();
            let gammas = log_linear(6, -3.0, 4.0);
            let segment = Diffusion {
                denoiser: Box::new(asked.clone()),
                prediction: Prediction::Noise,
                schedule: NoiseSchedule::Fixed(gammas.clone()),
                observation: Observation::Continuous,
                last_mean,
                weighting,
            };
            let model = Model::new(vec![Box::new(segment)]);
            for sampler in [Sampler::Ancestral, Sampler::Ddim { steps: 4, eta: 0.0 }] {
                sampler.sample(&model, 3, NOTHING, &noise(210)).unwrap();
                let sampled = asked.take();
                let local =
                    model.segments()[0].local(&states(rows, 2, 1.0, 211), NOTHING, &noise(212), Goal::Loss);
                let trained = asked.take();
                let place = format!("{last_mean:?}, {weighting:?}, {sampler:?}: {sampled:?}, {trained:?}");
                assert!(sampled.keys().all(|time| trained.contains_key(time)), "{place}");
                if weighting == Weighting::Bound {
                    continue;
                }
                let (least, most) = (trained.values().min().copied(), trained.values().max().copied());
                assert!(most <= least.map(|least| least + 1), "{place}");
                // The answer 0 leaves |eps|^2, 2 on average: the loss is the mean of the weights.
                let snr = |gamma: &f64| (-gamma).exp();
                let weight = |gamma: &f64| match weighting {
                    Weighting::MinSnr(cap) => snr(gamma).min(cap) / snr(gamma),
                    _ => 1.0,
                };
                let used = &gammas[usize::from(last_mean == LastMean::Rescaled)..];
                let expected = 2.0 * used.iter().map(weight).sum::<f64>() / used.len() as f64;
                let found = Estimate::mean(&doubles(-local.expect("a diffusion has one")));
                assert!((found.value - expected).abs() < 4.0 * found.error, "{place}: {found:?}, {expected}");
            }
        }
    }
}

/// Law 7: a row's bound, simulation-free or simulated, depends on its own address alone and not on its place in a chunk.
#[test]
fn law_7_bounds_do_not_depend_on_the_batch() {
    let (continuous, discrete) = (continuous_models(3), discrete_models(3, 5));
    let of_integers = continuous.len();
    for (index, (name, model)) in continuous.into_iter().chain(discrete).enumerate() {
        let mut rows = to_vec(states(150, 3, 1.0, 220));
        if index >= of_integers {
            rows.iter_mut().for_each(|value| *value = (*value + 2.5).floor().clamp(0.0, 4.0));
        }
        for bound in [Bound::Lower(2), Bound::Continuous(2), Bound::Path, Bound::Importance(2)] {
            let all = row_nlls(&model, &rows, NOTHING, bound, &noise(221)).unwrap();
            let few = row_nlls(&model, &rows[..3 * 7], NOTHING, bound, &noise(221)).unwrap();
            assert!(all.iter().all(|value| value.is_finite()), "{name}");
            let size = few.iter().fold(1.0, |size: f64, value| size.max(value.abs()));
            let difference = largest_difference(&few, &all[..7]);
            assert!(difference < 1e-4 * size, "{name}, {bound:?}: {difference} of {size}");
        }
    }
}

/// One step of DDIM has `eta` times the posterior's standard deviation, and the mean that goes with it (Song et al. 2021, eq. 12
/// and 16), as their `alpha`, our `alpha^2`, say it.
#[test]
fn one_step_of_ddim_has_the_variance_that_eta_says() {
    let rows = 200_000;
    let at = [0.9f32, -0.4];
    let [high, low] = [0.7, -1.9].map(|gamma| Level { gamma, time: 0.0 });
    let model = exact_diffusion(Prediction::Noise, NoiseSchedule::Fixed(log_linear(8, -6.0, 6.0)));
    let diffusion = model.segments()[0].as_diffusion().expect("a diffusion");
    let from = matrix(at.repeat(rows), 2, &Device::flex());
    let (signal, eps) = diffusion.estimates(&from.clone().slice([0..1, 0..2]), high, NOTHING);
    let (signal, eps) = (to_vec(signal), to_vec(eps));
    let (alpha_t, alpha_s) = (high.alpha().powi(2), low.alpha().powi(2));
    for eta in [0.0, 0.5, 1.0] {
        let std = eta * ((1.0 - alpha_s) / (1.0 - alpha_t)).sqrt() * (1.0 - alpha_t / alpha_s).sqrt();
        let step = &diffusion.transitions_over(&[low, high], eta)[0];
        let ends = to_vec(step.sample(from.clone(), NOTHING, &noise(230)).unwrap());
        for c in 0..2 {
            let mean = alpha_s.sqrt() * f64::from(signal[c])
                + (1.0 - alpha_s - std * std).sqrt() * f64::from(eps[c]);
            let off: Vec<f64> = ends.iter().skip(c).step_by(2).map(|end| f64::from(*end) - mean).collect();
            let (first, second) =
                (Estimate::mean(&off), Estimate::mean(&off.iter().map(|d| d * d).collect::<Vec<_>>()));
            assert!(first.value.abs() < 4.0 * first.error + 1e-5, "eta {eta}: mean off by {first:?}");
            let variance = (second.value - std * std).abs();
            assert!(variance < 4.0 * second.error + 1e-9, "eta {eta}: {second:?}, exact {}", std * std);
        }
    }
}
