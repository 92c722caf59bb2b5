use super::*;
use crate::environment::Cell;
use crate::target::Describe;

fn recipe(text: &str) -> RewardRecipe {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn space(shape: Shape) -> Space<'static> {
    Space {
        shape,
        describe: Describe::new(|x| format!("{x:?}")),
        parse: &|text, _| Err(format!("\"{text}\"; allowed: nothing")),
        objects: None,
    }
}

fn grid_of_8() -> Shape {
    Shape::Grid { dim: 2, side: 8 }
}

fn bits(length: usize) -> Shape {
    Shape::Strings { letters: 2, lengths: length..=length }
}

fn sets() -> Shape {
    Shape::Sets { items: 3, sizes: 0..=3 }
}

#[test]
fn good_values_build_what_they_say() {
    let bytes = Shape::Strings { letters: 256, lengths: 15..=15 };
    for (text, shape, object, log_reward, log_z) in [
        ("kind = \"original\"", grid_of_8(), vec![1, 6], 2.6f64.ln(), Some(22.4f64.ln())),
        ("kind = \"easy\"", grid_of_8(), vec![0, 0], 0.501f64.ln(), None),
        ("kind = \"hard\"\nr0 = 0.25", grid_of_8(), vec![4, 0], 0.25f64.ln(), None),
        ("kind = \"sparse\"", grid_of_8(), vec![1, 6], 0.0, None),
        ("kind = \"deceptive\"", grid_of_8(), vec![0, 0], 1e-5f64.ln(), None),
        ("kind = \"cosine\"\nr1 = 0", grid_of_8(), vec![0, 0], 0.1f64.ln(), Some(6.4f64.ln())),
        (
            "kind = \"ising\"\nlattice = \"torus\"\ncoupling = 0.5\nfield = [0.25]",
            bits(9),
            vec![2; 9],
            20.25,
            None,
        ),
        ("kind = \"ising\"\nlattice = \"ring\"\ncoupling = -0.5\nalpha = 2", bits(4), vec![1; 4], -8.0, None),
        ("kind = \"ising\"\nmatrix = [[0, 1], [1, 0]]\nfield = [1, 2]", bits(2), vec![1, 2], -1.0, None),
        ("kind = \"planted-modes\"\nmodes = [\"0110\"]", bits(4), vec![1, 2, 1, 2], -1.5, None),
        ("kind = \"planted-modes\"\nmodes = [\"0110\"]\ntemperature = 2", bits(4), vec![2; 4], -1.0, None),
        ("kind = \"planted-modes\"\nseed = 3\ncount = 7", bytes.clone(), vec![], 0.0, None),
        ("kind = \"items\"\nweights = [1, 2, 3]", sets(), vec![0, 1, 1], 6f64.ln(), Some(24f64.ln())),
        ("kind = \"items\"\nlog_weights = [0.5, -1]", bits(2), vec![2, 2], -0.5, None),
        ("kind = \"expression\"\nlog_reward = \"-(x0 - 3)^2 / 2\"", grid_of_8(), vec![1, 0], -2.0, None),
        ("kind = \"expression\"\nreward = \"1 + x1\"", grid_of_8(), vec![1, 4], 5f64.ln(), None),
        (
            "kind = \"tempered\"\nbeta = 0.5\nreward = { kind = \"items\", weights = [4, 4, 9] }",
            sets(),
            vec![1, 0, 1],
            6f64.ln(),
            Some(36f64.ln()),
        ),
        (
            "kind = \"entropic\"\nscale = 4\nreward = { kind = \"expression\", reward = \"2\" }",
            grid_of_8(),
            vec![0, 0],
            (0.5 * 2f64.ln()).ln(),
            None,
        ),
    ] {
        let recipe = recipe(text);
        let reward = recipe.build(&space(shape)).unwrap_or_else(|error| panic!("{text}: {error}"));
        if !object.is_empty() {
            let mut out = [f64::NAN];
            let object: Vec<Cell> = object;
            reward.log_rewards(&object, &[], &mut out).unwrap();
            assert!((out[0] - log_reward).abs() < 1e-10, "{text}: {}", out[0]);
        }
        if let Some(log_z) = log_z {
            assert!((reward.log_z(&[]).unwrap() - log_z).abs() < 1e-10, "{text}");
        }
        let again = toml::to_string(&recipe).unwrap();
        assert_eq!(self::recipe(&again), recipe, "{again}");
        assert!(!recipe.formula().is_empty());
    }
    // Modes of drawn words count as found within a quarter of their bits.
    let drawn = recipe("kind = \"planted-modes\"").build(&space(bytes)).unwrap();
    assert_eq!(drawn.modes(), Some(60.0));
}

#[test]
fn conditions_have_their_width() {
    for (text, width) in [
        ("kind = \"tempered\"\nreward = { kind = \"items\", weights = [1, 2, 3] }", 1),
        ("kind = \"tempered\"\nbeta = \"condition\"\nreward = { kind = \"items\", weights = [1, 2, 3] }", 1),
        ("kind = \"additive-energies\"\nenergies = [[1, 2, 3], [4, 5, 6]]", 2),
        (
            "kind = \"preference\"\ncombination = \"linear\"\nbeta = \"condition\"\n\
             rewards = [{ kind = \"items\", weights = [1, 2, 3] }, { kind = \"expression\", reward = \"1 + n\" }]",
            3,
        ),
        ("kind = \"expression\"\nlog_reward = \"c0 * x0 + c4\"", 5),
        ("kind = \"process\"\ncommand = [\"python3\", \"score.py\"]\nconditions = 2", 2),
    ] {
        let recipe = recipe(text);
        let reward = recipe.build(&space(sets())).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(reward.condition_width(), width, "{text}");
        assert_eq!(self::recipe(&toml::to_string(&recipe).unwrap()), recipe);
    }
}

