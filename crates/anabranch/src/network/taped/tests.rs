use std::sync::Arc;

use burn::tensor::Device;

use super::*;
use crate::array::weights::{matrix, to_vec};
use crate::network::{Activation, Feedforward};
use crate::rng::Purpose;

/// The transformers over words of up to 3 of 2 letters, by which tokens they have.
fn transformers() -> Vec<(Order, Transformer)> {
    let shape = Shape { layers: 2, heads: 2, width: 6, inner: 10, activation: Activation::Gelu };
    let of = |order, answers| {
        (order, Transformer::new(Alphabet { places: 3, letters: 2, order }, 1, shape, answers))
    };
    vec![
        (Order::Causal, of(Order::Causal, Answers { whole: 4, ..Answers::default() }).1),
        (Order::Whole, of(Order::Whole, Answers { whole: 5, ..Answers::default() }).1),
        of(Order::Slots, Answers { letters: true, places: true, whole: 1 }),
    ]
}

/// Words, each the features of its letters, with the row before.
fn words() -> Vec<(Vec<u32>, u32)> {
    let of = |letters: &[u32]| (0..).zip(letters).map(|(place, letter)| 2 * place + letter).collect();
    vec![
        (of(&[]), NONE),
        (of(&[1]), 0),
        (of(&[1, 0]), 1),
        (of(&[0, 1, 1]), NONE),
        (of(&[0]), 0),
        (of(&[1, 1]), 1),
    ]
}

fn fill(tape: &mut Tape, rows: &[(Vec<u32>, u32)]) {
    for (features, parent) in rows {
        tape.push(*parent, |on, dense| {
            on.extend(features);
            dense.push(0.5);
        });
    }
}

/// Rows that continue others answer as they do alone.
#[test]
fn rows_that_continue_others_answer_as_rows_anew() {
    for (order, network) in networks() {
        let weights = network.initial(&Noise::new(1, Purpose::Weights));
        let evaluator = network.with(&weights);
        let (mut tape, words) = (Tape::default(), words());
        for row in 0..words.len() {
            fill(&mut tape, &words[row..row + 1]);
            evaluator.evaluate(&mut tape, row);
        }
        for (row, word) in words.iter().enumerate() {
            let mut alone = Tape::default();
            fill(&mut alone, &[(word.0.clone(), NONE)]);
            evaluator.evaluate(&mut alone, 0);
            let (kept, anew) = (tape.output(row, network.outputs()), alone.output(0, network.outputs()));
            let close = kept.iter().zip(anew).all(|(kept, anew)| (kept - anew).abs() < 1e-5);
            assert!(close, "{order}, row {row}: {kept:?}, {anew:?}");
        }
    }
}

/// The transformers, and networks that are made of others, over the same words: every letter in its place is an element, and
/// letters of the first two places are the same, the second twice.
fn networks() -> Vec<(String, Arc<dyn TapedNetwork>)> {
    let mut all: Vec<(String, Arc<dyn TapedNetwork>)> = Vec::new();
    for (order, transformer) in transformers() {
        all.push((format!("{order:?}"), Arc::new(transformer)));
    }
    let features = vec![(0, 1), (1, 1), (0, 2), (1, 2), (2, 1), (3, 1)];
    let sets = |outputs| DeepSets::new(features.clone(), 1, 5, &[7, 6], outputs, Activation::Tanh);
    let inputs = Inputs { features: 6, dense: 1 };
    let mlp = |outputs| Mlp::new(inputs, &[6], outputs, Activation::Silu);
    all.push(("deep sets".to_owned(), Arc::new(sets(3))));
    let parts: Vec<(Arc<dyn TapedNetwork>, Vec<usize>)> =
        vec![(Arc::new(mlp(2)), vec![0, 4]), (Arc::new(sets(2)), vec![3, 1]), (Arc::new(mlp(1)), vec![2])];
    all.push(("trunks".to_owned(), Arc::new(Trunks::new(parts))));
    all
}

/// A network and rows that it reads.
struct Case {
    name: String,
    network: Arc<dyn TapedNetwork>,
    rows: Vec<(Vec<u32>, u32)>,
    /// `[rows, dense]`.
    dense: Vec<f32>,
}

