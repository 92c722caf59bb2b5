//! Stochastic normalizing flows, annealed flow transport and the bootstrap of a flow: laws 1, 2 and 7, and what they learn by.

use std::sync::Arc;

use anabranch::chain::{Chain, Resampling};
use anabranch::kernel::mcmc::LogDensity;
use anabranch::model::annealed::{
    AnnealedFlow, Annealing, Base, Bootstrap, Flowing, KernelRecipe, Ladder, PathKind, Strides,
    bootstrap_chain,
};
use anabranch::objective::Craft;
use anabranch::sampler::smc::Smc;
use anabranch::target::{Mixture, MixtureInverse};
use anabranch::train::craft::Front;

use super::instances::*;

const KERNELS: [KernelRecipe; 4] = [
    KernelRecipe::RandomWalk {},
    KernelRecipe::Mala { jitter: 0.0 },
    KernelRecipe::Hmc { leapfrogs: 3, keep: 0.0, jitter: 0.0 },
    KernelRecipe::Hmc { leapfrogs: 2, keep: 0.8, jitter: 0.4 },
];

/// Two unequal, skew modes; its integral is 1.
fn lopsided() -> Arc<dyn Target> {
    let means = [vec![-1.0, 0.5], vec![1.2, -0.8]];
    Arc::new(Mixture::new(&[0.3, 0.7], &means, &[vec![0.5, 0.9], vec![0.8, 0.4]]))
}

fn annealing(target: Arc<dyn Target>, kernel: KernelRecipe, steps: usize) -> Annealing {
    Annealing {
        target,
        base: Base::new("base", 2, 0.2, 1.2, false),
        flow: None,
        draws_base: true,
        stretch: [0.0, 1.0],
        path: PathKind::Geometric,
        ladder: Ladder::new("ladder", steps, false),
        kernel,
        moves: 2,
        strides: Strides::new("strides", steps, 2, 0.7),
        warm_up: None,
    }
}

/// A small learned map, stirred so that nothing is tested at the identity.
fn map(step: usize) -> Box<dyn Segment> {
    let affine = Transform::Affine { cap: 2.0 };
    let coupling = |split: Split, part: &str| -> Box<dyn Bijection> {
        let (pass, change) = split.counts(2);
        let shape = Feedforward {
            input: pass,
            context: 0,
            hidden: vec![8],
            output: change * affine.raw_len(),
            activation: Activation::Tanh,
            residual: false,
        };
        let network = Network::new(format!("{step}.{part}"), shape, 5, step as u32, true);
        Box::new(Coupling::new(2, split, affine, network))
    };
    let mut flow = Flow::new(2, vec![coupling(Split::Even, "a"), coupling(Split::Odd, "b")]);
    stir(flow.weights_mut(), 0.15);
    Box::new(flow)
}

/// Maps and kernels, in one segment.
fn alternating(target: Arc<dyn Target>, kernel: KernelRecipe, steps: usize) -> Model {
    let maps = (0..steps).map(map).collect();
    Model::new(vec![Box::new(AnnealedFlow::new(maps, annealing(target, kernel, steps)))])
}

/// The same pieces as segments of their own, each kernel along a stretch of the path.
fn apart(target: Arc<dyn Target>, kernel: KernelRecipe) -> Model {
    let stretch = |from: f64, to: f64| {
        Box::new(Annealing {
            stretch: [from, to],
            draws_base: from == 0.0,
            ..annealing(target.clone(), kernel, 1)
        }) as Box<dyn Segment>
    };
    Model::new(vec![stretch(0.0, 0.4), map(0), stretch(0.4, 1.0), map(1)])
}

