//! Laws 2 and 7, and what holds of every chain and energy.

use super::instances::*;
use super::targets::{Points, points};

/// `log w` of forward paths.
fn forward(model: &Model, target: &dyn Target, rows: usize, noise: &Noise) -> Vec<f64> {
    to_vec_f64(forward_log_weights(model, target, rows, NOTHING, noise).expect("a density"))
}

/// The chains that reach the target of law 2 well enough for it to have power, of all in [`continuous_models`].
const COUNTED: [&str; 2] = ["flow", "vae"];

/// Law 2: the mean weight is Z, and the mean log-weight no more than log Z, on asymmetric targets, for any chain.
#[test]
fn law_2_jarzynski() {
    // Wide chains onto narrow targets keep the weights' variance finite.
    let target =
        DiagonalGaussian { mean: vec![0.4, -0.3, 0.2, 0.0], std: vec![0.5, 0.4, 0.6, 0.5], log_z: 1.3 };
    let mut of_w = Vec::new();
    for (name, model) in continuous_models(4) {
        let log_weights = forward(&model, &target, 200_000, &noise(7).purpose(Purpose::Forward));
        let found = evidence(&log_weights);
        let exact = target.log_z(&[]).expect("known");
        assert!(found.elbo.value <= exact + 4.0 * found.elbo.error, "{name}: {found:?}");
        // One path in 200 carrying weight is the least that makes the error bound meaningful.
        if found.ess > 0.005 {
            assert!((found.log_z.value - exact).abs() < 5.0 * found.log_z.error + 1e-3, "{name}: {found:?}");
            of_w.push(name);
        }
        // The other side of the sandwich, which no chain can fail to cover.
        let rows = target.draw(20_000, &noise(8).purpose(Purpose::Target)).expect("exact sampler");
        let x = matrix(rows, 4, &Device::flex());
        let reward = log_density(&target, &x, NOTHING).expect("a density");
        let backward = to_vec_f64(reward - model.chain().encode(x, NOTHING, &noise(9)).unwrap().log_weight);
        let upper = Estimate::mean(&backward);
        assert!(upper.value >= exact - 4.0 * upper.error, "{name}: {upper:?}");
    }
    // Where no path carries weight the equality has no power: that must not become the rule unseen.
    for name in COUNTED {
        assert!(of_w.contains(&name), "E_forward[w] = Z was tested for {of_w:?}");
    }
}

/// The states of a generated path, scored by the kernels that drew them, have the path's own weight: what objectives that
/// score detached states rely on.
#[test]
fn scored_paths_have_the_weights_of_generated_ones() {
    for (name, mut model) in continuous_models(4) {
        for tracked in [false, true] {
            if tracked {
                model.track();
            }
            let states = States::draw(&model.frozen(), 50, NOTHING, &noise(41)).unwrap();
            let generated = to_vec_f64(-model.chain().generate(50, NOTHING, &noise(41)).unwrap().log_weight);
            let scored = to_vec_f64(Path::scored(&model, &states, NOTHING, &noise(42)).unwrap().0.total());
            let size = generated.iter().fold(1.0, |size: f64, value| size.max(value.abs()));
            let difference = largest_difference(&generated, &scored);
            assert!(size > 1.5 && difference < 2e-4 * size, "{name}: {difference} of {size}");
        }
    }
}

/// The terms of a path add up to the chain's own number.
#[test]
fn path_terms_add_up() {
    let vae = Model::new(vec![Box::new(vae(ObservationModel::Gaussian, 4, &[3, 2]))]);
    let x = states(30, 4, 1.0, 43);
    let address = noise(44);
    let terms = Path::backward(&vae, x.clone(), NOTHING, &address, Some(Goal::Bound)).unwrap();
    assert_eq!((terms.forward.len(), terms.backward.len()), (3, 2));
    let total = to_vec_f64(terms.total());
    let chain = to_vec_f64(vae.chain().encode(x, NOTHING, &address).unwrap().log_weight);
    assert!(largest_difference(&total, &chain) < 1e-3, "{total:?} {chain:?}");
}

/// Law 7: a trajectory has the same states in any batch, up to rounding, and the same bits for any number of threads.
#[test]
fn law_7_addressable_noise() {
    for (name, model) in continuous_models(4) {
        let address = Noise::new(9, Purpose::Source);
        let all = to_vec(model.chain().sample(300, NOTHING, &address).unwrap());
        let tail = to_vec(model.chain().sample(40, NOTHING, &address.from_trajectory(260)).unwrap());
        for (a, b) in all[260 * 4..].iter().zip(&tail) {
            assert!((a - b).abs() <= 1e-3 * a.abs().max(1.0), "{name}: {a} and {b}");
        }
        let with_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| Sampler::Ancestral.sample(&model, 300, NOTHING, &address).unwrap())
        };
        let one = with_threads(1);
        assert_eq!(one, with_threads(2), "{name}");
        assert_eq!(one, with_threads(3), "{name}");
    }
}

/// Gradients of the bound reach every weight vector.
#[test]
fn every_weight_learns() {
    for (name, mut model) in continuous_models(4) {
        model.track();
        let x = states(64, 4, 1.0, 70).to_device(&model.device());
        let x = Tensor::<2>::from_data(x.into_data(), &model.device());
        let loss = -Path::backward(&model, x, NOTHING, &noise(71), Some(Goal::Loss)).unwrap().total().mean();
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

/// Energies keep the sandwich under an untrained chain: ELBO at most, EUBO at least log Z.
#[test]
fn untrained_chains_bracket_log_z() {
    let rows = 10_000;
    // Couplings need two coordinates.
    for case in points().into_iter().filter(|case| Points::suits_chains(case) && case.dimension() > 1) {
        let (target, dimension) = (&case.target, case.dimension());
        let (Some(exact), Some(samples)) = (target.log_z(&[]), target.draw(rows, &noise(81))) else {
            continue;
        };
        let samples = matrix(samples, dimension, &Device::flex());
        let reward = log_density(target.as_ref(), &samples, NOTHING).expect("a density");
        for (name, model) in continuous_models(dimension) {
            let log_weights = forward(&model, target.as_ref(), rows, &noise(80));
            let lower = Estimate::mean(&log_weights);
            // A path into the funnel's neck may weigh nothing at all: then the mean is -inf, which is below.
            let below = lower.value == f64::NEG_INFINITY || lower.value <= exact + 4.0 * lower.error;
            assert!(below, "{name} on {target:?}: {lower:?} above {exact}");
            let encoded = model.chain().encode(samples.clone(), NOTHING, &noise(82)).unwrap().log_weight;
            let upper = Estimate::mean(&to_vec_f64(reward.clone() - encoded));
            let above = upper.value == f64::INFINITY || upper.value >= exact - 4.0 * upper.error;
            assert!(above, "{name} on {target:?}: {upper:?} below {exact}");
        }
    }
}
