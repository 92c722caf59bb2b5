//! A classifier of words, trained on labelled examples when the reward is made: a proxy for an experiment.
//!
//! ```text
//! R(x) = max(sigma(f(x)), least)^beta
//!
//! f    a perceptron of the shares of letters and of pairs of neighbours in the word, and of its length
//! ```
//!
//! A fifth of the examples is held out, another tenth tells when to stop: the weights are those of the epoch with the least
//! logarithmic loss on it. All is a function of the seed. The shares do not depend on where a motif stands, and examples may
//! be longer than the words of the space.

use std::path::Path;

use super::fitting::{EPOCHS, Fit};
use super::{Describe, Failure, Shape, Space, Target, fill_rows, within};
use crate::data::{parse_text, read_text, records};
use crate::environment::Cell;
use crate::error::{Problem, Result, quoted};
use crate::network::Activation;
use crate::network::taped::{Inputs, Mlp};
use crate::rng::{Noise, Purpose};

/// The peptides that come with the program: 2540 with antimicrobial activity, 2080 others.
const PEPTIDES: &[u8] = include_bytes!("../../../../data/peptides.csv.gz");

/// How a classifier is trained and read.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierSettings {
    /// The width of the hidden layer.
    pub width: usize,
    /// The power of the probability.
    pub beta: f64,
    /// Smaller probabilities are raised to this one.
    pub least: f64,
    /// Of the split, the first weights and the order of examples.
    pub seed: u64,
}

impl ClassifierSettings {
    fn check(&self) -> Result<(), Problem> {
        within("width", self.width as f64, 1.0, 4096.0)?;
        within("beta", self.beta, 1e-6, 1e6)?;
        within("least", self.least, 1e-300, 0.5)
    }
}

/// A reward by a classifier.
#[derive(Debug)]
pub struct Classifier {
    network: Mlp,
    weights: Vec<f32>,
    features: Features,
    beta: f64,
    least: f64,
    accuracy: f64,
    area: f64,
}

/// What the network reads of a word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Features {
    /// How many letters there are.
    pub letters: usize,
    /// The length of the longest word.
    pub slots: usize,
}

impl Features {
    /// How many there are.
    pub fn count(self) -> usize {
        self.letters * (self.letters + 1) + 1
    }

    /// Appends the features of a word of a space, whose letters count from 1 and stand before empty slots, or between them.
    pub fn of_cells(self, cells: &[Cell], out: &mut Vec<f32>) {
        let letters = cells.iter().filter(|cell| **cell > 0).map(|cell| usize::from(*cell) - 1);
        self.of(&letters.collect::<Vec<usize>>(), out);
    }

    /// Appends the features of a word, whose letters count from 0.
    fn of(self, word: &[usize], out: &mut Vec<f32>) {
        let first = out.len();
        out.resize(first + self.count(), 0.0);
        let (single, rest) = out[first..].split_at_mut(self.letters);
        let share = 1.0 / word.len().max(1) as f32;
        word.iter().for_each(|letter| single[*letter] += share);
        // Scaled so that pairs weigh as much as letters.
        let pair = (self.letters as f32).sqrt() * share;
        word.windows(2).for_each(|two| rest[two[0] * self.letters + two[1]] += pair);
        rest[self.letters * self.letters] = word.len() as f32 / self.slots as f32;
    }
}

/// A word with its label.
type Example = (Vec<usize>, bool);

impl Classifier {
    /// Trained on a CSV file with the header `object,label`, plain or gzipped; on the peptides unless one is given.
    ///
    /// # Errors
    /// If the objects are no words of one-character letters, a number is not allowed, or the file cannot be read, has a word
    /// of other letters, a label other than 0 and 1, a word twice, or fewer than 20 of either label.
    pub fn train(file: Option<&Path>, settings: &ClassifierSettings, space: &Space) -> Result<Self> {
        settings.check()?;
        let Shape::Strings { letters, ref lengths } = space.shape else {
            return Err(Problem::new("kind", format!("this reward for {}", space.shape.name()))
                .allowed("words, or another reward")
                .into());
        };
        let alphabet = alphabet(letters, *lengths.end(), &space.describe)?;
        let (place, text) = match file {
            Some(file) => (file.display().to_string(), read_text(file)?),
            None => ("peptides".to_owned(), parse_text("peptides", PEPTIDES.to_vec())?),
        };
        let examples = read(&place, &text, &alphabet)?;
        let features = Features { letters, slots: *lengths.end() };
        let inputs = Inputs { features: 0, dense: features.count() };
        let network = Mlp::new(inputs, &[settings.width], 1, Activation::Relu);
        let order = Noise::new(settings.seed, Purpose::Data).permutation(examples.len());
        let shuffled: Vec<&Example> = order.iter().map(|i| &examples[*i]).collect();
        let (held_out, rest) = shuffled.split_at(examples.len() / 5);
        let (validation, training) = rest.split_at(examples.len() / 10);
        let encode =
            |example: &&Example, _: &mut Vec<u32>, dense: &mut Vec<f32>| features.of(&example.0, dense);
        let fit = Fit { network: &network, encode: &encode, loss: &loss, epochs: EPOCHS };
        let weights = fit.weights(training, validation, settings.seed);
        let logits = features.logits(&network, &weights, held_out);
        let labels: Vec<bool> = held_out.iter().map(|example| example.1).collect();
        let right = logits.iter().zip(&labels).filter(|(logit, label)| (**logit > 0.0) == **label).count();
        let accuracy = right as f64 / labels.len() as f64;
        let area = area(&logits, &labels);
        let (beta, least) = (settings.beta, settings.least);
        Ok(Self { network, weights, features, beta, least, accuracy, area })
    }

