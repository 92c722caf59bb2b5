use std::f64::consts::PI;

use super::*;

fn energy(text: &str) -> PointTargetRecipe {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn good_values_build_what_they_say() {
    for (text, dimension, log_z) in [
        ("kind = \"gaussian\"\nmean = [0.5, 1]\nstd = [1, 2]\nlog_z = 1.5", 2, 1.5),
        ("kind = \"gaussian\"\nmean = [0.5, 1]\ncovariance = [[1, 0.5], [0.5, 2]]\nlog_z = -2", 2, -2.0),
        ("kind = \"gaussian\"\nmean = [3]\ncholesky = [[2]]", 1, 0.0),
        ("kind = \"mixture\"\nmeans = [[0, 1, 2], [3, 4, 5]]\nstd = [[0.5]]", 3, 0.0),
        ("kind = \"mixture\"\nweights = [1, 3]\nmeans = [[0], [3]]\nstd = [[0.5], [1]]", 1, 0.0),
        ("kind = \"gmm9\"", 2, 0.0),
        ("kind = \"gmm25\"", 2, 0.0),
        ("kind = \"gmm40\"", 2, 0.0),
        ("kind = \"gmm40\"\ndimension = 50", 50, 0.0),
        ("kind = \"funnel\"\ndimension = 10\nstd = 3", 10, 0.0),
        ("kind = \"many-well\"\ndimension = 2", 2, 10.293_479_7),
        ("kind = \"gmm40\"\ngenerator = \"jax\"", 2, 0.0),
        ("kind = \"hard-mixture\"", 2, 0.0),
        ("kind = \"banana\"", 2, 0.0),
        (
            "kind = \"rosenbrock\"\nblocks = 3\nlength = 4",
            10,
            0.5 * (10.0 * PI.ln() + 20f64.ln() - 9.0 * 5f64.ln()),
        ),
        ("kind = \"rings\"", 2, 2.304_881),
        ("kind = \"eight-schools\"", 10, -36.130_815_9),
        ("kind = \"brownian-motion\"", 30, 5.613_043_5),
        ("kind = \"toy\"\nname = \"moons\"", 2, 0.0),
        ("kind = \"mixture\"\nweights = [1, 3]\ncomponents = [[[0, 1]], [[3, 2]]]", 1, 4f64.ln()),
        ("kind = \"expression\"\ndimension = 3\nlog_reward = \"-x2^2\"\nlog_z = 2.5", 3, 2.5),
        ("kind = \"process\"\ncommand = [\"sh\"]\ndimension = 4\nlog_z = -1\ngradients = true", 4, -1.0),
        (
            "kind = \"tempered\"\nbeta = 2\nreward = { kind = \"gaussian\", mean = [1], std = [0.5] }",
            1,
            -0.5 * PI.ln(),
        ),
    ] {
        let recipe = energy(text);
        let (built, found) = recipe.energy("energy").unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(found, dimension, "{text}");
        assert!((built.log_z(&[]).unwrap() - log_z).abs() < 1e-6, "{text}");
        let again = toml::to_string(&recipe).unwrap();
        assert_eq!(energy(&again), recipe, "{again}");
        assert!(!recipe.formula().is_empty());
    }
}

/// A covariance and its own factor are the same target, and so is one given by deviations.
#[test]
fn spreads_agree() {
    let by = |spread: &str| {
        let recipe = energy(&format!("kind = \"gaussian\"\nmean = [1, -1]\n{spread}"));
        let mut out = [f64::NAN; 2];
        recipe.energy("").unwrap().0.log_rewards(&[0.3, 0.4, -1.0, 2.0], &[], &mut out).unwrap();
        out
    };
    let close = |a: [f64; 2], b: [f64; 2]| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(close(by("covariance = [[4, 2], [2, 2]]"), by("cholesky = [[2, 0], [1, 1]]")));
    assert!(close(by("covariance = [[4, 0], [0, 9]]"), by("std = [2, 3]")));
    assert!(!close(by("covariance = [[4, 2], [2, 2]]"), by("covariance = [[4, -2], [-2, 2]]")));
}

#[test]
fn bad_values_say_what_is_allowed() {
    let gaussian = "kind = \"gaussian\"\nmean = [0, 1]\n";
    let mixture = "kind = \"mixture\"\n";
    for (text, message) in [
        (gaussian.to_owned(), ": found 0 of std, covariance and cholesky; allowed: exactly one of them"),
        (
            format!("{gaussian}std = [1, 1]\ncovariance = [[1, 0], [0, 1]]"),
            ": found 2 of std, covariance and cholesky; allowed: exactly one of them",
        ),
        (
            "kind = \"gaussian\"\nmean = []\nstd = []".to_owned(),
            ".mean: found an empty list; allowed: at least one number",
        ),
        (
            "kind = \"gaussian\"\nmean = [nan]\nstd = [1]".to_owned(),
            ".mean: found NaN; allowed: numbers from -1e12 to 1e12",
        ),
        (format!("{gaussian}std = [1]"), ".std: found 1 values for 2 means; allowed: one per mean"),
        (format!("{gaussian}std = [1, 0]"), ".std: found 0; allowed: numbers from 1e-12 to 1e12"),
        (
            format!("{gaussian}std = [1, 1]\nlog_z = inf"),
            ".log_z: found inf; allowed: numbers from -1e12 to 1e12",
        ),
        (
            format!("{gaussian}covariance = [[1, 0]]"),
            ".covariance: found 1 rows for 2 means; allowed: one row per mean",
        ),
        (
            format!("{gaussian}covariance = [[1, 0], [0]]"),
            ".covariance.1: found 1 numbers for 2 means; allowed: one number per mean",
        ),
        (
            format!("{gaussian}covariance = [[1, nan], [0, 1]]"),
            ".covariance.0: found NaN; allowed: numbers from -1e12 to 1e12",
        ),
        (
            format!("{gaussian}covariance = [[1, 0.5], [0.4, 1]]"),
            ".covariance: found 0.4 in row 1, column 0 and 0.5 across; allowed: a symmetric matrix",
        ),
        (
            format!("{gaussian}covariance = [[1, 2], [2, 1]]"),
            ".covariance: found a matrix whose leading 2 x 2 block is not positive definite; allowed: a positive definite matrix",
        ),
        (
            format!("{gaussian}cholesky = [[1, 0.5], [0, 1]]"),
            ".cholesky.0: found 0.5 in column 1; allowed: a lower triangular matrix: zeros right of the diagonal",
        ),
        (
            format!("{gaussian}cholesky = [[1, 0], [0, -1]]"),
            ".cholesky: found -1; allowed: numbers from 1e-12 to 1e12",
        ),
        (
            format!("{mixture}means = []\nstd = []"),
            ".means: found no numbers; allowed: one row of means per component",
        ),
        (
            format!("{mixture}means = [[]]\nstd = [[1]]"),
            ".means: found no numbers; allowed: one row of means per component",
        ),
        (
            format!("{mixture}means = [[0, 1], [2]]\nstd = [[1]]"),
            ".means.1: found 1 numbers; allowed: 2, as in the first row",
        ),
        (
            format!("{mixture}means = [[inf]]\nstd = [[1]]"),
            ".means.0: found inf; allowed: numbers from -1e12 to 1e12",
        ),
        (
            format!("{mixture}means = [[0], [1]]\nstd = [[1]]\nweights = [1]"),
            ".weights: found 1 weights for 2 components; allowed: one per component, or none",
        ),
        (
            format!("{mixture}means = [[0]]\nstd = [[1]]\nweights = [-1]"),
            ".weights: found -1; allowed: numbers from 1e-30 to 1e30",
        ),
        (
            format!("{mixture}means = [[0], [1], [2]]\nstd = [[1], [2]]"),
            ".std: found 2 rows for 3 components; allowed: one row per component, or one for all",
        ),
        (
            format!("{mixture}means = [[0, 1, 2]]\nstd = [[1, 2]]"),
            ".std.0: found 2 numbers for 3 coordinates; allowed: one per coordinate, or one for all",
        ),
        (
            format!("{mixture}means = [[0], [1]]\nstd = [[1], [-2]]"),
            ".std.1: found -2; allowed: numbers from 1e-12 to 1e12",
        ),
        (
            "kind = \"gmm40\"\ndimension = 0".to_owned(),
            ".dimension: found 0; allowed: an integer from 1 to 100000",
        ),
        (
            "kind = \"funnel\"\ndimension = 1\nstd = 3".to_owned(),
            ".dimension: found 1; allowed: an integer from 2 to 100000",
        ),
        (
            "kind = \"funnel\"\ndimension = 3\nstd = -1".to_owned(),
            ".std: found -1; allowed: numbers from 1e-12 to 1e12",
        ),
        (
            "kind = \"many-well\"\ndimension = 3".to_owned(),
            ".dimension: found 3; allowed: an even number from 2 to 100000",
        ),
        (
            "kind = \"many-well\"\ndimension = 0".to_owned(),
            ".dimension: found 0; allowed: an even number from 2 to 100000",
        ),
        (
            "kind = \"many-well\"\ndimension = 1000000000000".to_owned(),
            ".dimension: found 1000000000000; allowed: an even number from 2 to 100000",
        ),
        ("kind = \"cox-process\"\nside = 65".to_owned(), ".side: found 65; allowed: an integer from 1 to 64"),
        (
            "kind = \"rosenbrock\"\nlength = 1".to_owned(),
            ".length: found 1; allowed: an integer from 2 to 100000",
        ),
        (
            "kind = \"lennard-jones\"\nspring = 0".to_owned(),
            ".spring: found 0; allowed: numbers from 1e-12 to 1e12",
        ),
        (
            "kind = \"original\"".to_owned(),
            ".kind: found this reward for 1 other coordinates; allowed: a box, or another reward",
        ),
        (
            "kind = \"branin\"".to_owned(),
            ".kind: found this reward for 2 other coordinates; allowed: a box of 2 coordinates, or another reward",
        ),
        (
            format!("{mixture}means = [[0]]\nstd = [[1]]\ncomponents = [[[0, 1]]]"),
            ".components: found both them and means or std; allowed: components, or means and std",
        ),
        (
            format!("{mixture}components = [[[0, 1]]]"),
            ".weights: found 0 weights for 1 components; allowed: one per component",
        ),
        (
            "kind = \"expression\"\nlog_reward = \"x0\"".to_owned(),
            ".dimension: found none; allowed: how many coordinates x0, x1, ... a point has",
        ),
        (
            "kind = \"expression\"\ndimension = 0\nlog_reward = \"1\"".to_owned(),
            ".dimension: found 0; allowed: an integer from 1 to 100000",
        ),
        (
            "kind = \"expression\"\ndimension = 1".to_owned(),
            ".log_reward or reward: found none; allowed: exactly one of them",
        ),
        (
            "kind = \"expression\"\ndimension = 1\nlog_reward = \"x0 * c0\"\nlog_z = 1".to_owned(),
            ".log_z: found one number, where the target depends on a condition; allowed: none, or no condition",
        ),
        (
            "kind = \"process\"\ncommand = []\ndimension = 1".to_owned(),
            ".command: found no program; allowed: a program and its arguments",
        ),
        (
            "kind = \"tempered\"\nbeta = -1\nreward = { kind = \"gmm9\" }".to_owned(),
            ".beta: found -1; allowed: a number from 1e-300 to 1e300",
        ),
        (
            "kind = \"tempered\"\nreward = { kind = \"toy\", name = \"x\" }".to_owned(),
            ".reward.name: found \"x\"; allowed: eight-gaussians, checkerboard, spirals, moons, rings, pinwheel, swiss-roll",
        ),
        (
            "kind = \"toy\"\nname = \"moon\"".to_owned(),
            ".name: found \"moon\"; allowed: eight-gaussians, checkerboard, spirals, moons, rings, pinwheel, swiss-roll; did you mean \"moons\"?",
        ),
    ] {
        let error = inside("target.energy", energy(&text).energy("target.energy").unwrap_err());
        assert_eq!(error.to_string(), format!("target.energy{message}"), "{text}");
    }
}

/// Targets whose constant nobody knows exactly, and what others found.
#[test]
fn unknown_constants_have_references() {
    for (text, dimension, reference) in [
        ("kind = \"scalar-field\"", 196, None),
        ("kind = \"lennard-jones\"", 39, None),
        ("kind = \"item-response\"", 501, None),
        ("kind = \"seeds\"", 26, Some(-73.4062)),
        ("kind = \"logistic-regression\"\nsource = \"sonar\"", 61, Some(-108.386)),
        ("kind = \"cox-process\"\nside = 6\nwhitened = true", 36, None),
    ] {
        let recipe = energy(text);
        recipe.check("energy").unwrap_or_else(|error| panic!("{text}: {error}"));
        let (built, found) = recipe.energy("energy").unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((found, built.log_z(&[])), (dimension, None), "{text}");
        assert_eq!(built.reference_log_z().map(|found| found.value), reference, "{text}");
        assert_eq!(energy(&toml::to_string(&recipe).unwrap()), recipe);
    }
}

/// Energies are rewards of the line, and of nothing else.
#[test]
fn energies_fit_the_line() {
    for (text, dimension) in [("kind = \"gmm9\"", 2), ("kind = \"gaussian\"\nmean = [1, 2]\nstd = [1, 2]", 2)]
    {
        let recipe = energy(text);
        assert!(recipe.build(&vec![Domain::Line; dimension], "").is_ok());
        for domains in [vec![Domain::Line; 3], vec![Domain::Unit; 2], vec![Domain::Circle; 2]] {
            let words = recipe.build(&domains, "").unwrap_err().to_string();
            let count = domains.len();
            let found =
                format!("kind: found this reward for {count} other coordinates; allowed: the line of 2 ");
            assert!(words.starts_with(&found), "{words}");
        }
    }
    let formula = energy("kind = \"expression\"\ndimension = 2\nlog_reward = \"x0\"");
    assert!(formula.build(&[Domain::Circle, Domain::Unit], "").is_ok());
    let words = formula.build(&[Domain::Circle], "").unwrap_err().to_string();
    assert!(words.starts_with("dimension: found this reward for 1 other coordinates"), "{words}");
}
