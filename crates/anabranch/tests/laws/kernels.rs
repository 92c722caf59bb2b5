//! Laws 1 and 3: ratios, bijections, normalised masses.

use super::instances::*;

/// A correlated Gaussian behind three integers from -1, a real number and two words.
fn mixed([first, second]: [f64; 2]) -> Model {
    let lower = [
        1.0,
        0.0,
        0.0,
        first,
        (1.0 - first * first).sqrt(),
        0.0,
        0.2,
        second,
        (0.96 - second * second).sqrt(),
    ];
    let standardise = Standardise::new(vec![0.0, 2.0, 0.0], vec![1.0, 3.0, 1.0]);
    let layers: Vec<Box<dyn Bijection>> = vec![Box::new(Correlate::new(&lower, 3)), Box::new(standardise)];
    Model::new(vec![Box::new(Flow::new(3, layers)), Box::new(Probit::new(3, &shares()))])
}

/// Three integers from -1 and two words, beside a real column between them.
fn shares() -> [Discrete; 2] {
    let column = |column, first, shares: &[f64]| {
        let words: &[&str] = if first == 0 { &["a", "b"] } else { &[] };
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Discrete { column, first, words, shares: shares.to_vec() }
    };
    [column(0, -1, &[0.2, 0.5, 0.3]), column(2, 0, &[0.7, 0.3])]
}

