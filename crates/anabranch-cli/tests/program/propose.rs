//! From a table of scores to a batch, and on: candidates of a run, rounds with a scorer and without, stopped and not.

use crate::support::Place;

/// Words of six letters out of three, and a regressor that is fitted in no time.
const SEARCH: &str = r#"name = "search"
seed = 4

[target]
kind = "strings"
alphabet = "abc"
length = 6

[target.reward]
kind = "regressor"
file = "table.csv"
score = "affinity"
members = 2
hidden = [8]
exponent = 2.0

[policy]
backward = "uniform"

[policy.network]
kind = "mlp"
hidden = [8]

[training]
steps = 20
batch = 8
checkpoint_every = 6
log_every = 5

[evaluation]
samples = 9
paths = 50
exact_states = 0
candidates = { count = 6, draws = 200, distance = 2 }

[rounds]
calls = 14
batch = 5
steps = 10
"#;

const SCORER: &str = "scorer = { kind = \"expression\", log_reward = \"x0 - 2 * x1 + x2 * x3 - 4\" }\n";

fn table() -> String {
    let row = |i: usize| {
        let letters: Vec<usize> = (0..6).map(|k| (i * 7 + k * k * (i + 1)) / (k + 1) % 3).collect();
        let word: String = letters.iter().map(|letter| char::from(b'a' + *letter as u8)).collect();
        let cell = |k: usize| letters[k] as f64 + 1.0;
        format!("{i},{word},{}\n", cell(0) - 2.0 * cell(1) + cell(2) * cell(3) - 4.0)
    };
    format!("id,object,affinity\n{}", (0..40).map(row).collect::<String>())
}

fn place(recipe: &str) -> Place {
    let place = Place::with(recipe);
    place.write("table.csv", table());
    place
}

fn lines(place: &Place, path: &str) -> Vec<String> {
    String::from_utf8(place.read(path)).expect("text").lines().map(str::to_owned).collect()
}

/// A run on a table of scores ends with its fit and with candidates: the top ones and the diverse ones, which have no score yet.
#[test]
fn a_table_becomes_candidates() {
    let place = place(SEARCH);
    let result = place.run("run tiny.toml --out run --json").json();
    for name in [
        "regressor_r2",
        "regressor_rmse",
        "regressor_within_sd",
        "regressor_nll",
        "top_predicted",
        "diverse_distance",
    ] {
        assert!(result["metrics"][name].is_number(), "{name}: {result}");
    }
    let known: Vec<String> =
        table().lines().map(|line| line.split(',').nth(1).unwrap_or_default().to_owned()).collect();
    let rows = lines(&place, "run/candidates.csv");
    assert_eq!(rows[0], "object,mean,sd,acquisition,log_p,novelty,score,top,diverse");
    let cells: Vec<Vec<&str>> = rows[1..].iter().map(|row| row.split(',').collect()).collect();
    let ranked = |column: usize| cells.iter().filter(|row| !row[column].is_empty()).count();
    assert_eq!((ranked(7), ranked(8)), (6, 6), "{rows:?}");
    for row in &cells {
        let there = known.contains(&row[0].to_owned());
        assert_eq!(
            (there, there, there && !row[8].is_empty()),
            (row[5] == "0", !row[6].is_empty(), false),
            "{row:?}"
        );
    }
    let acquisitions: Vec<f64> = cells.iter().map(|row| row[3].parse().expect("a number")).collect();
    assert!(acquisitions.is_sorted_by(|a, b| a >= b), "{acquisitions:?}");
    let page = String::from_utf8(place.read("run/report.html")).expect("text");
    assert!(
        page.contains("Candidates") && page.contains("Quality against diversity"),
        "the report shows them"
    );
    let fewer = place.run("evaluate run --set evaluation.candidates.count=2 --json").json();
    assert!(fewer["metrics"]["top_predicted"].is_number());
    assert_eq!(lines(&place, "run/candidates.csv").iter().filter(|row| row.ends_with(",1")).count(), 1);
}

