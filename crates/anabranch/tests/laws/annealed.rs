//! Markov kernels along a path of densities: laws 1, 2, 4 and 7, alone and resampled.

use std::sync::Arc;

use anabranch::chain::{LogWeight, Resampling};
use anabranch::kernel::mcmc::Stride;
use anabranch::model::annealed::{Annealing, KernelRecipe, Level, Strides, WarmUp};
use anabranch::sampler::smc::{Population, Smc};
use anabranch::target::Mixture;

use super::instances::*;

const KERNELS: [KernelRecipe; 6] = [
    KernelRecipe::RandomWalk {},
    KernelRecipe::Independent {},
    KernelRecipe::Mala { jitter: 0.3 },
    KernelRecipe::Hmc { leapfrogs: 3, keep: 0.0, jitter: 0.0 },
    KernelRecipe::Hmc { leapfrogs: 2, keep: 0.8, jitter: 0.4 },
    KernelRecipe::Gibbs {},
];

pub(super) const PATHS: [PathKind; 2] = [PathKind::Geometric, PathKind::Linear];

/// Two unequal, skew modes; its integral is 1.
pub(super) fn lopsided() -> Arc<dyn Target> {
    let means = [vec![-1.0, 0.5], vec![1.2, -0.8]];
    Arc::new(Mixture::new(&[0.3, 0.7], &means, &[vec![0.5, 0.9], vec![0.8, 0.4]]))
}

/// The same with another integral, by a formula.
pub(super) fn weighed() -> (Arc<dyn Target>, f64) {
    let target = DiagonalGaussian { mean: vec![0.8, -0.5], std: vec![0.5, 0.7], log_z: 1.3 };
    (Arc::new(target), 1.3)
}

/// A segment of `steps` levels with strides that suit the targets here.
fn annealing(target: Arc<dyn Target>, kernel: KernelRecipe, path: PathKind, steps: usize) -> Annealing {
    let step = if matches!(kernel, KernelRecipe::Independent {}) { 1.5 } else { 0.9 };
    Annealing {
        target,
        base: Base::new("base", 2, 0.2, 1.2, false),
        flow: None,
        draws_base: true,
        stretch: [0.0, 1.0],
        path,
        ladder: Ladder::new("ladder", steps, false),
        kernel,
        moves: 2,
        strides: Strides::new("strides", steps, 2, step),
        warm_up: None,
    }
}

/// Law 4: draws of a density are draws of it after any number of moves, by every kernel.
#[test]
fn law_4_kernels_leave_their_density_invariant() {
    let rows = 40_000;
    let target = lopsided();
    let base = Base::new("base", 2, 0.0, 1.0, false);
    // Powers and a product, which tell apart what is skew.
    let tests: [fn(&[f32]) -> f64; 6] = [
        |x| f64::from(x[0]),
        |x| f64::from(x[1]),
        |x| f64::from(x[0]).powi(2),
        |x| f64::from(x[0]).powi(3),
        |x| f64::from(x[0] * x[1]),
        |x| f64::from(u8::from(x[0] < 0.0)),
    ];
    let drawn = target.draw(rows, &noise(701)).expect("an exact sampler");
    let other = target.draw(200_000, &noise(702)).expect("an exact sampler");
    for kernel in KERNELS {
        // The second time a dense mass matrix, where it is read.
        for (step, factor) in [(0.4, Vec::new()), (1.1, vec![1.2, 0.0, -0.5, 0.6])] {
            let level = Level::new(&base, &target, PathKind::Geometric, 1.0, None);
            let stride = Stride { step, scale: vec![1.3, 0.7], factor };
            let (name, kernel) = (
                format!("{kernel:?}"),
                kernel.at(level, target.as_ref(), (stride, vec![0.3, -0.2]), 4).boxed(),
            );
            let x = matrix(drawn.clone(), 2, &Device::flex());
            let moved = kernel.forward(x, NOTHING, &noise(703)).expect("a density");
            let acceptance = moved.info[0].1.iter().sum::<f32>() / rows as f32;
            assert!((0.05..1.0).contains(&acceptance), "{name}: {acceptance}");
            let moved = to_vec(moved.state);
            for (index, test) in tests.iter().enumerate() {
                let of = |rows: &[f32]| Estimate::mean(&rows.chunks(2).map(test).collect::<Vec<f64>>());
                let (exact, found) = (of(&other), of(&moved));
                let error = exact.error.hypot(found.error);
                assert!(
                    (exact.value - found.value).abs() < 4.5 * error,
                    "{name} of step {step}, test {index}: {found:?}, exactly {exact:?}"
                );
            }
        }
    }
}