/// Columns of few values have a mass: importance weights of rows of them average to how often the model draws them, beside a real column in
/// a bin; with independent columns every weight is the shares' product.
#[test]
fn values_of_few_have_the_mass_of_their_cells() {
    const ROWS: usize = 200_000;
    let bins = |x: f32| if x < 1.0 { 0 } else { 1 };
    let model = mixed([0.6, 0.5]);
    let drawn = to_vec(model.chain().sample(ROWS, NOTHING, &noise(200)).unwrap());
    let mut counts = std::collections::BTreeMap::<(i32, i32, i32), f64>::new();
    for row in drawn.chunks_exact(3) {
        *counts.entry((row[0] as i32, bins(row[1]), row[2] as i32)).or_default() += 1.0 / ROWS as f64;
    }
    assert_eq!(counts.len(), 12, "{counts:?}");
    for (first, bin, last) in counts.keys().copied() {
        // Real numbers of the bin, uniform on a stretch that holds nearly all of it.
        let (low, high) = if bin == 0 { (-13.0, 1.0) } else { (1.0, 17.0) };
        let uniform = noise(201).uniform(ROWS / 4, 1);
        let rows: Vec<f32> =
            uniform.iter().flat_map(|u| [first as f32, low + (high - low) * u, last as f32]).collect();
        let x = matrix(rows, 3, &Device::flex());
        let weights = doubles(model.bound(x, NOTHING, &noise(202)).unwrap());
        let masses: Vec<f64> = weights.iter().map(|w| f64::from(high - low) * w.exp()).collect();
        let mass = Estimate::mean(&masses);
        let frequency = counts[&(first, bin, last)];
        let error = mass.error.hypot((frequency * (1.0 - frequency) / ROWS as f64).sqrt());
        assert!(
            (mass.value - frequency).abs() < 5.0 * error,
            "{first} {bin} {last}: {mass:?} against {frequency}"
        );
    }
    // Nothing to tell but the shares: every path has the same weight.
    let x = matrix([-1.0, 2.0, 1.0].repeat(50), 3, &Device::flex());
    let plain = Model::new(vec![Box::new(Probit::new(3, &shares()))]);
    let weights = doubles(plain.bound(x, NOTHING, &noise(203)).unwrap());
    let expected = (0.2f64 * 0.3).ln() - 2.0 - 0.5 * std::f64::consts::TAU.ln();
    assert!(weights.iter().all(|weight| (weight - expected).abs() < 1e-4), "{weights:?}, {expected}");
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
    models.push(("probit", mixed([0.4, -0.3])));
    let mut checked = 0;
    for (name, model) in &models {
        let chain = model.chain();
        let mut before: Vec<State> = Vec::new();
        chain.sample_observed(64, NOTHING, &noise(1), |_, state| before.push(state.clone())).unwrap();
        for (index, transition) in chain.transitions.iter().enumerate() {
            let from = before[index].clone();
            let forward = transition.forward(from.clone(), NOTHING, &noise(2)).unwrap();
            let Some(densities) = densities_of(transition.as_ref(), &from, &forward.state) else { continue };
            let expected = doubles(densities.backward - densities.forward);
            let tolerance = 1e-3 * expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            let found = doubles(forward.log_ratio);
            assert!(largest_difference(&found, &expected) <= tolerance, "{name}, step {index} forward");
            let backward = transition.backward(forward.state.clone(), NOTHING, &noise(3)).unwrap();
            let densities = densities_of(transition.as_ref(), &backward.state, &forward.state)
                .expect("densities exist both ways");
            let expected = doubles(densities.forward - densities.backward);
            let tolerance = 1e-3 * expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            let found = doubles(backward.log_ratio);
            assert!(largest_difference(&found, &expected) <= tolerance, "{name}, step {index} backward");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} kernels with densities were checked");
}

/// Law 3: inverse and forward undo each other, and the log-determinant is that of the Jacobian by differences.
#[test]
fn law_3_bijection() {
    for [dimension, context] in [[2, 0], [3, 0], [5, 0], [3, 2]] {
        // Every row under a condition of its own.
        let given = Given::rows(context, noise(21).normal(40, context.max(1)));
        for (name, bijection) in bijections([dimension, context]) {
            let z = states(40, dimension, 1.5, 20);
            let (x, log_det) = bijection.forward(z.clone(), &given);
            let (back, inverse_log_det) = bijection.inverse(x.clone(), &given);
            let (z_values, back_values) = (to_vec(z.clone()), to_vec(back));
            for (a, b) in z_values.iter().zip(&back_values) {
                assert!((a - b).abs() < 2e-3 * a.abs().max(1.0), "{name}: {a} came back as {b}");
            }
            let (log_det, inverse_log_det) = (doubles(log_det), doubles(inverse_log_det));
            for (a, b) in log_det.iter().zip(&inverse_log_det) {
                assert!((a + b).abs() < 5e-3, "{name}: log-determinants {a} and {b}");
            }
            let columns = differences(bijection.as_ref(), &z, &given, false);
            let inverse_columns = differences(bijection.as_ref(), &x, &given, true);
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

/// Constraints come back, have the log-determinant of their Jacobian by differences, and keep to their sets.
#[test]
fn constraints_are_bijections_onto_their_sets() {
    for dimension in [2, 3, 5] {
        for (name, map) in constraints(dimension) {
            let z = states(40, dimension, 1.2, 22);
            let (x, log_det) = map.forward(z.clone(), NOTHING);
            let (back, inverse_log_det) = map.inverse(x.clone(), NOTHING);
            for (a, b) in to_vec(z.clone()).iter().zip(&to_vec(back)) {
                assert!((a - b).abs() < 2e-3 * a.abs().max(1.0), "{name}: {a} came back as {b}");
            }
            let (log_det, inverse) = (doubles(log_det), doubles(inverse_log_det));
            let columns = differences(&map, &z, NOTHING, false);
            for row in 0..40 {
                assert!((log_det[row] + inverse[row]).abs() < 5e-3, "{name}");
                let error = log_abs_det(&columns, row, dimension) - log_det[row];
                assert!(error.abs() < 1e-2, "{name} in {dimension}: {error}");
            }
            for x in to_vec(x).chunks(dimension) {
                let inside = match name {
                    "exp" | "softplus" => x.iter().all(|x| *x > 0.0),
                    "interval" => x.iter().all(|x| (-1.0..=2.5).contains(x)),
                    "ordered" => x.windows(2).all(|pair| pair[0] < pair[1]),
                    "simplex" => x.iter().all(|x| *x > 0.0) && x.iter().sum::<f32>() < 1.0,
                    "blocks" => x[0] > 0.0 && x[1..].iter().sum::<f32>() < 1.0,
                    _ => true,
                };
                assert!(inside, "{name}: {x:?}");
            }
        }
    }
    // At 0 all shares are alike, the last one too.
    let (middle, _) =
        constraints(4).swap_remove(5).1.forward(Tensor::zeros([1, 4], &Device::flex()), NOTHING);
    assert!(to_vec(middle).iter().all(|share| (share - 0.2).abs() < 1e-6));
}

/// Central difference quotients: `columns[j]` holds `d map / d input_j` for all rows.
fn differences(bijection: &dyn Bijection, at: &State, given: &Given, inverse: bool) -> Vec<Vec<f64>> {
    let (step, dimension) = (2e-3, at.dims()[1]);
    let map = |x: State| {
        to_vec(if inverse { bijection.inverse(x, given).0 } else { bijection.forward(x, given).0 })
    };
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
        // What takes a mask away steps from a mask.
        let before = match name {
            "any-order" | "any-order-in-two" | "left-to-right" | "confidence" | "confidence-in-two" => {
                Tensor::full([20, 1], 5.0, &device)
            }
            _ => states(20, inner, 1.0, 50),
        };
        let mut sums = vec![0.0; 20];
        for level in 0..5 {
            let value = Tensor::full([20, 1], level as f32, &device);
            let log_mass =
                densities_of(last.as_ref(), &before, &value).expect("the last kernel has densities").forward;
            sums.iter_mut().zip(doubles(log_mass)).for_each(|(sum, log_mass)| *sum += log_mass.exp());
        }
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{name}: {sums:?}");
    }
}

/// A bijection as a step has no densities and returns its log-determinant.
#[test]
fn bijections_are_ratio_steps() {
    for (name, bijection) in bijections([3, 0]) {
        let step = BijectionStep(bijection.as_ref());
        let z = states(5, 3, 1.0, 90);
        let forward = step.forward(z.clone(), NOTHING, &noise(0)).unwrap();
        assert!(forward.densities.is_none() && densities_of(&step, &z, &forward.state).is_none(), "{name}");
        assert_eq!(doubles(forward.log_ratio), doubles(bijection.forward(z, NOTHING).1), "{name}");
    }
}

/// A dequantised integer stays in its cell, where the step costs nothing, at every number of levels that a recipe may name.
#[test]
fn dequantised_integers_stay_in_their_cells() {
    for levels in [2, 17, 256, 2048, 2049, 4096, 65_536, 1 << 23] {
        let segment = Dequantise::new(2, levels);
        let step = &segment.transitions()[0];
        let top = (levels - 1) as f32;
        let x = matrix([top, (levels / 2) as f32].repeat(50_000), 2, &Device::flex());
        let back = step.backward(x.clone(), NOTHING, &noise(100)).unwrap();
        let (inside, cells) = (to_vec(back.state.clone()), to_vec(x.clone()));
        assert!(inside.iter().zip(&cells).all(|(y, v)| y.floor() == *v), "{levels} levels");
        assert!(doubles(back.log_ratio).iter().all(|ratio| *ratio == 0.0), "{levels} levels");
        let there = step.forward(back.state, NOTHING, &noise(101)).unwrap();
        assert_eq!(to_vec(there.state), cells, "{levels} levels");
        // What lies elsewhere has no mass, which nothing cancels.
        let beside = densities_of(step.as_ref(), &(x.clone() - 1.5), &x).expect("a mass and a density");
        for impossible in [beside.forward, beside.backward] {
            assert!(doubles(impossible).iter().all(|density| *density == f64::NEG_INFINITY));
        }
    }
}