/// Rounds with a scorer spend their calls, never twice on one object; a directory of which the later files are gone makes them again.
#[test]
fn rounds_that_were_stopped_go_on_as_if_they_had_not_been() {
    let place = place(&format!("{SEARCH}{SCORER}"));
    let whole = place.run("propose tiny.toml --out whole --json").json();
    assert_eq!(
        (whole["metrics"]["calls"].as_u64(), whole["metrics"]["rounds"].as_u64()),
        (Some(14), Some(3))
    );
    let scores = lines(&place, "whole/scores-3.csv");
    let mut objects: Vec<&str> = scores[1..].iter().filter_map(|row| row.split(',').next()).collect();
    let count = objects.len();
    objects.sort_unstable();
    objects.dedup();
    let table = lines(&place, "whole/scores-0.csv").len() - 1;
    let (before, new) = (lines(&place, "whole/scores-0.csv"), &scores[table + 1..]);
    assert_eq!((count, new.len()), (table + 14, 14));
    assert!(new.iter().all(|row| !before.contains(row)) && objects.len() >= 14);
    place.run("propose tiny.toml --out stopped --json").json();
    // As a kill would leave it: in the middle of the second round, and in the middle of its training.
    for gone in
        ["scores-2.csv", "scores-3.csv", "batch-3.csv", "weights-3.safetensors", "round-3", "batch-2.csv"]
    {
        let path = place.path(&format!("stopped/{gone}"));
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        removed.unwrap_or_else(|error| panic!("{gone}: {error}"));
    }
    for gone in
        ["round-2/result.json", "round-2/report.html", "round-2/checkpoints/step-0000000010.safetensors"]
    {
        std::fs::remove_file(place.path(&format!("stopped/{gone}"))).expect("it was written");
    }
    let again = place.run("propose stopped --json").json();
    assert_eq!(again["metrics"], whole["metrics"]);
    for file in ["scores-2.csv", "scores-3.csv", "batch-3.csv", "rounds.csv", "weights-2.safetensors"] {
        assert!(place.read(&format!("whole/{file}")) == place.read(&format!("stopped/{file}")), "{file}");
    }
}

/// Without a scorer a batch waits, and goes on with the scores that come; rows that are not filled in are left out.
#[test]
fn a_batch_waits_for_its_scores() {
    let place = place(SEARCH);
    let first = place.run("propose tiny.toml --out lab");
    assert!(first.stderr.contains("fill in the scores of lab/batch-1.csv"), "{}", first.stderr);
    let early = place.run("propose lab --seed 3");
    assert_eq!(early.code, Some(2), "{}", early.stderr);
    let batch = lines(&place, "lab/batch-1.csv");
    assert_eq!((batch[0].as_str(), batch.len()), ("object,predicted,sd,score", 6));
    let filled: Vec<String> = batch[1..]
        .iter()
        .enumerate()
        .map(|(i, row)| if i == 2 { row.clone() } else { format!("{row}{i}.5") })
        .collect();
    place.write("filled.csv", format!("{}\n{}\n", batch[0], filled.join("\n")));
    let second = place.run("propose lab --scores filled.csv --json");
    assert!(second.stderr.contains("batch-2.csv"), "{}", second.stderr);
    let found: serde_json::Value = serde_json::from_str(&second.stdout).expect("one object");
    assert_eq!(found["metrics"]["calls"].as_u64(), Some(4));
    let unfilled = place.run("propose lab --scores lab/batch-2.csv");
    assert!(unfilled.code == Some(2) && unfilled.stderr.contains("found no scores"), "{}", unfilled.stderr);
}

/// Proposers without a model score what they propose.
#[test]
fn baselines_take_the_same_calls() {
    let place = place(&format!("{SEARCH}{SCORER}"));
    for kind in ["random", "genetic"] {
        let result = place
            .run(&format!("propose tiny.toml --set rounds.proposer.kind={kind} --out {kind} --json"))
            .json();
        assert_eq!(result["metrics"]["calls"].as_u64(), Some(14), "{kind}");
        assert!(!place.path(&format!("{kind}/round-1")).exists());
    }
}

#[test]
fn wrong_searches_are_refused() {
    let place = place(SEARCH);
    let message = |arguments: &str| {
        let ended = place.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments}: {}", ended.stderr);
        ended.stderr
    };
    assert!(message("propose hypergrid --out x").contains("target.reward.kind"));
    assert!(message("run tiny.toml --set target.reward.score=binding").contains("no column \"binding\""));
    assert!(
        message("run tiny.toml --set target.reward.file=none.csv")
            .contains("target.reward.file: found \"none.csv\"")
    );
    assert!(message("run hypergrid --set evaluation.candidates.count=3").contains("evaluation.candidates"));
    assert!(message("run tiny.toml --set policy.start=none.safetensors").contains("none.safetensors: found"));
    place.write("one.csv", "object,affinity\nabcabc,1\n");
    assert!(message("run tiny.toml --set target.reward.file=one.csv").contains("one object with a score"));
    place.write("letters.csv", "object,affinity\nabcabd,1\n");
    assert!(
        message("run tiny.toml --set target.reward.file=letters.csv")
            .contains("letters.csv, line 2: found \"abcabd\"")
    );
    place.write("short.csv", "object,affinity\nabc,1\n");
    assert!(message("run tiny.toml --set target.reward.file=short.csv").contains("which is no object"));
    let ended = place.run("propose tiny.toml --out lab");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(message("propose tiny.toml --out lab").contains("holds recipe.toml already"));
    assert!(message("propose lab --set training.steps=3").contains("--set training.steps=3"));
}