/// Law 2: annealed importance sampling, forward and backward, by every kernel along every path.
#[test]
fn law_2_annealed_importance_sampling() {
    for kernel in KERNELS {
        for path in PATHS {
            // Conditional laws of a sum of densities are no Gaussians.
            if (kernel, path) == (KernelRecipe::Gibbs {}, PathKind::Linear) {
                continue;
            }
            for (target, exact) in [(lopsided(), 0.0), weighed()] {
                let model = Model::new(vec![Box::new(annealing(target.clone(), kernel, path, 5))]);
                let weights = forward_log_weights(&model, target.as_ref(), 20_000, NOTHING, &noise(711));
                let found = evidence(&to_vec_f64(weights.expect("a density")));
                let name = format!("{kernel:?} along {path:?}");
                assert!(found.ess > 0.1, "{name}: {found:?}");
                assert!((found.log_z.value - exact).abs() < 4.0 * found.log_z.error, "{name}: {found:?}");
                assert!(found.elbo.value <= exact + 4.0 * found.elbo.error, "{name}: {found:?}");
                let rows = target.draw(20_000, &noise(712)).expect("exact");
                let x = matrix(rows, 2, &Device::flex());
                let reward = log_density(target.as_ref(), &x, NOTHING).expect("a density");
                let encoded = model.chain().encode(x, NOTHING, &noise(713)).expect("a density").log_weight;
                let backward = to_vec_f64(reward - encoded);
                let upper = Estimate::mean(&backward);
                assert!(upper.value >= exact - 4.0 * upper.error, "{name}: {upper:?}");
                // E_backward[1 / w] = 1 / Z. The last factor along a linear path is a share of q / R, which has no variance here.
                if path == PathKind::Linear {
                    continue;
                }
                let inverse = evidence(&backward.iter().map(|w| -w).collect::<Vec<f64>>());
                assert!(
                    (inverse.log_z.value + exact).abs() < 4.5 * inverse.log_z.error,
                    "{name}: {inverse:?}"
                );
            }
        }
    }
}

/// A path that was walked is scored as it was made.
#[test]
fn annealed_paths_are_scored_as_they_were_made() {
    for kernel in KERNELS {
        for path in PATHS {
            let model = Model::new(vec![Box::new(annealing(lopsided(), kernel, path, 4))]);
            let states = States::draw(&model, 60, NOTHING, &noise(721)).unwrap();
            let generated = to_vec_f64(-model.chain().generate(60, NOTHING, &noise(721)).unwrap().log_weight);
            let scored = to_vec_f64(Path::scored(&model, &states, NOTHING, &noise(722)).unwrap().0.total());
            assert!(largest_difference(&generated, &scored) < 1e-4, "{kernel:?}: {generated:?} {scored:?}");
        }
    }
}

/// One run, its `log Z^`.
pub(super) fn resampled(smc: &Smc, model: &Model, target: &dyn Target, seed: u64) -> f64 {
    let chain = model.chain();
    let log_reward = |x: &State, given: &Given| log_density(target, x, given);
    let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
    let noise = Noise::new(seed, Purpose::Source);
    let found = smc.run(&chain, &log_reward, &levels, smc.particles, NOTHING, &noise).expect("a density");
    assert_eq!((found.log_weights.len(), found.stages.len()), (smc.particles, chain.transitions.len()));
    found.log_z
}