/// Law 2: `E[w] = Z` forward and `E[1 / w] = 1 / Z` backward, whatever maps stand between whatever kernels; the bounds on either side.
#[test]
fn law_2_stochastic_normalizing_flows() {
    let target = lopsided();
    for kernel in KERNELS {
        for (name, model) in [
            ("one segment", alternating(target.clone(), kernel, 3)),
            ("apart", apart(target.clone(), kernel)),
        ] {
            let name = format!("{kernel:?}, {name}");
            let weights = forward_log_weights(&model, target.as_ref(), 20_000, NOTHING, &noise(811)).unwrap();
            let found = evidence(&to_vec_f64(weights));
            assert!(found.ess > 0.05, "{name}: {found:?}");
            assert!(found.log_z.value.abs() < 4.0 * found.log_z.error, "{name}: {found:?}");
            assert!(found.elbo.value < -0.02, "{name}: {found:?}");
            let x = matrix(target.draw(20_000, &noise(812)).expect("exact"), 2, &Device::flex());
            let reward = log_density(target.as_ref(), &x, NOTHING).unwrap();
            let encoded = model.chain().encode(x, NOTHING, &noise(813)).unwrap().log_weight;
            let backward = to_vec_f64(reward - encoded);
            assert!(Estimate::mean(&backward).value > 0.02, "{name}");
            let inverse = evidence(&backward.iter().map(|w| -w).collect::<Vec<f64>>());
            assert!(inverse.log_z.value.abs() < 4.5 * inverse.log_z.error, "{name}: {inverse:?}");
        }
    }
}

/// Law 1: a path that was walked is scored as it was made, maps encoded again.
#[test]
fn law_1_stochastic_paths_are_scored_as_they_were_made() {
    for kernel in KERNELS {
        for model in [alternating(lopsided(), kernel, 3), apart(lopsided(), kernel)] {
            let states = States::draw(&model, 60, NOTHING, &noise(821)).unwrap();
            let generated = to_vec_f64(-model.chain().generate(60, NOTHING, &noise(821)).unwrap().log_weight);
            let scored = to_vec_f64(Path::scored(&model, &states, NOTHING, &noise(822)).unwrap().0.total());
            assert!(largest_difference(&generated, &scored) < 1e-4, "{kernel:?}: {generated:?} {scored:?}");
        }
    }
}

/// Law 2 of particles: however few they are, `E[Z^] = Z` with maps between the kernels.
#[test]
fn law_2_resampled_transport() {
    let target: Arc<dyn Target> =
        Arc::new(DiagonalGaussian { mean: vec![0.8, -0.5], std: vec![0.5, 0.7], log_z: 1.3 });
    for (kernel, threshold) in KERNELS.into_iter().zip([0.0, 0.6, 1.0]) {
        let model = alternating(target.clone(), kernel, 3);
        let chain = model.chain();
        let smc = Smc { particles: 12, repeats: 1, threshold, ..Smc::default() };
        let run = |seed: u64| {
            let log_reward = |x: &State, given: &Given| log_density(target.as_ref(), x, given);
            let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
            let noise = Noise::new(seed, Purpose::Source);
            smc.run(&chain, &log_reward, &levels, 12, NOTHING, &noise).expect("a density").log_z
        };
        let found = evidence(&(0..3000).map(run).collect::<Vec<f64>>());
        assert!((found.log_z.value - 1.3).abs() < 4.0 * found.log_z.error, "{kernel:?}: {found:?}");
        assert!(found.elbo.value < 1.3, "{kernel:?}: {found:?}");
    }
}

