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
fn tokens_kept_answer_as_tokens_anew() {
    for (order, network) in transformers() {
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
            assert!(close, "{order:?}, row {row}: {kept:?}, {anew:?}");
        }
    }
}

/// Every weight's derivative against differences of fourth order.
#[test]
fn gradients_of_transformers_agree_with_differences() {
    for (order, network) in transformers() {
        let weights = network.initial(&Noise::new(2, Purpose::Weights));
        let width = padded(network.outputs());
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
        evaluator.backward(&tape, &slopes, &mut gradient);
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
                "{order:?}, {at}: {found}, {numeric}"
            );
        }
    }
}