/// Law 2 of particles: however few they are, `E[Z^] = Z`, whatever the scheme, the threshold and the states that are kept.
#[test]
fn law_2_sequential_monte_carlo() {
    let (target, exact) = weighed();
    let repeats = 800;
    for (index, resampling) in
        [Resampling::Multinomial, Resampling::Stratified, Resampling::Systematic, Resampling::Residual]
            .into_iter()
            .enumerate()
    {
        for (threshold, waste_free) in [(0.0, 1), (0.7, 1), (1.0, 1), (0.5, 3)] {
            let smc = Smc { particles: 12, repeats: 1, resampling, threshold, waste_free, ..Smc::default() };
            let kernel = KERNELS[index];
            let model = Model::new(vec![Box::new(annealing(target.clone(), kernel, PathKind::Geometric, 4))]);
            let log_z: Vec<f64> =
                (0..repeats).map(|seed| resampled(&smc, &model, target.as_ref(), seed)).collect();
            let found = evidence(&log_z);
            assert!(
                found.ess > 0.1 && (found.log_z.value - exact).abs() < 4.0 * found.log_z.error,
                "{smc:?}, {kernel:?}: {found:?}"
            );
            assert!(found.elbo.value < exact, "{smc:?}: {found:?}");
        }
    }
}

/// Persistent particles estimate log Z with no bias beyond the order of their number, and all of them together have the target's law:
/// means by them spread less than by the same particles without their past.
#[test]
fn law_2_persistent_particles() {
    let ((target, exact), repeats) = (weighed(), 200);
    for (index, resampling) in [Resampling::Multinomial, Resampling::Systematic].into_iter().enumerate() {
        for path in PATHS {
            let model = Model::new(vec![Box::new(annealing(target.clone(), KERNELS[index], path, 6))]);
            // log Z of every run, and its mean of a square.
            let run = |smc: &Smc| -> [Estimate; 2] {
                let found = (0..repeats).map(|seed| {
                    let found = persisted(smc, &model, target.as_ref(), 5000 + seed);
                    let squares = to_vec(found.states).chunks(2).map(|x| f64::from(x[0]).powi(2)).collect();
                    (found.log_z, mean(squares, &found.log_weights))
                });
                let (log_z, squares): (Vec<f64>, Vec<f64>) = found.unzip();
                [log_z, squares].map(|values| Estimate::mean(&values))
            };
            let smc = Smc { particles: 200, resampling, persistent: true, ..Smc::default() };
            let [found, squares] = run(&smc);
            // The bias of the logarithm of a mean is half its variance; that of the mixtures is of the same order, 1 / N.
            let variance = found.error.powi(2) * repeats as f64;
            let name = format!("{smc:?}, {path:?}: {found:?}, exactly {exact}");
            assert!((found.value - exact).abs() < 4.0 * found.error + 2.0 * variance, "{name}");
            // Of a Gaussian with mean .8 and standard deviation .5.
            let bias = squares.error.powi(2) * repeats as f64;
            assert!((squares.value - 0.89).abs() < 4.0 * squares.error + 2.0 * bias, "{name}: {squares:?}");
            let [_, plain] = run(&Smc { persistent: false, ..smc });
            assert!(squares.error < 0.9 * plain.error, "{name}: {squares:?}, without the past {plain:?}");
        }
    }
}

/// The mean of numbers with log-weights.
fn mean(values: Vec<f64>, log_weights: &[f64]) -> f64 {
    let weights: Vec<f64> = log_weights.iter().map(|weight| weight.exp()).collect();
    values.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>()
        / weights.iter().sum::<f64>()
}

