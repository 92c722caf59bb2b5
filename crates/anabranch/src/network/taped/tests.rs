use std::sync::Arc;

use super::*;
use crate::network::Activation;
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
fn networks() -> Vec<(String, Arc<dyn Network>)> {
    let mut all: Vec<(String, Arc<dyn Network>)> = Vec::new();
    for (order, transformer) in transformers() {
        all.push((format!("{order:?}"), Arc::new(transformer)));
    }
    let features = vec![(0, 1), (1, 1), (0, 2), (1, 2), (2, 1), (3, 1)];
    let sets = |outputs| DeepSets::new(features.clone(), 1, 5, &[7, 6], outputs, Activation::Tanh);
    let inputs = Inputs { features: 6, dense: 1 };
    let mlp = |outputs| Mlp::new(inputs, &[6], outputs, Activation::Silu);
    all.push(("deep sets".to_owned(), Arc::new(sets(3))));
    let parts: Vec<(Arc<dyn Network>, Vec<usize>)> =
        vec![(Arc::new(mlp(2)), vec![0, 4]), (Arc::new(sets(2)), vec![3, 1]), (Arc::new(mlp(1)), vec![2])];
    all.push(("trunks".to_owned(), Arc::new(Trunks::new(parts))));
    all
}

/// Every weight's derivative against differences of fourth order.
#[test]
fn gradients_agree_with_differences() {
    for (order, network) in networks() {
        let weights = network.initial(&Noise::new(2, Purpose::Weights));
        let width = row_stride(network.outputs());
        let mut slopes = Noise::new(3, Purpose::Data).normal(words().len(), width);
        slopes.chunks_exact_mut(width).for_each(|row| row[network.outputs()..].fill(0.0));
        let mut tape = Tape::default();
        fill(&mut tape, &words());
        let value = |weights: &[f32]| -> f64 {
            let mut tape = Tape::default();
            fill(&mut tape, &words());
            network.with(weights).evaluate(&mut tape, 0);
            (0..words().len())
                .flat_map(|row| tape.output(row, network.outputs()).iter().zip(&slopes[row * width..]))
                .map(|(output, slope)| f64::from(*output) * f64::from(*slope))
                .sum()
        };
        let mut gradient = vec![f32::NAN; weights.len()];
        let evaluator = network.with(&weights);
        evaluator.evaluate(&mut tape, 0);
        evaluator.backward(&mut tape, &slopes, &mut gradient);
        for at in 0..weights.len() {
            let shifted = |shift: f32| {
                let mut moved = weights.clone();
                moved[at] += shift;
                value(&moved)
            };
            let step = 2e-2f32;
            let near = shifted(step) - shifted(-step);
            let far = shifted(2.0 * step) - shifted(-2.0 * step);
            let numeric = (8.0 * near - far) / (12.0 * f64::from(step));
            let found = f64::from(gradient[at]);
            assert!(
                (numeric - found).abs() < 2e-3 * (1.0 + numeric.abs()),
                "{order}, {at}: {found}, {numeric}"
            );
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
    let outputs = |network: &dyn Network, weights: &[f32]| {
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
