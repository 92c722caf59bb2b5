use super::*;
use crate::target::{Describe, Landscape, Shape};

fn grid(dim: usize, side: usize) -> Space<'static> {
    Space {
        shape: Shape::Grid { dim, side },
        describe: Describe::new(|x| format!("{x:?}")),
        parse: &|_, _| Err("nothing is read".to_owned()),
        objects: None,
    }
}

fn words(letters: usize, length: usize) -> Space<'static> {
    Space { shape: Shape::Strings { letters, lengths: length..=length }, ..grid(1, 1) }
}

fn table(cells: usize, objects: Vec<Cell>, scores: Vec<f64>) -> ScoreTable {
    ScoreTable::of(cells, objects, scores.into_iter().enumerate().collect())
}

fn settings() -> RegressorSettings {
    RegressorSettings {
        acquisition: Acquisition::Mean {},
        direction: Direction::Maximise,
        exponent: 2.0,
        least: 1e-6,
        members: 5,
        hidden: vec![32],
        seed: 3,
    }
}

/// Different objects, each cell of a range, drawn once.
fn drawn(count: usize, cells: usize, values: std::ops::Range<Cell>, seed: u64) -> Vec<Cell> {
    let noise = Noise::new(seed, Purpose::Target);
    let mut known = std::collections::HashSet::new();
    let mut out = Vec::new();
    for row in 0.. {
        if known.len() == count {
            break;
        }
        let mut numbers = noise.stream(row);
        let side = f64::from(values.end - values.start);
        let object: Vec<Cell> =
            (0..cells).map(|_| values.start + (numbers.uniform() * side) as Cell).collect();
        if known.insert(object.clone()) {
            out.extend(object);
        }
    }
    out
}

fn linear(x: &[Cell]) -> f64 {
    -40.0 + 2.0 * f64::from(x[0]) - 3.0 * f64::from(x[1]) + 0.5 * f64::from(x[2])
}

fn of_linear(direction: Direction) -> Regressor {
    let objects = drawn(250, 3, 0..8, 1);
    let sign = if direction == Direction::Minimise { -1.0 } else { 1.0 };
    let scores = objects.chunks(3).map(|x| sign * linear(x)).collect();
    let settings = RegressorSettings { direction, ..settings() };
    Regressor::fit("t.csv", table(3, objects, scores), &settings, &grid(3, 8)).unwrap()
}

/// A linear function is found, on rows that were held out and on all others; the reward is its exponential.
#[test]
fn a_linear_function_is_recovered() {
    let regressor = of_linear(Direction::Maximise);
    let HeldOutFit { rows, r2, spearman, .. } = *regressor.held_out();
    assert!(rows == 50 && r2 > 0.98 && spearman.unwrap() > 0.98, "{:?}", regressor.held_out());
    let others = drawn(300, 3, 0..8, 2);
    let found = regressor.predict(&others);
    let spread = regressor.scaling.sd;
    for (x, prediction) in others.chunks(3).zip(&found) {
        let error = (prediction.mean - linear(x)).abs();
        assert!(error < 0.5 * spread, "{x:?}: {} against {}", prediction.mean, linear(x));
        assert_eq!(prediction.acquisition, prediction.mean);
    }
    let mut log_rewards = vec![0.0; 300];
    regressor.log_rewards(&others, &[], &mut log_rewards).unwrap();
    for (log_reward, prediction) in log_rewards.iter().zip(&found) {
        let standard = regressor.scaling.standard(prediction.mean);
        assert!((log_reward - 2.0 * standard).abs() < 1e-9, "{log_reward} {standard}");
    }
    // Whatever stands beside an object.
    let alone = regressor.predict(&others[3..6])[0];
    assert!((alone.mean - found[1].mean).abs() < 1e-5 * spread);
}

/// Small scores that are good are large ones turned over.
#[test]
fn to_minimise_is_to_maximise_the_negative() {
    let (up, down) = (of_linear(Direction::Maximise), of_linear(Direction::Minimise));
    let others = drawn(40, 3, 0..8, 2);
    for (a, b) in up.predict(&others).iter().zip(down.predict(&others)) {
        assert_eq!((a.mean, a.sd, a.acquisition), (-b.mean, b.sd, b.acquisition));
    }
}