#[test]
fn bad_values_name_their_key() {
    let words = Shape::Strings { letters: 4, lengths: 1..=5 };
    for (text, shape, message) in [
        ("kind = \"original\"\nr0 = 0", grid_of_8(), ".r0: found 0; allowed: a number from 1e-300 to 1e300"),
        (
            "kind = \"original\"",
            sets(),
            ".kind: found this reward for sets of 3 items; allowed: points of a grid, or another reward",
        ),
        (
            "kind = \"ising\"\nlattice = \"ring\"",
            words.clone(),
            ".kind: found this reward for words of 1 to 5 out of 4 letters; allowed: words of two letters",
        ),
        (
            "kind = \"ising\"\ncoupling = 1",
            bits(4),
            ".lattice or matrix: found none; allowed: exactly one of them",
        ),
        ("kind = \"ising\"\nlattice = \"ring\"", bits(4), ".coupling: found none"),
        (
            "kind = \"ising\"\nlattice = \"torus\"\ncoupling = 1",
            bits(8),
            ".lattice: found a torus of 8 spins",
        ),
        ("kind = \"ising\"\nmatrix = [[0]]\ncoupling = 1", bits(1), ".coupling: found one beside a matrix"),
        ("kind = \"ising\"\nmatrix = [[0, 1], [1]]", bits(2), ".matrix.1: found 1 numbers for 2 spins"),
        (
            "kind = \"ising\"\nmatrix = [[0, 1], [1, 0]]\nfield = [1, 2, 3]",
            bits(2),
            ".field: found 3 numbers for 2",
        ),
        ("kind = \"planted-modes\"", words, ".kind: found this reward for words of 1 to 5"),
        ("kind = \"planted-modes\"", bits(12), ".bits: found 12; allowed: a multiple of 8"),
        (
            "kind = \"planted-modes\"\nmodes = [\"01\"]",
            bits(4),
            ".modes: found a mode of 2 bits; allowed: 4 bits",
        ),
        (
            "kind = \"planted-modes\"\nbeta = 1\ntemperature = 1",
            bits(8),
            ".beta: found both it and a temperature",
        ),
        ("kind = \"planted-modes\"\ntemperature = 0", bits(8), ".temperature: found 0"),
        (
            "kind = \"items\"\nweights = [1, 2]",
            sets(),
            ".weights: found 2 numbers; allowed: 3, one for each item",
        ),
        ("kind = \"items\"", sets(), ".weights or log_weights: found none"),
        ("kind = \"items\"\nweights = [1, -2, 1]", sets(), ".weights: found -2"),
        (
            "kind = \"items\"\nweights = [1, 2]",
            grid_of_8(),
            ".kind: found this reward for points of a grid of 2",
        ),
        ("kind = \"additive-energies\"\nenergies = []", sets(), ".energies: found 0"),
        (
            "kind = \"additive-energies\"\nenergies = [[1]]",
            sets(),
            ".energies.0: found 1 numbers; allowed: 3",
        ),
        ("kind = \"table\"\nfile = \"x.csv\"\nleast = 0", sets(), ".least: found 0"),
        (
            "kind = \"expression\"\nlog_reward = \"x0 + sine(1)\"",
            sets(),
            ".log_reward, character 6: found \"sine\"",
        ),
        ("kind = \"expression\"", sets(), ".log_reward or reward: found none"),
        ("kind = \"process\"\ncommand = []", sets(), ".command: found no program"),
        ("kind = \"process\"\ncommand = [\"a\"]\ntimeout = 0", sets(), ".timeout: found 0"),
        ("kind = \"preference\"\nrewards = []", sets(), ".rewards: found 0"),
        (
            "kind = \"preference\"\nrewards = [{ kind = \"items\", weights = [1, 1, 1] }, { kind = \"items\", weights = [0, 1, 1] }]",
            sets(),
            ".rewards.1.weights: found 0",
        ),
        (
            "kind = \"tempered\"\nreward = { kind = \"entropic\", scale = -1, reward = { kind = \"items\", weights = [1, 1, 1] } }",
            sets(),
            ".reward.scale: found -1",
        ),
    ] {
        let error = recipe(text).build(&space(shape)).unwrap_err();
        assert!(error.is_input());
        assert!(error.to_string().starts_with(&format!("reward{message}")), "{text}: {error}");
    }
    let missing = recipe("kind = \"table\"\nfile = \"no-such-file.csv\"").build(&space(sets())).unwrap_err();
    assert!(
        missing.to_string().starts_with("reward.file: found \"no-such-file.csv\", which is not there"),
        "{missing}"
    );
    for text in [
        "kind = \"original\"\nr3 = 1",
        "kind = \"hypergrids\"",
        "kind = \"tempered\"\nbeta = \"often\"\nreward = { kind = \"original\" }",
    ] {
        assert!(toml::from_str::<RewardRecipe>(text).is_err(), "{text}");
    }
}

#[test]
fn the_schema_documents_every_kind() {
    let schema = serde_json::to_string(&schemars::schema_for!(RewardRecipe)).unwrap();
    for kind in ["original", "cosine", "ising", "planted-modes", "additive-energies", "process", "entropic"] {
        assert!(schema.contains(&format!("\"const\":\"{kind}\"")), "{kind}");
    }
    assert!(schema.contains("The power that values are raised to."));
}