impl Case {
    fn new(name: impl Into<String>, network: Arc<dyn TapedNetwork>, rows: Vec<(Vec<u32>, u32)>) -> Self {
        let dense = Noise::new(4, Purpose::Data).normal(rows.len(), network.inputs().dense);
        Self { name: name.into(), network, rows, dense }
    }

    fn tape(&self, dense: &[f32]) -> Tape {
        let mut tape = Tape::default();
        let width = self.network.inputs().dense;
        for (row, (features, parent)) in self.rows.iter().enumerate() {
            tape.push(*parent, |on, u| {
                on.extend(features);
                u.extend_from_slice(&dense[row * width..][..width]);
            });
        }
        tape
    }

    /// The outputs, `[rows, outputs]`.
    fn outputs(&self, weights: &[f32], dense: &[f32]) -> Vec<f64> {
        let mut tape = self.tape(dense);
        self.network.with(weights).evaluate(&mut tape, 0);
        let rows = (0..self.rows.len()).flat_map(|row| tape.output(row, self.network.outputs()));
        rows.map(|value| f64::from(*value)).collect()
    }
}

/// Coordinates with a context that a transformer and a deep set answer for: for themselves or not, with places and without.
fn over_coordinates() -> Vec<(String, CoordinateNetwork)> {
    let denoiser = Coordinates {
        input: 3,
        context: 2,
        output: 3,
        each: 2,
        own: true,
        planar: false,
        patch: 1,
        positions: true,
    };
    let patches = Coordinates { input: 4, output: 4, each: 1, patch: 2, ..denoiser };
    let conditioner = Coordinates { input: 4, context: 0, output: 6, own: false, patch: 2, ..denoiser };
    let encoder = Coordinates { input: 3, output: 2, own: false, planar: true, ..denoiser };
    let exchangeable = Coordinates { positions: false, ..denoiser };
    let asked = Coordinates { positions: false, ..encoder };
    let shape = Shape { layers: 2, heads: 2, width: 6, inner: 10, activation: Activation::Gelu };
    let bodies = [
        ("transformer", Body::Transformer(shape)),
        ("sets", Body::Sets { width: 5, hidden: vec![7, 6], activation: Activation::Tanh }),
    ];
    let kinds = [
        ("denoiser", denoiser),
        ("patches", patches),
        ("conditioner", conditioner),
        ("encoder", encoder),
        ("exchangeable", exchangeable),
        ("asked", asked),
    ];
    let mut all = Vec::new();
    for (kind, coordinates) in kinds {
        for (body_name, body) in &bodies {
            all.push((format!("{kind} by {body_name}"), CoordinateNetwork::new(coordinates, body.clone())));
        }
    }
    all
}

/// Every network, over words and over real coordinates.
fn cases() -> Vec<Case> {
    let mut all: Vec<Case> =
        networks().into_iter().map(|(name, network)| Case::new(name, network, words())).collect();
    // Rows with the same real inputs share tokens where words grow at the end alone.
    let (order, shared) = transformers().remove(0);
    let mut alike = Case::new(format!("{order:?}, inputs alike"), Arc::new(shared), words());
    alike.dense.fill(0.5);
    all.push(alike);
    let inputs = Inputs { features: 6, dense: 2 };
    let stacks = [
        ("perceptron", Mlp::new(inputs, &[7, 5], 3, Activation::Gelu)),
        ("one layer", Mlp::new(inputs, &[], 3, Activation::Gelu)),
        ("residual", Mlp::residual(inputs, 2, 7, 3, Activation::Silu)),
        ("one residual block", Mlp::residual(inputs, 1, 7, 3, Activation::Tanh)),
    ];
    all.extend(stacks.map(|(name, network)| Case::new(name, Arc::new(network), words())));
    let states = words().into_iter().map(|(features, _)| features);
    all.push(Case::new("table", Arc::new(Tabular::new(inputs, states, 3)), words()));
    let rows = || vec![(Vec::new(), NONE); 5];
    let coordinates = over_coordinates().into_iter();
    all.extend(coordinates.map(|(name, network)| Case::new(name, Arc::new(network), rows())));
    all
}

/// `f'(0)` by differences of fourth order.
fn difference(f: impl Fn(f32) -> f64) -> f64 {
    let step = 2e-2f32;
    let near = f(step) - f(-step);
    let far = f(2.0 * step) - f(-2.0 * step);
    (8.0 * near - far) / (12.0 * f64::from(step))
}

