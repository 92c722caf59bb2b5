//! A VAE whose encoder is followed by Langevin steps: its weights, both ways, its gradients, and that the steps tighten the bound.

use anabranch::kernel::law::{DiscretisedLogistic, Law};
use anabranch::model::vae::Refinement;

use super::instances::*;

/// With a learned reversal away from its start, or without one.
fn refined(model: ObservationModel, [dimension, latent]: [usize; 2], steps: usize, learned: bool) -> Vae {
    let score = learned.then(|| network(latent, dimension + 16, latent, false));
    let mut vae =
        vae(model, dimension, &[latent]).refined(Refinement::new("refinement", steps, 0.001, score));
    // Encoder and decoder are away from their start already.
    stir(vae.weights_mut().into_iter().skip(2), 0.1);
    vae
}

/// Law 2: `E_forward[w] = Z` and `E_backward[1 / w] = 1 / Z`, whatever the steps do.
#[test]
fn law_2_of_refined_encoders() {
    let target =
        DiagonalGaussian { mean: vec![0.4, -0.3, 0.2, 0.0], std: vec![0.5, 0.4, 0.6, 0.5], log_z: 1.3 };
    for learned in [false, true] {
        let model = Model::new(vec![Box::new(refined(ObservationModel::Gaussian, [4, 3], 3, learned))]);
        let log_weights = forward_log_weights(&model, &target, 200_000, NOTHING, &noise(801)).unwrap();
        let found = evidence(&to_vec_f64(log_weights));
        assert!(found.ess > 0.003, "{found:?}");
        assert!((found.log_z.value - 1.3).abs() < 4.5 * found.log_z.error, "{found:?}");
        let rows = target.draw(40_000, &noise(802)).expect("exact");
        let x = matrix(rows, 4, &Device::flex());
        let reward = log_density(&target, &x, NOTHING).unwrap();
        let upper = to_vec_f64(reward - model.chain().encode(x, NOTHING, &noise(803)).unwrap().log_weight);
        assert!(Estimate::mean(&upper).value > 1.3, "{:?}", Estimate::mean(&upper));
    }
}

/// The bound never exceeds the likelihood: of coins it is known, by the sum over all data of `exp` of the importance-weighted bound.
#[test]
fn masses_add_up_to_one() {
    for (model, levels) in [(ObservationModel::Bernoulli, 2), (ObservationModel::DiscretisedLogistic(3), 3)] {
        for learned in [false, true] {
            let chain = Model::new(vec![Box::new(refined(model, [3, 2], 2, learned))]);
            let count = usize::pow(levels, 3);
            let all: Vec<f32> = (0..count)
                .flat_map(|i| [i % levels, i / levels % levels, i / levels / levels].map(|v| v as f32))
                .collect();
            let samples = 4000;
            let x = matrix(all, 3, &Device::flex());
            let bound = chain.importance_bound(x, samples, NOTHING, &noise(811)).unwrap();
            let whole: f64 = to_vec_f64(bound).iter().map(|log| log.exp()).sum();
            assert!((whole - 1.0).abs() < 0.02, "{model:?}, learned {learned}: {whole}");
        }
    }
}