fn persisted(smc: &Smc, model: &Model, target: &dyn Target, seed: u64) -> Population<State> {
    let chain = model.chain();
    let log_reward = |x: &State, given: &Given| log_density(target, x, given);
    let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
    let noise = Noise::new(seed, Purpose::Source);
    smc.run(&chain, &log_reward, &levels, smc.particles, NOTHING, &noise).expect("a density")
}

/// What a run goes on from is one population, however many steps are behind it.
#[test]
fn a_walk_keeps_no_more_at_later_stages() {
    let model = Model::new(vec![Box::new(annealing(lopsided(), KERNELS[0], PathKind::Geometric, 40))]);
    let chain = model.chain();
    let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
    for waste_free in [1, 4] {
        let smc = Smc { particles: 64, waste_free, ..Smc::default() };
        let mut walk = smc.begin(&chain, 64, NOTHING, &noise(745)).expect("a source");
        for _ in &chain.transitions {
            smc.step(&mut walk, &chain, &levels, &noise(745)).expect("a density");
            let numbers = walk.known.iter().map(Vec::len).sum::<usize>();
            assert_eq!((walk.particles.states.dims(), walk.known.len(), numbers), ([64, 2], 1, 64));
            assert_eq!(walk.particles.log_weights.len(), 64);
        }
        assert_eq!(walk.steps(), 41);
    }
}

/// Resampling is worth something: with the same kernels the estimates spread less, and particles end where the target is.
#[test]
fn particles_reach_the_target() {
    let target = lopsided();
    let segment = annealing(
        target.clone(),
        KernelRecipe::Hmc { leapfrogs: 3, keep: 0.0, jitter: 0.0 },
        PathKind::Geometric,
        10,
    );
    let model = Model::new(vec![Box::new(segment)]);
    let chain = model.chain();
    let smc = Smc { particles: 8000, ..Smc::default() };
    let log_reward = |x: &State, given: &Given| log_density(target.as_ref(), x, given);
    let levels = |index: usize, x: &State, given: &Given| chain.transitions[index].level(x, given);
    let found = smc.run(&chain, &log_reward, &levels, 8000, NOTHING, &noise(741)).unwrap();
    let places = Resampling::Systematic.places(&found.log_weights, 8000, &noise(742)).unwrap();
    let points = to_vec(anabranch::chain::Batch::select(&found.states, &places));
    let left = points.chunks(2).filter(|x| x[0] < 0.0).count() as f64 / 8000.0;
    let drawn = target.draw(100_000, &noise(743)).unwrap();
    let exact = drawn.chunks(2).filter(|x| x[0] < 0.0).count() as f64 / 100_000.0;
    assert!((left - exact).abs() < 0.02, "{left}, exactly {exact}");
    assert!(found.log_z.abs() < 0.05, "{}", found.log_z);
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| resampled(&smc, &model, target.as_ref(), 744))
    };
    assert_eq!(with_threads(1).to_bits(), with_threads(3).to_bits());
}