fn close(found: f32, numeric: f64, place: &str) {
    let found = f64::from(found);
    assert!((numeric - found).abs() < 2e-3 * (1.0 + numeric.abs()), "{place}: {found}, {numeric}");
}

/// Every weight's and every real input's derivative, and those along directions of the inputs, against differences.
#[test]
fn derivatives_agree_with_differences() {
    for case in cases() {
        let (network, name) = (&case.network, &case.name);
        let weights = match network.initial(&Noise::new(2, Purpose::Weights)) {
            weights if weights.iter().all(|weight| *weight == 0.0) => {
                Noise::new(2, Purpose::Weights).normal(1, weights.len())
            }
            weights => weights,
        };
        let (rows, outputs, dense) = (case.rows.len(), network.outputs(), network.inputs().dense);
        let width = row_stride(outputs);
        let mut slopes = Noise::new(3, Purpose::Data).normal(rows, width);
        slopes.chunks_exact_mut(width).for_each(|row| row[outputs..].fill(0.0));
        let value = |weights: &[f32], dense: &[f32]| -> f64 {
            let found = case.outputs(weights, dense);
            let rows = found.chunks_exact(outputs).zip(slopes.chunks_exact(width));
            rows.flat_map(|(row, slopes)| row.iter().zip(slopes)).map(|(y, s)| y * f64::from(*s)).sum()
        };
        let evaluator = network.with(&weights);
        let mut tape = case.tape(&case.dense);
        evaluator.evaluate(&mut tape, 0);
        let (mut gradient, mut of_inputs) = (vec![f32::NAN; weights.len()], vec![f32::NAN; case.dense.len()]);
        evaluator.gradients(&mut tape, &slopes, &mut gradient, Some(&mut of_inputs));
        let mut alone = vec![f32::NAN; weights.len()];
        evaluator.backward(&mut tape, &slopes, &mut alone);
        for (at, (found, alone)) in gradient.iter().zip(&alone).enumerate() {
            close(*alone, f64::from(*found), &format!("{name}, weight {at} alone"));
            let numeric = difference(|shift| {
                let mut moved = weights.clone();
                moved[at] += shift;
                value(&moved, &case.dense)
            });
            close(*found, numeric, &format!("{name}, weight {at}"));
        }
        for (at, found) in of_inputs.iter().enumerate() {
            let numeric = difference(|shift| {
                let mut moved = case.dense.clone();
                moved[at] += shift;
                value(&weights, &moved)
            });
            close(*found, numeric, &format!("{name}, input {at}"));
        }
        let count = 3;
        let tangents = Noise::new(5, Purpose::Data).normal(rows * count, dense);
        let mut along = vec![f32::NAN; rows * count * width];
        evaluator.push_forward(&mut tape, count, &tangents, &mut along);
        for (at, along) in along.chunks_exact(width).enumerate() {
            let (row, direction) = (at / count, &tangents[at * dense..][..dense]);
            for (output, found) in along[..outputs].iter().enumerate() {
                let numeric = difference(|shift| {
                    let mut moved = case.dense.clone();
                    let own = moved[row * dense..][..dense].iter_mut().zip(direction);
                    own.for_each(|(u, t)| *u += shift * t);
                    case.outputs(&weights, &moved)[row * outputs + output]
                });
                close(*found, numeric, &format!("{name}, row {row}, output {output}"));
            }
        }
    }
}

/// Coordinates that have no places are exchangeable: those that answer for themselves change places with their answers, and
/// others' answers stay.
#[test]
fn coordinates_without_places_are_exchangeable() {
    let mut seen = 0;
    for (name, network) in over_coordinates() {
        let Coordinates { input, each, own, positions, .. } = *network.coordinates();
        if positions {
            continue;
        }
        seen += 1;
        let weights = network.initial(&Noise::new(2, Purpose::Weights));
        let case = Case::new(name.clone(), Arc::new(network), vec![(Vec::new(), NONE)]);
        let order = [2, 0, 1];
        let mut permuted = case.dense.clone();
        order.iter().enumerate().for_each(|(to, from)| permuted[to] = case.dense[*from]);
        let (plain, moved) = (case.outputs(&weights, &case.dense), case.outputs(&weights, &permuted));
        assert_eq!(order.len(), input);
        for at in 0..moved.len() {
            let expected = if own { plain[order[at / each] * each + at % each] } else { plain[at] };
            assert!((moved[at] - expected).abs() < 1e-5, "{name}, {at}: {plain:?}, {moved:?}");
        }
        let differ = plain.iter().zip(&moved).any(|(a, b)| (a - b).abs() > 1e-3);
        assert_eq!(
            differ, own,
            "{name}: answers differ from one another where they are the coordinates' own"
        );
    }
    assert_eq!(seen, 4, "both bodies, with answers of their own and without");
}