/// Members agree on the objects that they were fitted to, and not away from them.
#[test]
fn uncertainty_grows_off_the_data() {
    let objects = drawn(120, 2, 0..12, 4);
    let scores = objects.chunks(2).map(|x| (f64::from(x[0]) * 0.5).sin() + 0.1 * f64::from(x[1])).collect();
    let regressor =
        Regressor::fit("t", table(2, objects.clone(), scores), &settings(), &grid(2, 48)).unwrap();
    let mean = |objects: &[Cell]| {
        let found = regressor.predict(objects);
        found.iter().map(|prediction| prediction.sd).sum::<f64>() / found.len() as f64
    };
    let near = mean(&objects);
    let off = mean(&drawn(100, 2, 14..26, 5));
    let far = mean(&drawn(100, 2, 34..48, 6));
    assert!(off > 3.0 * near && far > 3.0 * near, "{near} {off} {far}");
}

/// On a landscape with noise, the share of held-out scores within a standard deviation is near that of a normal law.
#[test]
fn uncertainty_is_calibrated() {
    let landscape = Landscape::draw(4, 12, 1, 1.0, 5).unwrap();
    let objects = drawn(500, 12, 1..5, 7);
    let noise = Noise::new(9, Purpose::Target);
    let errors = (0..500).map(|row| 0.3 * noise.stream(row).normal());
    let scores = objects.chunks(12).zip(errors).map(|(x, error)| landscape.height(x) + error).collect();
    let mut scored = table(12, objects, scores);
    scored.noise = Some(0.09);
    let regressor = Regressor::fit("t", scored, &settings(), &words(4, 12)).unwrap();
    let fit = regressor.held_out();
    assert!(fit.r2 > 0.3, "{fit:?}");
    // Of 100 rows the share of a normal law is off by less than four standard errors.
    assert!((fit.within_sd - 0.683).abs() < 4.0 * (0.683f64 * 0.317 / 100.0).sqrt(), "{fit:?}");
}

#[test]
fn wrong_tables_are_refused() {
    let message = |count: usize, score: &dyn Fn(usize) -> f64| {
        let objects = drawn(count, 2, 0..8, 1);
        let scored = table(2, objects, (0..count).map(score).collect());
        Regressor::fit("t.csv", scored, &settings(), &grid(2, 8)).unwrap_err().to_string()
    };
    let rising = |row: usize| row as f64;
    assert_eq!(
        message(1, &rising),
        "t.csv: found one object with a score; allowed: at least 10 different ones"
    );
    assert!(message(9, &rising).contains("9 objects with scores"));
    assert_eq!(
        message(20, &|_| 0.1),
        "t.csv: found the score 0.1 for every object; allowed: scores that differ"
    );
    assert!(message(20, &|row| 1e300 * row as f64).contains("scores up to 1.9e301"));
    let key = |settings: RegressorSettings| {
        let scored = table(1, (0..20).collect(), (0..20).map(f64::from).collect());
        Regressor::fit("t", scored, &settings, &grid(1, 20)).unwrap_err().to_string()
    };
    assert!(key(RegressorSettings { members: 1, ..settings() }).starts_with("members: found 1"));
    assert!(key(RegressorSettings { hidden: Vec::new(), ..settings() }).starts_with("hidden: found 0"));
    assert!(key(RegressorSettings { exponent: 0.0, ..settings() }).starts_with("exponent: found 0"));
}

/// The words that come with the program are 500 different ones, and their scores are their heights.
#[test]
fn the_table_that_comes_along_is_of_the_landscape() {
    let landscape = Landscape::draw(4, 20, 1, 1.0, 1).unwrap();
    let letter = |letter: char| "ACGT".find(letter).map(|at| at as Cell + 1);
    let parse = |text: &str, word: &mut [Cell]| {
        let letters: Option<Vec<Cell>> = text.chars().map(letter).collect();
        letters.map(|letters| word.copy_from_slice(&letters)).ok_or_else(|| text.to_owned())
    };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/landscape.csv");
    let read = ScoreTable::read(std::path::Path::new(path), ["object", "score"], Missing::Refuse, 20, &parse)
        .unwrap();
    assert_eq!((read.len(), read.measured()), (500, 500));
    for (word, score) in read.measurements() {
        assert!((landscape.height(word) - score).abs() < 0.51e-4, "{word:?}: {score}");
    }
}
