//! Fused kernels against burn's composed forms.

use std::sync::Arc;

use anabranch::array::bridge::same;
use anabranch::array::combine::{combined, squared_distance};
use anabranch::array::noising::{noised, squared_error};

use super::instances::*;

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

/// Networks over coordinates equal burn's composed form, in value and in every gradient: with places and without, with tokens
/// that answer for themselves and others, in one chunk of rows and several, whatever the context.
#[test]
fn networks_over_coordinates_agree_with_burn() {
    let plain = Coordinates {
        input: 4,
        context: 3,
        output: 4,
        each: 2,
        own: true,
        planar: false,
        patch: 2,
        positions: true,
    };
    let kinds = [
        (plain, 1, true),
        (Coordinates { patch: 1, ..plain }, 70, true),
        (Coordinates { positions: false, ..plain }, 33, false),
        (Coordinates { context: 0, output: 6, own: false, ..plain }, 32, false),
        (Coordinates { output: 6, own: false, planar: true, positions: false, ..plain }, 65, false),
    ];
    let shape = Shape { layers: 2, heads: 3, width: 12, inner: 20, activation: Activation::Gelu };
    let deep = Body::Sets { width: 9, hidden: vec![17, 5], activation: Activation::Elu };
    for (coordinates, rows, shared) in kinds {
        let bodies = bodies().map(|(_, body)| body).into_iter();
        for body in bodies.chain([Body::Transformer(shape), deep.clone()]) {
            let place = format!("{coordinates:?}, {body:?}");
            let mut net = Network::new("n", CoordinateNetwork::new(coordinates, body), 8, 1, false);
            net.weights_mut().track();
            let device = net.weights().device();
            let tracked = |step, rows, columns| {
                matrix(noise(step).normal(rows, columns), columns, &device).require_grad()
            };
            let x = tracked(60, rows, net.input());
            let context_rows = if shared { 1 } else { rows };
            let context = (net.context() > 0).then(|| tracked(61, context_rows, net.context()));
            let weight = matrix(noise(62).normal(rows, net.output()), net.output(), &device);
            let run = |output: Tensor<2>| {
                let values = to_vec(output.clone());
                let mut gradients = (output * weight.clone()).sum().backward();
                let theta = net.weights().gradient(&mut gradients).expect("theta takes part");
                let of = |input: &Tensor<2>| to_vec(input.grad(&gradients).expect("every input takes part"));
                [values, theta, of(&x), context.as_ref().map_or(Vec::new(), of)]
            };
            let fused = run(net.apply(x.clone(), context.clone()));
            let composed = run(net.apply_composed(x.clone(), context.clone()));
            for (part, (fused, composed)) in fused.iter().zip(&composed).enumerate() {
                assert_eq!(fused.len(), composed.len());
                let scale = composed.iter().fold(1.0, |m: f32, v| m.max(v.abs()));
                let difference = largest_difference_32(fused, composed);
                assert!(difference < 3e-5 * scale, "{place}, part {part}: {difference} of {scale}");
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

/// The fused LU-factored mixing equals burn's composed form in both directions, in value and in every gradient.
#[test]
fn fused_mixing_agrees_with_burn() {
    for (rows, dimension) in [(1, 1), (3, 2), (300, 5), (40, 17)] {
        let mut mixing = LuLinear::new("lu", dimension);
        stir(mixing.weights_mut(), 0.4);
        mixing.weights_mut().into_iter().for_each(Weights::track);
        let device = mixing.weights()[0].device();
        let x = matrix(noise(91).normal(rows, dimension), dimension, &device).require_grad();
        let weight = matrix(noise(92).normal(rows, dimension), dimension, &device);
        let slope_weight = matrix(noise(93).normal(rows, 1), 1, &device).squeeze_dim::<1>(1);
        for inverse in [false, true] {
            let run = |fused: bool| {
                let (y, log_det) = match (fused, inverse) {
                    (true, false) => mixing.forward(x.clone(), NOTHING),
                    (true, true) => mixing.inverse(x.clone(), NOTHING),
                    (false, _) => mixing.apply_composed(x.clone(), inverse),
                };
                let values = [to_vec(y.clone()), to_vec(log_det.clone())];
                let loss = (y * weight.clone()).sum() + (log_det * slope_weight.clone()).sum();
                let mut gradients = loss.backward();
                let [y, log_det] = values;
                let theta = mixing.weights()[0].gradient(&mut gradients).expect("theta takes part");
                [y, log_det, to_vec(x.grad(&gradients).expect("x takes part")), theta]
            };
            for (part, (fused, composed)) in run(true).iter().zip(run(false)).enumerate() {
                assert_eq!(fused.len(), composed.len());
                let scale = composed.iter().fold(1.0, |m: f32, v| m.max(v.abs()));
                for (a, b) in fused.iter().zip(&composed) {
                    let close = (a - b).abs() < 2e-4 * scale;
                    assert!(close, "{rows} x {dimension}, inverse {inverse}, part {part}: {a} and {b}");
                }
            }
        }
    }
}

/// Mapping some coordinates of a row equals mapping them alone.
#[test]
fn fused_transforms_leave_other_coordinates() {
    let device = burn::tensor::Device::flex().autodiff();
    let transform = Transform::Spline { bins: 4, bound: 3.0 };
    for (places, dimension) in [(vec![1, 3], 4), (vec![4, 0, 2], 5)] {
        let (rows, width) = (150, places.len() * transform.raw_len());
        let x = matrix(noise(94).normal(rows, dimension), dimension, &device).require_grad();
        let raw = matrix(noise(95).normal(rows, width), width, &device).require_grad();
        let weight = matrix(noise(96).normal(rows, dimension), dimension, &device);
        let indices: Vec<i32> = places.iter().map(|place| *place as i32).collect();
        let indices = Tensor::<1, burn::tensor::Int>::from_data(indices.as_slice(), &device);
        let run = |whole: bool| {
            let (y, log_det) = if whole {
                transform.apply_at(&places.clone().into(), x.clone(), raw.clone(), true)
            } else {
                let part = x.clone().select(1, indices.clone());
                let (part, log_det) = transform.apply(part, raw.clone(), true);
                let change = part - x.clone().select(1, indices.clone());
                (
                    x.clone().select_assign(1, indices.clone(), change, burn::tensor::IndexingUpdateOp::Add),
                    log_det,
                )
            };
            let values = [to_vec(y.clone()), to_vec(log_det.clone())];
            let gradients = ((y * weight.clone()).sum() + log_det.sum() * 0.7).backward();
            let [y, log_det] = values;
            let of = |input: &Tensor<2>| to_vec(input.grad(&gradients).expect("it takes part"));
            [y, log_det, of(&x), of(&raw)]
        };
        for (part, (whole, alone)) in run(true).iter().zip(run(false)).enumerate() {
            assert!(largest_difference_32(whole, &alone) < 1e-4, "{places:?}, part {part}");
        }
    }
}

fn largest_difference_32(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The sequential direction of an autoregressive map, a group of units at a time, equals a whole evaluation of the
/// network per coordinate.
#[test]
fn fused_inversion_agrees_with_burn() {
    for transform in [Transform::Affine { cap: 2.0 }, Transform::Spline { bins: 4, bound: 3.0 }] {
        for (dimension, width, hidden, rows) in [
            (1, 0, vec![4], 3),
            (2, 3, vec![5], 1),
            (5, 0, vec![16, 7], 130),
            (4, 2, vec![9, 11], 130),
            (9, 1, vec![3, 20, 20], 300),
        ] {
            let mut net = MaskedNetwork::new(
                "m",
                [dimension, 1, width],
                &hidden,
                transform.raw_len(),
                Activation::Silu,
                3,
                0,
            );
            stir([net.weights_mut()], 0.3);
            let v = states(rows, dimension, 1.5, 95);
            // A context of each row's own, or one for all.
            let own = if dimension == 9 { 1 } else { rows };
            let context = (width > 0).then(|| states(own, width, 1.0, 96));
            let (u, log_det) = net.invert(&transform, v.clone(), context.clone());
            let (expected, expected_log_det) = net.invert_composed(&transform, v, context);
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

/// The fused time embedding equals burn's composed form, in value and in its gradient.
#[test]
fn fused_embeddings_agree_with_burn() {
    let device = Device::flex().autodiff();
    for (rows, width) in [(1, 2), (300, 32), (7, 6)] {
        let times = matrix(noise(58).uniform(rows, 1), 1, &device).require_grad();
        let weight = matrix(noise(59).normal(rows, width), width, &device);
        let run = |embed: fn(Tensor<2>, usize) -> Tensor<2>| {
            let output = embed(times.clone(), width);
            let values = to_vec(output.clone());
            let gradients = (output * weight.clone()).sum().backward();
            [values, to_vec(times.grad(&gradients).expect("the times take part"))]
        };
        for (fused, composed) in run(sinusoidal).iter().zip(run(sinusoidal_composed)) {
            // An angle of up to 1000 is exact to 3e-5 in f32, and frequencies of up to 1000 are summed in a gradient.
            let scale = composed.iter().fold(1.0, |m: f32, v| m.max(v.abs()));
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 2e-4 * scale;
            assert!(fused.iter().zip(&composed).all(close), "{rows} times, width {width}");
        }
    }
}

/// Noising and the squared error equal burn's composed forms, in value and in every gradient.
#[test]
fn fused_noising_agrees_with_burn() {
    let device = Device::flex().autodiff();
    for (rows, columns) in [(1, 1), (3, 7), (5, 8), (40, 21)] {
        let eps = Arc::new(noise(60).normal(rows, columns));
        let eps_tensor = matrix(eps.to_vec(), columns, &device);
        let tracked =
            |step, columns| matrix(noise(step).normal(rows, columns), columns, &device).require_grad();
        let [x, alpha, sigma] = [tracked(61, columns), tracked(62, 1), tracked(63, 1)];
        let weight = matrix(noise(64).normal(rows, 1), 1, &device);
        let run = |z: Tensor<2>, error: &dyn Fn(Tensor<2>) -> Tensor<2>| {
            let output = error(z.clone().square());
            let (z, values) = (to_vec(z), to_vec(output.clone()));
            let gradients = (output * weight.clone()).sum().backward();
            let of = |input: &Tensor<2>| to_vec(input.grad(&gradients).expect("every input takes part"));
            [z, values, of(&x), of(&alpha), of(&sigma)]
        };
        let fused = run(noised(x.clone(), alpha.clone(), sigma.clone(), &eps), &|e| {
            squared_error(e, &eps).unsqueeze_dim(1)
        });
        let composed = run(x.clone() * alpha.clone() + eps_tensor.clone() * sigma.clone(), &|e| {
            (eps_tensor.clone() - e).square().sum_dim(1)
        });
        for (part, (fused, composed)) in fused.iter().zip(&composed).enumerate() {
            let scale = composed.iter().fold(1.0, |m: f32, v| m.max(v.abs()));
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * scale;
            assert!(fused.iter().zip(composed).all(close), "{rows} x {columns}, part {part}");
        }
    }
}

/// Combinations and distances equal their composed forms, in value and in every gradient.
#[test]
fn combinations_agree_with_burn() {
    let device = Device::flex().autodiff();
    let tracked =
        |step, rows, columns| matrix(noise(step).normal(rows, columns), columns, &device).require_grad();
    for (rows, columns) in [(1, 1), (7, 3), (130, 17)] {
        let (x, y) = (tracked(331, rows, columns), tracked(332, rows, columns));
        let coefficients = tracked(333, 3, columns);
        let weight = matrix(noise(334).normal(rows, columns), columns, &device);
        let gradients = |out: Tensor<2>, weight: Tensor<2>| {
            let values = to_vec(out.clone());
            let found = (out * weight).sum().backward();
            let of = |x: &Tensor<2>| x.grad(&found).map_or_else(Vec::new, to_vec);
            [values, of(&x), of(&y), of(&coefficients)]
        };
        let row = |k: usize| coefficients.clone().slice([k..k + 1, 0..columns]);
        let plain = x.clone() * row(0) + y.clone() * row(1) + row(2);
        let fused = combined(x.clone(), y.clone(), coefficients.clone());
        let distances = squared_distance(x.clone(), y.clone()).unsqueeze_dim(1);
        let composed = (x.clone() - y.clone()).square().sum_dim(1);
        let first = weight.clone().slice([0..rows, 0..1]);
        let pairs = [
            (gradients(fused, weight.clone()), gradients(plain, weight)),
            (gradients(distances, first.clone()), gradients(composed, first)),
        ];
        for (fused, composed) in pairs {
            for (a, b) in fused.iter().flatten().zip(composed.iter().flatten()) {
                assert!((a - b).abs() < 2e-5 * b.abs().max(1.0), "{a} and {b}");
            }
            assert!(fused.iter().map(Vec::len).eq(composed.iter().map(Vec::len)));
        }
    }
}

/// On a tape a tensor is the same as its copies alone; elsewhere as all of the same numbers.
#[test]
fn the_same_tensor_is_known() {
    let plain = |step| states(5, 3, 1.0, step);
    assert!(same(&plain(341), &plain(341)) && !same(&plain(341), &plain(342)));
    let device = Device::flex().autodiff();
    let leaf = matrix(noise(341).normal(5, 3), 3, &device).require_grad();
    let end = leaf.clone() * 1.0;
    assert!(
        same(&end, &end.clone()) && !same(&end, &(leaf.clone() * 1.0)) && !same(&end, &end.clone().detach())
    );
    assert!(!same(&leaf, &plain(341)));
}