/// After the warm-up kernels accept about as often as is best, and the levels divide the way evenly: a narrow target far from the
/// base keeps as much of its particles at every step.
#[test]
fn warm_up_finds_strides_and_ladder() {
    let exact = -2.0;
    let narrow = DiagonalGaussian { mean: vec![2.5, -1.5], std: vec![0.1, 0.4], log_z: -2.0 };
    let target: Arc<dyn Target> = Arc::new(narrow);
    let mut counted = 0;
    for kernel in KERNELS {
        let tuned = |ladder: bool| {
            let mut segment = annealing(target.clone(), kernel, PathKind::Geometric, 12);
            segment.warm_up = Some(WarmUp { rounds: 20, ladder, strides: true });
            let mut model = Model::new(vec![Box::new(segment)]);
            model.warm_up(500, NOTHING, &noise(751)).expect("a density");
            model
        };
        let spread = |model: &Model| {
            let weights = forward_log_weights(model, target.as_ref(), 2000, NOTHING, &noise(752)).unwrap();
            let weights = to_vec_f64(weights);
            let deviation = Estimate::mean(&weights).error * (weights.len() as f64).sqrt();
            (evidence(&weights), deviation)
        };
        let (adapted, even) = (tuned(true), tuned(false));
        let ((found, least), (_, most)) = (spread(&adapted), spread(&even));
        assert!(least < 0.5 * most, "{kernel:?}: {least} with a ladder that was adapted, {most} else");
        // Where no path carries weight the equality has no power.
        if found.ess > 0.01 {
            counted += 1;
            assert!((found.log_z.value - exact).abs() < 4.5 * found.log_z.error, "{kernel:?}: {found:?}");
        }
        let mut told = Vec::new();
        let chain = adapted.chain();
        chain
            .generate_observed(2000, NOTHING, &noise(753), |_, _, info| {
                told.extend(
                    info.iter()
                        .filter(|(name, _)| *name == "acceptance")
                        .map(|(_, all)| all.iter().sum::<f32>() / all.len() as f32),
                );
            })
            .unwrap();
        assert_eq!(told.len(), 12);
        // Conditional laws need no acceptance.
        let best = kernel.proposal(&[0.0, 0.0]).map_or(1.0, |proposal| proposal.best_acceptance()) as f32;
        let mean = told.iter().sum::<f32>() / 12.0;
        // Draws of the independence sampler are as wide as the particles, of two Gaussians next to each other.
        let least = if best == 1.0 { 0.5 } else { best - 0.12 };
        assert!((least..best + 0.12).contains(&mean), "{kernel:?}: {told:?}");
    }
    assert!(counted >= 3, "{counted} kernels reach the target");
}

/// On a tape a step ends where it ends without one, and its gradient by where it began is that of differences, acceptance held.
#[test]
fn kernels_on_the_tape_move_as_without() {
    let proposing = KERNELS.into_iter().filter(|kernel| kernel.proposal(&[0.0, 0.0]).is_some());
    let dense = (KernelRecipe::Hmc { leapfrogs: 3, keep: 0.0, jitter: 0.0 }, true);
    for (kernel, dense) in proposing.map(|kernel| (kernel, false)).chain([dense]) {
        for path in PATHS {
            let mut segment = annealing(lopsided(), kernel, path, 3);
            if dense {
                let factor = vec![1.1, 0.0, -0.4, 0.7];
                let stride = (Stride { step: 0.9, scale: vec![1.0; 2], factor }, vec![0.0; 2]);
                segment.strides = Strides::dense("strides", 3, 2, 0.9);
                segment.strides.set(&[stride.clone(), stride.clone(), stride]);
            }
            let model = Model::new(vec![Box::new(segment)]);
            let chain = model.chain();
            let transition = &chain.transitions[2];
            let points = states(12, 2, 0.9, 761);
            let c = [0.7f32, -1.1];
            let end = |x: State| -> (Vec<f64>, State, LogWeight) {
                let step = transition.forward(x, NOTHING, &noise(762)).expect("a density");
                let weighed = step.state.clone() * matrix(c.to_vec(), 2, &step.state.device());
                (to_vec(step.state).iter().map(|x| f64::from(*x)).collect(), weighed, step.log_ratio)
            };
            let tracked = points.clone().to_device(&Device::flex().autodiff());
            let tracked =
                Tensor::<2>::from_data(tracked.into_data(), &Device::flex().autodiff()).require_grad();
            let (on_tape, weighed, ratio) = end(tracked.clone());
            let (plain, ..) = end(points.clone());
            assert!(largest_difference(&on_tape, &plain) < 2e-4, "{kernel:?}: {on_tape:?} {plain:?}");
            let loss = double(weighed.sum_dim(1).squeeze_dim::<1>(1)) + ratio * 0.6;
            let gradient = to_vec(tracked.grad(&loss.sum().backward()).expect("x takes part"));
            let value = |x: Vec<f32>| {
                let (_, weighed, ratio) = end(matrix(x, 2, &Device::flex()));
                let ratio: Vec<f64> = to_vec_f64(ratio);
                let sums = to_vec(weighed.sum_dim(1).squeeze_dim::<1>(1));
                sums.iter().zip(ratio).map(|(sum, ratio)| f64::from(*sum) + 0.6 * ratio).collect::<Vec<f64>>()
            };
            let start = to_vec(points);
            let h = 2e-3f32;
            let mut agreed = 0;
            for row in 0..12 {
                for column in 0..2 {
                    let at = |shift: f32| {
                        let mut x = start.clone();
                        x[2 * row + column] += shift;
                        value(x)[row]
                    };
                    let slope = (at(h) - at(-h)) / f64::from(2.0 * h);
                    let found = f64::from(gradient[2 * row + column]);
                    // Where a difference passes the edge of acceptance it says nothing.
                    agreed += usize::from((slope - found).abs() < 0.02 * (1.0 + slope.abs()));
                }
            }
            assert!(agreed >= 22, "{kernel:?} {path:?}: {agreed} of 24 slopes agree");
        }
    }
}

