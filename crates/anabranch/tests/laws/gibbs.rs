//! Draws of conditional laws: what targets say of theirs is so, and laws 1, 2, 4 and 7 of the kernel.

use std::sync::Arc;

use anabranch::kernel::mcmc::Stride;
use anabranch::model::annealed::{Annealing, KernelRecipe, Level, Strides};
use anabranch::target::continuous::{Banana, Brownian, EightSchools, FullGaussian, Funnel, ManyWell};

use super::instances::*;

/// A Gaussian with all coordinates correlated, off the origin.
fn correlated() -> FullGaussian {
    let covariance = [[1.0, 0.7, -0.3], [0.7, 2.0, 0.4], [-0.3, 0.4, 0.5]].concat();
    FullGaussian::from_covariance(vec![0.5, -1.0, 2.0], &covariance, -0.7).expect("positive definite")
}

/// Targets that know conditional laws, and can be drawn from.
fn targets() -> Vec<(&'static str, Arc<dyn Target>)> {
    vec![
        ("diagonal", Arc::new(DiagonalGaussian { mean: vec![0.8, -0.5], std: vec![0.5, 0.7], log_z: 1.3 })),
        ("correlated", Arc::new(correlated())),
        ("funnel", Arc::new(Funnel { dimension: 4, std: 1.2 })),
        ("banana", Arc::new(Banana { dimension: 3, curvature: 0.3, std: 1.3 })),
        ("many-well", Arc::new(ManyWell { dimension: 4 })),
        ("schools", Arc::new(EightSchools { centred: false })),
        ("centred schools", Arc::new(EightSchools { centred: true })),
        ("brownian", Arc::new(Brownian { unknown_scales: false })),
    ]
}

fn dimension(target: &dyn Target) -> usize {
    target.draw(1, &noise(1)).expect("an exact sampler").len()
}

/// Along a coordinate of a block the second derivative of log R is one number, negative, whatever that coordinate and the others of the
/// block are, and these have no mixed derivative with it.
#[test]
fn conditional_laws_are_gaussian_and_independent_within_a_block() {
    // One that nobody can draw from, too.
    let unknown: Arc<dyn Target> = Arc::new(Brownian { unknown_scales: true });
    for (name, target) in targets().into_iter().chain([("brownian of unknown scales", unknown)]) {
        let point = target.draw(1, &noise(901)).unwrap_or_else(|| noise(902).normal(1, 32));
        let d = point.len();
        let hessian = |point: &[f32], c: usize| {
            let mut direction = vec![0.0; d];
            direction[c] = 1.0;
            let mut out = vec![0.0; d];
            target.score_derivatives(point, &[], &direction, &mut out).expect("a derivative");
            out
        };
        let blocks = target.conditional_blocks();
        assert!(!blocks.is_empty(), "{name}");
        let mut all = blocks.concat();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert!(all.len() == count && all.iter().all(|c| *c < d), "{name}: {blocks:?}");
        for block in &blocks {
            let mut other = point.clone();
            block.iter().enumerate().for_each(|(k, c)| other[*c] += 0.7 - 0.4 * k as f32);
            for c in block {
                let (here, there) = (hessian(&point, *c), hessian(&other, *c));
                assert!(here[*c] < 0.0, "{name}: {c} of {block:?}");
                assert!((here[*c] - there[*c]).abs() < 1e-6 * here[*c].abs(), "{name}: {c} of {block:?}");
                let mixed = block.iter().filter(|other| *other != c).map(|other| here[*other].abs());
                assert!(mixed.fold(0.0, f64::max) < 1e-9 * here[*c].abs(), "{name}: {c} of {block:?}");
            }
        }
    }
}

