//! Against the formulas, token by token in double precision, and their differences.

use pulp::Arch;

use super::*;
use crate::rng::{Noise, Purpose};

/// Sizes at which queries and columns are left over behind those that go together: heads, numbers of a head, tokens.
const CASES: [[usize; 3]; 5] = [[1, 1, 1], [2, 5, 7], [1, 12, 19], [3, 16, 4], [2, 27, 33]];

/// A direction of the answers, summed: `sum g . o`.
fn formula(qkv: &[f64], grad: &[f64], [heads, size, tokens]: [usize; 3], causal: bool) -> (Vec<f64>, f64) {
    let width = heads * size;
    let at = |token: usize, part: usize, head: usize| {
        &qkv[token * 3 * width + part * width + head * size..][..size]
    };
    let mut out = vec![0.0; tokens * width];
    for (token, head) in (0..tokens).flat_map(|token| (0..heads).map(move |head| (token, head))) {
        let seen = if causal { token + 1 } else { tokens };
        let score = |other: usize| {
            let products = at(token, 0, head).iter().zip(at(other, 1, head)).map(|(q, k)| q * k);
            products.sum::<f64>() / (size as f64).sqrt()
        };
        let masses: Vec<f64> = (0..seen).map(|other| score(other).exp()).collect();
        let total: f64 = masses.iter().sum();
        for (other, mass) in masses.iter().enumerate() {
            let answer = &mut out[token * width + head * size..][..size];
            answer.iter_mut().zip(at(other, 2, head)).for_each(|(o, v)| *o += mass / total * v);
        }
    }
    let sum = out.iter().zip(grad).map(|(o, g)| o * g).sum();
    (out, sum)
}

#[test]
fn answers_and_slopes_are_those_of_the_formulas() {
    for (case, [heads, size, tokens]) in CASES.into_iter().enumerate() {
        for causal in [false, true] {
            let (width, noise) = (heads * size, Noise::new(5, Purpose::Metric).step(case as u32));
            let sizes = Sizes { width, heads, stride: 3 * width, padded: width };
            let mut groups = Groups::even(0, 1, tokens);
            groups.causal = causal;
            let qkv = noise.normal(tokens, 3 * width);
            let grad = noise.purpose(Purpose::Probe).normal(tokens, width);
            let (mut out, mut log_sums) = (vec![f32::NAN; tokens * width], vec![f32::NAN; tokens * heads]);
            let (groups, log_sums_out) = (&groups, &mut log_sums);
            Arch::new().dispatch(Attend { sizes, groups, qkv: &qkv, out: &mut out, log_sums: log_sums_out });
            let mut slopes = vec![0.0; qkv.len()];
            let out_slopes = &mut slopes;
            let (qkv_in, grad_in) = (&qkv, &grad);
            Arch::new().dispatch(AttendBack {
                sizes,
                groups,
                qkv: qkv_in,
                log_sums: &log_sums,
                grad: grad_in,
                out: out_slopes,
            });
            let [x, g] = [&qkv, &grad].map(|all| all.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>());
            let (exact, _) = formula(&x, &g, [heads, size, tokens], causal);
            let what = format!("{heads} heads of {size}, {tokens} tokens, causal {causal}");
            for (found, exact) in out.iter().zip(&exact) {
                assert!((f64::from(*found) - exact).abs() < 1e-5, "{what}: {found}, {exact}");
            }
            for place in (0..x.len()).step_by(x.len().div_ceil(40)) {
                let moved = |by: f64| {
                    let mut moved = x.clone();
                    moved[place] += by;
                    formula(&moved, &g, [heads, size, tokens], causal).1
                };
                let exact = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let found = f64::from(slopes[place]);
                assert!(
                    (found - exact).abs() < 1e-4 * (1.0 + exact.abs()),
                    "{what}, {place}: {found}, {exact}"
                );
            }
        }
    }
}