    /// The share of held-out examples that are told rightly.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// The chance that of two held-out examples of different labels the one of label 1 has the larger probability.
    pub fn area(&self) -> f64 {
        self.area
    }
}

/// The letters of a space.
fn alphabet(letters: usize, slots: usize, describe: &Describe) -> Result<Vec<char>, Problem> {
    let letter = |k: usize| {
        let mut word = vec![0; slots];
        word[0] = k as Cell + 1;
        let name = describe.name(&word);
        let mut characters = name.trim().trim_matches('_').chars();
        match (characters.next(), characters.next()) {
            (Some(letter), None) => Ok(letter),
            _ => {
                Err(Problem::new("kind", format!("a classifier of words with the letter {}", quoted(&name)))
                    .allowed("letters of one character each"))
            }
        }
    };
    (0..letters).map(letter).collect()
}

fn read(place: &str, text: &str, alphabet: &[char]) -> Result<Vec<Example>> {
    let mut examples: Vec<Example> = Vec::new();
    let mut lines = std::collections::HashMap::new();
    let mut header = false;
    records(place, text, |line, record| {
        let place = format!("{place}, line {line}");
        if !std::mem::replace(&mut header, true) {
            let names: Vec<&str> = record.iter().collect();
            if names != ["object", "label"] {
                return Err(Problem::new(place, quoted(&names.join(","))).allowed("object,label").into());
            }
            return Ok(());
        }
        let number = |letter: char| alphabet.iter().position(|known| *known == letter).ok_or(letter);
        let word = record[0].chars().map(number).collect::<Result<Vec<usize>, char>>();
        let word = word.map_err(|letter| {
            Problem::new(&*place, format!("the letter {letter}")).allowed(alphabet.iter().collect::<String>())
        })?;
        if let Some(before) = lines.insert(word.clone(), line) {
            let found = format!("{} again, after line {before}", quoted(&record[0]));
            return Err(Problem::new(place, found).allowed("each word once").into());
        }
        let label = match &record[1] {
            "0" => false,
            "1" => true,
            other => return Err(Problem::new(place, quoted(other)).allowed("0 or 1").into()),
        };
        examples.push((word, label));
        Ok(())
    })?;
    let positive = examples.iter().filter(|example| example.1).count();
    for (label, found) in [(0, examples.len() - positive), (1, positive)] {
        if found < 20 {
            return Err(Problem::new(place, format!("{found} words of label {label}"))
                .allowed("at least 20 of each")
                .into());
        }
    }
    Ok(examples)
}