/// With a mass matrix that makes all rates alike, trajectories of 5 leapfrogs with 5 arccos(1 - h^2 / 2) = 2 pi end where they began,
/// every one accepted; with jitter they forget it, and the law stays.
#[test]
fn jitter_cures_trajectories_that_come_round() {
    let rows = 20_000;
    let covariance = [1.0, 0.72, 0.72, 0.81];
    let target = FullGaussian::from_covariance(vec![0.4, -0.2], &covariance, 0.3).expect("positive definite");
    let target: Arc<dyn Target> = Arc::new(target);
    let base = Base::new("base", 2, 0.0, 1.0, false);
    let step = (2.0 * (1.0 - (0.4 * std::f64::consts::PI).cos())).sqrt() as f32;
    let factor = vec![1.0, 0.0, 0.72, (0.81f32 - 0.72 * 0.72).sqrt()];
    let drawn = target.draw(rows, &noise(781)).expect("an exact sampler");
    // The correlation of where a trajectory ends with where it began, its mean chance of acceptance, and the mean of what it leads to.
    let moved = |jitter: f32| {
        let level = Level::new(&base, &target, PathKind::Geometric, 1.0, None);
        let stride = Stride { step, scale: vec![1.0; 2], factor: factor.clone() };
        let kernel = KernelRecipe::Hmc { leapfrogs: 5, keep: 0.0, jitter };
        let kernel = kernel.at(level, target.as_ref(), (stride, vec![0.0; 2]), 1).boxed();
        let x = matrix(drawn.clone(), 2, &Device::flex());
        let found = kernel.forward(x, NOTHING, &noise(782)).expect("a density");
        let acceptance = found.info[0].1.iter().sum::<f32>() / rows as f32;
        let of = |all: &[f32]| all.chunks(2).map(|x| f64::from(x[0])).collect::<Vec<f64>>();
        let (before, after) = (of(&drawn), of(&to_vec(found.state)));
        let [first, second] = [&before, &after].map(|values| Estimate::mean(values));
        let squares: Vec<f64> = after.iter().map(|x| (x - 0.4).powi(2)).collect();
        let variance = Estimate::mean(&squares);
        assert!((variance.value - 1.0).abs() < 4.5 * variance.error, "jitter {jitter}: {variance:?}");
        let both = before.iter().zip(&after);
        let product = both.map(|(a, b)| (a - first.value) * (b - second.value)).sum::<f64>();
        (product / (first.error * second.error * (rows * rows) as f64), acceptance)
    };
    let [(stays, all), (forgets, most)] = [moved(0.0), moved(0.5)];
    assert!(stays > 0.999 && all > 0.999, "{stays}, {all}");
    assert!(forgets.abs() < 0.3 && most > 0.5, "{forgets}, {most}");
}