/// The loss of every map, its gradient by that map's weights and no others', and differences.
#[test]
fn maps_learn_each_from_the_particles_in_front_of_it() {
    let target = lopsided();
    let model = alternating(target.clone(), KernelRecipe::Hmc { leapfrogs: 3, keep: 0.0, jitter: 0.0 }, 3);
    let craft = Craft { threshold: 0.5, resampling: Resampling::Systematic };
    let fronts = Front::all(&model, craft, 400, &noise(831)).unwrap();
    assert_eq!(fronts.len(), 3);
    let loss = |front: &Front, model: &Model| {
        let (chain, fixed) = (model.chain(), model.stopped());
        front.loss(&chain, &fixed.chain(), target.as_ref(), &model.device()).unwrap()
    };
    for (index, front) in fronts.iter().enumerate() {
        assert!((front.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mut tracked = model.clone();
        tracked.track();
        let mut found = loss(front, &tracked).backward();
        let gradients: Vec<Option<Vec<f32>>> =
            tracked.weights().into_iter().map(|weights| weights.gradient(&mut found)).collect();
        let names: Vec<String> = tracked.weights().iter().map(|weights| weights.name().to_owned()).collect();
        for (name, gradient) in names.iter().zip(&gradients) {
            let own = name.starts_with(&format!("{index}."));
            let moves = gradient.as_ref().is_some_and(|all| all.iter().any(|slope| *slope != 0.0));
            assert_eq!(own, moves, "map {index} and {name}");
        }
        let norm = gradients.iter().flatten().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let at = |step: f64| {
            let moved: Vec<Vec<f32>> = model
                .weights()
                .into_iter()
                .zip(&gradients)
                .map(|(weights, gradient)| match gradient {
                    Some(g) => {
                        let pairs = weights.values().into_iter().zip(g);
                        pairs.map(|(w, g)| w + (step / norm) as f32 * g).collect()
                    }
                    None => weights.values(),
                })
                .collect();
            to_vec_f64(loss(front, &model.with_weights(&moved)))[0]
        };
        let slope = (at(3e-3) - at(-3e-3)) / 6e-3;
        assert!((slope - norm).abs() < 0.02 * norm, "map {index}: {slope}, {norm}");
    }
    // Each loss is a divergence less log Z_k / Z_{k-1}, of which the target's own is 0.
    let all: f64 = fronts.iter().map(|front| to_vec_f64(loss(front, &model))[0]).sum();
    assert!(all > 0.0, "{all}");
}

/// A flow onto `N(0.2, 1.1^2) x N(-0.1, 0.9^2)`.
fn gaussian_flow() -> Model {
    let standardise = Standardise::new(vec![0.2, -0.1], vec![1.1, 0.9]);
    Model::new(vec![Box::new(Flow::new(2, vec![Box::new(standardise)]))])
}

/// Densities between a flow and `R^a q^(1 - a)`: values by hand, scores by differences, with a learned flow.
#[test]
fn densities_of_the_bootstrap_have_their_scores() {
    let target = lopsided();
    let model = Model::new(vec![map(0)]);
    let flow = Flowing::new(&model);
    let points = states(20, 2, 1.2, 841);
    let values = to_vec(points.clone());
    let encoded = to_vec_f64(model.chain().encode(points.clone(), NOTHING, &noise(842)).unwrap().log_weight);
    let rewards = to_vec_f64(log_density(target.as_ref(), &points, NOTHING).unwrap());
    for (alpha, place) in [(2.0, 0.5), (2.0, 1.0), (1.0, 0.3), (1.5, 0.8)] {
        let density = Bootstrap { flow: &flow, target: target.as_ref(), alpha, place };
        let (mut out, mut scores) = (vec![0.0; 20], vec![0.0; 40]);
        density.evaluate(&values, NOTHING, &mut out, Some(&mut scores)).unwrap();
        let exact: Vec<f64> = encoded
            .iter()
            .zip(&rewards)
            .map(|(q, r)| ((1.0 - place) + place * (1.0 - alpha)) * q + place * alpha * r)
            .collect();
        assert!(largest_difference(&out, &exact) < 1e-5, "{out:?} {exact:?}");
        let h = 1.0 / 256.0;
        for column in 0..2 {
            let at = |step: f32| {
                let moved: Vec<f32> =
                    (0..40).map(|i| values[i] + if i % 2 == column { step } else { 0.0 }).collect();
                let mut out = vec![0.0; 20];
                density.evaluate(&moved, NOTHING, &mut out, None).unwrap();
                out
            };
            let (up, down) = (at(h), at(-h));
            for row in 0..20 {
                let slope = (up[row] - down[row]) / f64::from(2.0 * h);
                let found = scores[2 * row + column];
                assert!((slope - found).abs() < 0.01 * (1.0 + slope.abs()), "{slope}, {found}");
            }
        }
    }
}

/// Law 2 of the bootstrap: weights of paths from the flow to `R^2 / q` have its integral as their mean.
#[test]
fn law_2_annealing_from_a_flow() {
    let (model, std, mean) = (gaussian_flow(), [0.7f64, 0.6], [0.4f64, 0.2]);
    let target = DiagonalGaussian {
        mean: mean.map(|m| m as f32).to_vec(),
        std: std.map(|s| s as f32).to_vec(),
        log_z: 0.5,
    };
    // int N(x; m, s^2)^2 / N(x; a, t^2) = t^2 / (s sqrt(2 t^2 - s^2)) e^{(m - a)^2 / (2 t^2 - s^2)}
    let exact: f64 = 1.0
        + [(0.2, 1.1), (-0.1, 0.9)]
            .iter()
            .zip(mean.iter().zip(&std))
            .map(|((a, t), (m, s)): (&(f64, f64), (&f64, &f64))| {
                let rest = 2.0 * t * t - s * s;
                (t * t / (s * rest.sqrt())).ln() + (m - a) * (m - a) / rest
            })
            .sum::<f64>();
    let flow = Flowing::new(&model);
    let chain: Chain<'_> = bootstrap_chain(&flow, &target, 2.0, [2, 4], &[0.5, 0.5, 0.4]);
    let path = chain.generate(20_000, NOTHING, &noise(851)).unwrap();
    let last = Bootstrap { flow: &flow, target: &target, alpha: 2.0, place: 1.0 };
    let points = to_vec(path.end);
    let mut log_g = vec![0.0; 20_000];
    last.evaluate(&points, NOTHING, &mut log_g, None).unwrap();
    let weights: Vec<f64> = to_vec_f64(path.log_weight).iter().zip(log_g).map(|(w, g)| w + g).collect();
    let found = evidence(&weights);
    assert!((found.log_z.value - exact).abs() < 4.0 * found.log_z.error, "{found:?}, exactly {exact}");
    assert!(found.ess > 0.3 && found.elbo.value < exact, "{found:?}");
}

/// Law 2 under conditions: kernels of a posterior's own levels between maps weigh its evidence at every observation.
#[test]
fn law_2_of_a_posterior() {
    let problem = MixtureInverse::new([2, 3], [0.3, 0.8, 0.3], 4);
    let target: Arc<dyn Target> = Arc::new(problem.clone());
    let model = alternating(target.clone(), KernelRecipe::Mala { jitter: 0.0 }, 3);
    let observations = problem.draw_conditions(4, &noise(861)).expect("a law of its own");
    for observation in observations.chunks(2) {
        let given = Given::rows(2, observation.to_vec());
        let weights = forward_log_weights(&model, target.as_ref(), 20_000, &given, &noise(862)).unwrap();
        let found = evidence(&to_vec_f64(weights));
        let exact = problem.log_z(observation).expect("known");
        assert!((found.log_z.value - exact).abs() < 4.0 * found.log_z.error, "{found:?}, {exact}");
        let drawn = problem.draw_given(&observation.repeat(20_000), &noise(863)).expect("exact");
        let x = matrix(drawn, 2, &Device::flex());
        let reward = log_density(target.as_ref(), &x, &given).unwrap();
        let encoded = model.chain().encode(x, &given, &noise(864)).unwrap().log_weight;
        let inverse = to_vec_f64(encoded - reward);
        let inverse = evidence(&inverse);
        assert!((inverse.log_z.value + exact).abs() < 4.5 * inverse.log_z.error, "{inverse:?}, {exact}");
    }
}