/// `ln(1 + e^-x)`.
fn softplus_of_negative(x: f64) -> f64 {
    (-x.abs()).exp().ln_1p() + (-x).max(0.0)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The logarithmic loss of a logit.
fn loss(example: &&Example, outputs: &[f32], slopes: &mut [f64]) -> f64 {
    let logit = f64::from(outputs[0]);
    slopes[0] = sigmoid(logit) - f64::from(u8::from(example.1));
    softplus_of_negative(if example.1 { logit } else { -logit })
}

impl Features {
    /// The logits of examples.
    fn logits(self, network: &Mlp, weights: &[f32], examples: &[&Example]) -> Vec<f64> {
        let encode = |example: &&Example, _: &mut Vec<u32>, dense: &mut Vec<f32>| self.of(&example.0, dense);
        let mut found = Vec::with_capacity(examples.len());
        let fit = Fit { network, encode: &encode, loss: &loss, epochs: EPOCHS };
        fit.outputs(weights, examples.iter(), |_, outputs| found.push(f64::from(outputs[0])));
        found
    }
}

/// Mann and Whitney's statistic as a share: the area under the ROC curve.
fn area(logits: &[f64], labels: &[bool]) -> f64 {
    let side = |wanted: bool| logits.iter().zip(labels).filter(move |(_, label)| **label == wanted);
    let pairs = side(true).flat_map(|(high, _)| side(false).map(move |(low, _)| (high, low)));
    let (mut won, mut all) = (0.0, 0.0);
    for (high, low) in pairs {
        all += 1.0;
        won += if high > low { 1.0 } else { 0.5 * f64::from(u8::from(high == low)) };
    }
    won / all
}

impl Target<Cell> for Classifier {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let words: Vec<Example> = objects
            .chunks_exact(self.features.slots)
            .map(|cells| {
                let letters = cells.iter().take_while(|cell| **cell > 0).map(|cell| usize::from(*cell) - 1);
                (letters.collect(), false)
            })
            .collect();
        let words: Vec<&Example> = words.iter().collect();
        let found = self.features.logits(&self.network, &self.weights, &words);
        fill_rows(&found, out, |logit| self.beta * (-softplus_of_negative(logit[0])).max(self.least.ln()));
        Ok(())
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("proxy_accuracy", self.accuracy), ("proxy_auc", self.area)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Environment, Growth, Strings};

    fn settings() -> ClassifierSettings {
        ClassifierSettings { width: 32, beta: 1.0, least: 1e-6, seed: 1 }
    }

    fn train(letters: &str, longest: usize, file: Option<&Path>) -> Result<Classifier> {
        let strings = Strings::of_chars(letters, 1..=longest, Growth::Append).unwrap();
        let describes = strings.clone();
        let space = Space {
            shape: Shape::Strings { letters: strings.letters(), lengths: 1..=longest },
            describe: Describe::new(move |object| describes.describe(object)),
            parse: &|text, object| strings.parse(text, object),
            objects: None,
        };
        Classifier::train(file, &settings(), &space)
    }

    /// The peptides are told apart far better than by guessing (0.55), and the same on every machine and in every batch.
    #[test]
    fn peptides() {
        let classifier = train("ACDEFGHIKLMNPQRSTVWY", 50, None).unwrap();
        let found = (classifier.accuracy(), classifier.area());
        assert!(found.0 > 0.8 && found.1 > 0.88, "{found:?}");
        let words = ["KWKLFKKIEKVGQNIRDGIIKAGPAVAVVGQATQIAK", "MDEDSTEEDQNETSPDEATS"];
        let letters = "ACDEFGHIKLMNPQRSTVWY";
        let mut objects = Vec::new();
        for word in words {
            let mut cells: Vec<Cell> = word.chars().map(|c| letters.find(c).unwrap() as Cell + 1).collect();
            cells.resize(50, 0);
            objects.extend(cells);
        }
        let mut out = [0.0; 2];
        classifier.log_rewards(&objects, &[], &mut out).unwrap();
        // Cecropin A kills bacteria; a word of acid residues does not.
        assert!(out[0] > 0.5f64.ln() && out[1] < 0.5f64.ln(), "{out:?}");
        let mut alone = [0.0];
        classifier.log_rewards(&objects[50..], &[], &mut alone).unwrap();
        assert!((alone[0] - out[1]).abs() < 1e-5);
    }

    /// Words of `a` with some `b` against words of `b` with some `a`, each word once.
    #[test]
    fn files_and_their_errors() {
        let path = std::env::temp_dir().join(format!("classifier-{}.csv", std::process::id()));
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let rows = |a: char, b: char, label: u8| {
            (0..60u32).map(move |i| {
                let word =
                    (0..12).map(|bit| if i >> bit & 1 == 1 && bit % 3 == 0 || bit == 6 { b } else { a });
                let tail: String = std::iter::repeat_n(a, i as usize).collect();
                format!("{}{tail},{label}\n", word.collect::<String>())
            })
        };
        let text: String = rows('a', 'b', 1).chain(rows('b', 'a', 0)).collect();
        write(&format!("object,label\n{text}"));
        let classifier = train("ab", 12, Some(&path)).unwrap();
        assert_eq!((classifier.accuracy(), classifier.area()), (1.0, 1.0));
        let message = |text: String| {
            write(&text);
            train("ab", 12, Some(&path)).unwrap_err().to_string()
        };
        assert!(message("word,label\nab,1\n".to_owned()).contains("line 1: found \"word,label\""));
        assert!(message(format!("object,label\n{text}abc,1\n")).contains("line 122: found the letter c"));
        assert!(message(format!("object,label\n{text}bbbbbbbbbb,2\n")).contains("line 122: found \"2\""));
        let first = text.lines().next().unwrap();
        assert!(message(format!("object,label\n{text}{first}\n")).contains("again, after line 2"));
        let few: String = rows('a', 'b', 1).chain(rows('b', 'a', 0).take(3)).collect();
        assert!(message(format!("object,label\n{few}")).contains("3 words of label 0"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_area_by_hand() {
        let found = area(&[0.1, 0.4, 0.4, 0.9], &[false, true, false, true]);
        assert!((found - 3.5 / 4.0).abs() < 1e-15);
    }
}