/// On a correlated Gaussian a dense mass matrix, found at warm-up, makes one leapfrog forget more of where it began; log Z and the law stay
/// exact.
#[test]
fn dense_masses_suit_correlated_targets() {
    let d = 6;
    let std = |i: usize| 0.4 * 1.2f64.powi(i as i32);
    let covariance: Vec<f64> = (0..d * d)
        .map(|place| {
            let (i, j) = (place / d, place % d);
            std(i) * std(j) * 0.96f64.powi(i.abs_diff(j) as i32)
        })
        .collect();
    let mean = vec![0.5, -0.3, 0.2, 0.7, -0.4, 0.1];
    let target = FullGaussian::from_covariance(mean.clone(), &covariance, -0.7).expect("positive definite");
    let target: Arc<dyn Target> = Arc::new(target);
    // How far all coordinates are up together, and how a neighbour differs.
    let tests = [
        |x: &[f32], std: &dyn Fn(usize) -> f64| (0..6).map(|i| f64::from(x[i]) / std(i)).sum::<f64>(),
        |x: &[f32], std: &dyn Fn(usize) -> f64| f64::from(x[5]) / std(5) - f64::from(x[4]) / std(4),
    ];
    let remembered = |dense: bool| -> f64 {
        let strides = if dense { Strides::dense } else { Strides::new };
        let segment = Annealing {
            target: target.clone(),
            base: Base::new("base", d, 0.0, 1.5, false),
            flow: None,
            draws_base: true,
            stretch: [0.0, 1.0],
            path: PathKind::Geometric,
            ladder: Ladder::new("ladder", 40, false),
            // More leapfrogs come round to where they began, where all coordinates turn at one rate.
            kernel: KernelRecipe::Hmc { leapfrogs: 1, keep: 0.0, jitter: 0.0 },
            moves: 4,
            strides: strides("strides", 40, d, 0.5),
            warm_up: Some(WarmUp { rounds: 20, ladder: true, strides: true }),
        };
        let mut model = Model::new(vec![Box::new(segment)]);
        model.warm_up(500, NOTHING, &noise(771)).expect("a density");
        let weights = forward_log_weights(&model, target.as_ref(), 8000, NOTHING, &noise(772));
        let found = evidence(&to_vec_f64(weights.expect("a density")));
        assert!(found.ess > if dense { 0.05 } else { 0.0 }, "dense {dense}: {found:?}");
        assert!((found.log_z.value + 0.7).abs() < 4.5 * found.log_z.error, "dense {dense}: {found:?}");
        let rows = 20_000;
        let drawn = target.draw(rows, &noise(773)).expect("an exact sampler");
        let chain = model.chain();
        let last = chain.transitions.last().expect("kernels");
        let step = last.forward(matrix(drawn.clone(), d, &Device::flex()), NOTHING, &noise(774));
        let moved = to_vec(step.expect("a density").state);
        let correlations = tests.iter().map(|test| {
            let of = |rows: &[f32]| rows.chunks(d).map(|x| test(x, &std)).collect::<Vec<f64>>();
            let (before, after) = (of(&drawn), of(&moved));
            let [first, second] = [&before, &after].map(|values| Estimate::mean(values));
            assert!(
                (first.value - second.value).abs() < 4.5 * first.error.hypot(second.error),
                "dense {dense}: {first:?} becomes {second:?}"
            );
            let centred = before.iter().zip(&after);
            let product = centred.map(|(a, b)| (a - first.value) * (b - second.value)).sum::<f64>();
            product / (first.error * second.error * (rows * rows) as f64)
        });
        correlations.map(f64::abs).fold(0.0, f64::max)
    };
    let (dense, diagonal) = (remembered(true), remembered(false));
    assert!(dense < 0.5 && diagonal > 0.6, "{dense} with a dense mass, {diagonal} with a diagonal one");
}