/// Laws 1, 4 and 7: exact draws stay such, forward and backward; a sweep is scored as it was made, and is the same in any batch.
#[test]
fn law_4_sweeps_leave_targets_invariant() {
    let rows = 20_000;
    for (name, target) in targets() {
        let d = dimension(target.as_ref());
        let base = Base::new("base", d, 0.3, 1.5, false);
        let level = || Level::new(&base, &target, PathKind::Geometric, 1.0, None);
        let stride = || (Stride::new(0.6, vec![1.0; d]), vec![0.0; d]);
        let kernel = KernelRecipe::Gibbs {}.at(level(), target.as_ref(), stride(), 3).boxed();
        let drawn = target.draw(rows, &noise(911)).expect("an exact sampler");
        let exact = target.draw(4 * rows, &noise(912)).expect("an exact sampler");
        for backward in [false, true] {
            let x = matrix(drawn.clone(), d, &Device::flex());
            let step = match backward {
                true => kernel.backward(x.clone(), NOTHING, &noise(913)),
                false => kernel.forward(x.clone(), NOTHING, &noise(913)),
            };
            let step = step.expect("a density");
            let told = to_vec_f64(step.log_ratio);
            let scored = match kernel.score(&x, &step.state, NOTHING).expect("a density") {
                Score::Ratio(ratio) => to_vec_f64(ratio),
                other => panic!("{other:?}"),
            };
            assert!(largest_difference(&told, &scored) < 1e-9, "{name}");
            assert!(step.info[1].1.iter().all(|count| *count == 0.0), "{name} diverges");
            let moved = to_vec(step.state);
            let part =
                kernel.forward(matrix(drawn[..3 * d].to_vec(), d, &Device::flex()), NOTHING, &noise(913));
            if !backward {
                assert_eq!(to_vec(part.expect("a density").state), moved[..3 * d], "{name}");
            }
            let still = moved.iter().zip(&drawn).filter(|(a, b)| a == b).count();
            assert!(still * 2 < moved.len(), "{name}: {still} of {} numbers stay", moved.len());
            // Ranks, cubes and neighbours: heavy tails hide nothing of them.
            let tests: [fn(&[f32], usize) -> f64; 3] = [
                |x, c| f64::from(x[c]).tanh(),
                |x, c| (f64::from(x[c]) * 0.7 - 0.4).tanh().powi(2),
                |x, c| (f64::from(x[c]) * f64::from(x[(c + 1) % x.len()])).tanh(),
            ];
            for (index, test) in tests.iter().enumerate() {
                for c in 0..d {
                    let of = |rows: &[f32]| {
                        Estimate::mean(&rows.chunks(d).map(|x| test(x, c)).collect::<Vec<f64>>())
                    };
                    let (exact, found) = (of(&exact), of(&moved));
                    let error = exact.error.hypot(found.error);
                    assert!(
                        (exact.value - found.value).abs() < 5.0 * error,
                        "{name}, backward {backward}, test {index} of {c}: {found:?}, exactly {exact:?}"
                    );
                }
            }
        }
    }
}

/// One sweep of two coordinates is what the closed forms of their conditional laws say, at a power of the target beside a base.
#[test]
fn tempered_conditional_laws_have_their_closed_forms() {
    let target: Arc<dyn Target> = Arc::new(Funnel { dimension: 2, std: 1.0 });
    let (base, place) = (Base::new("base", 2, 0.4, 1.5, false), 0.3);
    let level = Level::new(&base, &target, PathKind::Geometric, place, None);
    let stride = (Stride::new(1e-6, vec![1.0; 2]), vec![0.0; 2]);
    let kernel = KernelRecipe::Gibbs {}.at(level, target.as_ref(), stride, 1).boxed();
    let rows = 50_000;
    let x = matrix([1.1f32, -2.0].repeat(rows), 2, &Device::flex());
    let moved = to_vec(kernel.forward(x, NOTHING, &noise(921)).expect("a density").state);
    let of = |test: fn(f64) -> f64| {
        Estimate::mean(&moved.chunks(2).map(|x| test(f64::from(x[1]))).collect::<Vec<f64>>())
    };
    let precision = 0.7 / 2.25 + 0.3 * (-1.1f64).exp();
    let (mean, variance) = (0.7 * 0.4 / 2.25 / precision, 1.0 / precision);
    let (first, second) = (of(|x| x), of(|x| x * x));
    assert!((first.value - mean).abs() < 4.0 * first.error, "{first:?}, exactly {mean}");
    assert!((second.value - mean * mean - variance).abs() < 4.0 * second.error, "{second:?}");
}

/// Law 2: annealed by such kernels, log Z of asymmetric targets is theirs.
#[test]
fn law_2_annealing_by_conditional_laws() {
    for (name, target) in targets().into_iter().take(5) {
        let d = dimension(target.as_ref());
        let segment = Annealing {
            target: target.clone(),
            base: Base::new("base", d, 0.2, 1.4, false),
            flow: None,
            draws_base: true,
            stretch: [0.0, 1.0],
            path: PathKind::Geometric,
            ladder: Ladder::new("ladder", 8, false),
            kernel: KernelRecipe::Gibbs {},
            moves: 2,
            strides: Strides::new("strides", 8, d, 0.8),
            warm_up: None,
        };
        let model = Model::new(vec![Box::new(segment)]);
        let weights = forward_log_weights(&model, target.as_ref(), 20_000, NOTHING, &noise(931));
        let found = evidence(&to_vec_f64(weights.expect("a density")));
        let exact = target.log_z(&[]).expect("a closed form");
        assert!(found.ess > 0.05, "{name}: {found:?}");
        assert!((found.log_z.value - exact).abs() < 4.5 * found.log_z.error, "{name}: {found:?}, {exact}");
        assert!(found.elbo.value <= exact + 4.0 * found.elbo.error, "{name}: {found:?}");
    }
}