/// Derivatives written out by hand are those of differences: of stacks, and of the discretised logistic.
#[test]
fn derivatives_by_hand_are_those_of_differences() {
    for activation in
        [Activation::Silu, Activation::Gelu, Activation::Tanh, Activation::Elu, Activation::Relu]
    {
        let shape =
            Feedforward { input: 3, context: 2, hidden: vec![9, 7], output: 2, activation, residual: false };
        let mut network = Network::new("n", shape, 3, 1, false);
        stir([network.weights_mut()], 0.3);
        let (x, context) = (states(5, 3, 1.0, 821), states(5, 2, 1.0, 822));
        let c = matrix(vec![0.7, -1.3], 2, &Device::flex());
        let value = |x: State| {
            to_vec((network.apply(x, Some(context.clone())) * c.clone()).sum_dim(1).squeeze_dim::<1>(1))
        };
        let slope = |y: &State| c.clone().expand([y.dims()[0], 2]);
        let (y, found) = network.pulled_back(x.clone(), Some(context.clone()), slope);
        let plain = to_vec(network.apply(x.clone(), Some(context.clone())));
        assert!(to_vec(y).iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-5));
        let (found, start) = (to_vec(found), to_vec(x));
        for place in 0..15 {
            let at = |shift: f32| {
                let mut x = start.clone();
                x[place] += shift;
                value(matrix(x, 3, &Device::flex()))[place / 3]
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!(
                (slope - found[place]).abs() < 5e-3 * (1.0 + slope.abs()),
                "{activation:?}: {slope} {}",
                found[place]
            );
        }
    }
    let values = matrix(vec![0.0, 1.0, 3.0, 2.0, 0.0, 3.0], 3, &Device::flex());
    let (mean, scale) = (vec![0.3f32, -0.2, 0.9, 0.1, -1.2, 0.4], vec![-0.5f32, -3.0, 0.4, -5.5, -1.0, 1.0]);
    let mass = |mean: &[f32], scale: &[f32]| {
        let of = |values: &[f32]| matrix(values.to_vec(), 3, &Device::flex());
        let law = DiscretisedLogistic { mean: of(mean), log_scale: of(scale), levels: 4 };
        (doubles(law.log_density(&values)), law.slopes(&values).map(to_vec))
    };
    let (_, slopes) = mass(&mean, &scale);
    for (which, found) in slopes.iter().enumerate() {
        for place in 0..6 {
            let at = |shift: f32| {
                let mut numbers = [mean.clone(), scale.clone()];
                numbers[which][place] += shift;
                mass(&numbers[0], &numbers[1]).0[place / 3]
            };
            let slope = (at(4e-3) - at(-4e-3)) / 8e-3;
            let found = f64::from(found[place]);
            assert!((slope - found).abs() < 0.02 * (1.0 + slope.abs()), "{which} {place}: {slope} {found}");
        }
    }
}

/// Gradients of the bound by every weight vector, through the steps and the decoder's gradient, are those of differences.
#[test]
fn gradients_of_refined_bounds_are_those_of_differences() {
    for model in
        [ObservationModel::Gaussian, ObservationModel::Bernoulli, ObservationModel::DiscretisedLogistic(2)]
    {
        let vae = refined(model, [3, 2], 3, true);
        let x: Vec<f32> = match model {
            ObservationModel::Gaussian => noise(831).normal(16, 3),
            _ => noise(831).uniform(16, 3).iter().map(|u| u.round()).collect(),
        };
        let model = Model::new(vec![Box::new(vae)]);
        let bound = |model: &Model| {
            let x = matrix(x.clone(), 3, &model.device());
            Path::backward(model, x, NOTHING, &noise(832), None).unwrap().total().mean()
        };
        let mut tracked = model.clone();
        tracked.track();
        let mut gradients = bound(&tracked).backward();
        let vectors: Vec<Vec<f32>> = model.weights().iter().map(|weights| weights.values()).collect();
        for (index, weights) in tracked.weights().iter().enumerate() {
            let gradient =
                weights.gradient(&mut gradients).unwrap_or_else(|| panic!("{} learns", weights.name()));
            // Along a random direction.
            let direction = noise(833 + index as u32).normal(1, gradient.len());
            let found: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
            let at = |shift: f32| {
                let mut moved = vectors.clone();
                moved[index].iter_mut().zip(&direction).for_each(|(w, d)| *w += shift * d);
                to_vec_f64(bound(&model.with_weights(&moved)))[0]
            };
            let slope = (at(2e-3) - at(-2e-3)) / 4e-3;
            assert!(
                (slope - found).abs() < 0.02 * (0.1 + slope.abs()),
                "{}: {slope} by differences, {found}",
                weights.name()
            );
        }
    }
}