/// The perceptron and the residual stack are those of chains, with the same weights.
#[test]
fn stacks_of_walks_are_those_of_chains() {
    for (hidden, residual) in [(vec![9, 7], false), (vec![8, 8, 8], true)] {
        let (input, context, output, activation) = (4, 3, 5, Activation::Silu);
        let inputs = Inputs { features: 0, dense: input + context };
        let stack = match residual {
            true => Mlp::residual(inputs, hidden.len(), hidden[0], output, activation),
            false => Mlp::new(inputs, &hidden, output, activation),
        };
        let shape = Feedforward { input, context, hidden, output, activation, residual };
        let chain = crate::network::Network::new("n", shape, 3, 0, false);
        assert_eq!(chain.weights().slots(), stack.layout());
        let case = Case::new("stack", Arc::new(stack), vec![(Vec::new(), NONE); 6]);
        let found = case.outputs(&chain.weights().values(), &case.dense);
        let device = Device::flex();
        let u = matrix(case.dense.clone(), input + context, &device);
        let part = |from: usize, to: usize| u.clone().slice([0..6, from..to]);
        let expected = to_vec(chain.apply(part(0, input), Some(part(input, input + context))));
        for (a, b) in found.iter().zip(expected) {
            assert!((a - f64::from(b)).abs() < 1e-5, "residual {residual}: {a}, {b}");
        }
    }
}

/// A deep set is the sum over its elements, in any order and as often as they are there: an element twice is that one again.
#[test]
fn deep_sets_add_their_elements() {
    let features = vec![(0, 1), (0, 2), (1, 1), (1, 2)];
    let network = DeepSets::new(features, 0, 3, &[4], 2, Activation::Relu);
    let weights = network.initial(&Noise::new(6, Purpose::Weights));
    let answer = |weights: &[f32], on: &[u32]| {
        let mut tape = Tape::default();
        tape.push(NONE, |features, _| features.extend(on));
        network.with(weights).evaluate(&mut tape, 0);
        tape.output(0, 2).to_vec()
    };
    // With both elements alike, two of one are one of each.
    let mut alike = weights.clone();
    alike.copy_within(0..3, 3);
    for (a, b) in answer(&alike, &[1]).iter().zip(answer(&alike, &[0, 2])) {
        assert!((a - b).abs() < 1e-6);
    }
    assert!(answer(&weights, &[1]).iter().zip(answer(&weights, &[0, 2])).any(|(a, b)| (a - b).abs() > 1e-3));
}

/// Each trunk answers as it does alone.
#[test]
fn trunks_answer_as_they_do_alone() {
    let inputs = Inputs { features: 6, dense: 1 };
    let [left, right] = [2, 3].map(|outputs| Mlp::new(inputs, &[5], outputs, Activation::Tanh));
    let trunks =
        Trunks::new(vec![(Arc::new(left.clone()), vec![4, 0]), (Arc::new(right.clone()), vec![1, 2, 3])]);
    let weights = trunks.initial(&Noise::new(7, Purpose::Weights));
    let (of_left, of_right) = weights.split_at(left.parameters());
    assert_ne!(of_left[..10], of_right[..10]);
    let outputs = |network: &dyn TapedNetwork, weights: &[f32]| {
        let mut tape = Tape::default();
        fill(&mut tape, &words());
        network.with(weights).evaluate(&mut tape, 0);
        (0..words().len()).map(|row| tape.output(row, network.outputs()).to_vec()).collect::<Vec<_>>()
    };
    let all = outputs(&trunks, &weights);
    for ((all, left), right) in all.iter().zip(outputs(&left, of_left)).zip(outputs(&right, of_right)) {
        assert_eq!(*all, [left[1], right[0], right[1], right[2], left[0]]);
    }
}
