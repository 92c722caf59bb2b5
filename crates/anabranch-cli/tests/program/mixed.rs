//! Tables of words, whole numbers and real ones together.

use serde_json::Value;

use crate::support::Place;

/// Apples are large and red, plums are small; one word needs quotation marks.
fn fruit() -> String {
    let mut rows = String::from("kind,weight,seeds,colour\n");
    for i in 0..120u32 {
        let (apple, noise) = (i % 3 != 0, f64::from(i * 37 % 41) / 41.0);
        let kind = if apple { "\"apple, \"\"red\"\"\"" } else { "plum" };
        let (weight, seeds) = if apple { (150.0, 4 + i % 5) } else { (30.0, 1) };
        let colour = if (i % 7 == 0) == apple { "blue" } else { "red" };
        rows += &format!("{kind},{},{seeds},{colour}\n", weight + 20.0 * noise);
    }
    rows
}

const RECIPE: &str = "name = \"fruit\"\n\
    target = { kind = \"table\", file = \"fruit.csv\", categories = [\"kind\", \"colour\"], integers = [\"seeds\"] }\n\
    model = [{ kind = \"flow\", layers = 2, hidden = [8] }]\n\
    [training]\nsteps = 50\nevaluate_every = 25\n[evaluation]\nsamples = 50\nsample_metrics = false\n";

fn trained() -> Place {
    let place = Place::new();
    place.write("fruit.csv", fruit());
    place.write("fruit.toml", RECIPE);
    place.run("run fruit.toml --out run").done();
    place
}

fn nll(place: &Place, arguments: &str) -> f64 {
    let found = place.run(&format!("evaluate run {arguments} --json")).json();
    found["metrics"]["nll"].as_f64().expect("a number")
}

#[test]
fn rows_of_all_kinds_come_back_as_they_were() {
    let place = trained();
    let result: Value = serde_json::from_slice(&place.read("run/result.json")).expect("JSON");
    let metric = |name: &str| result["metrics"][name].as_f64().expect(name);
    // The kind tells the weight: a Gaussian of latent numbers knows some of it, columns by themselves nothing.
    assert!(metric("nll_gaussian") < metric("nll_independent") - 0.3, "{result}");
    assert!((metric("nll_gaussian") - metric("nll") - metric("nll_gain")).abs() < 1e-9);
    let kept = String::from_utf8(place.read("run/recipe.toml")).expect("UTF-8");
    assert!(kept.contains("kind = \"whiten\"") && kept.contains("kind = \"probit\""), "{kept}");

    // Samples have the words and whole numbers, without the file that they came from.
    std::fs::remove_file(place.path("fruit.csv")).expect("a file");
    place.run("sample run --count 40 --out drawn.csv").done();
    place.run("sample run --count 40 --out drawn.parquet").done();
    let drawn = String::from_utf8(place.read("drawn.csv")).expect("UTF-8");
    let mut lines = drawn.lines();
    assert_eq!(lines.next(), Some("kind,weight,seeds,colour"));
    for line in lines {
        let rest = line.strip_prefix("\"apple, \"\"red\"\"\",").or(line.strip_prefix("plum,"));
        let cells: Vec<&str> = rest.unwrap_or_else(|| panic!("{line}")).split(',').collect();
        assert!(cells[0].parse::<f64>().is_ok(), "{line}");
        assert!(cells[1].parse::<u32>().is_ok_and(|seeds| (1..=8).contains(&seeds)), "{line}");
        assert!(["red", "blue"].contains(&cells[2]), "{line}");
    }
    let of_csv = nll(&place, "--data drawn.csv");
    assert_eq!(of_csv, nll(&place, "--data drawn.parquet"));

    // Columns are found by name in any order, whichever words are first.
    let turned = |line: &str| {
        let at = line.rfind(',').expect("four cells");
        format!("{},{}\n", &line[at + 1..], &line[..at])
    };
    place.write("turned.csv", drawn.lines().map(turned).collect::<String>());
    assert_eq!(of_csv, nll(&place, "--data turned.csv"));
}

#[test]
fn values_that_training_did_not_see_are_named() {
    let place = trained();
    let refused = |rows: &str, part: &str| {
        place.write("new.csv", format!("kind,weight,seeds,colour\nplum,30,1,blue\n{rows}\n"));
        let message = place.run("evaluate run --data new.csv").refused(2);
        assert!(message.contains(part), "{message}");
    };
    refused("plums,30,1,blue", "row 2, column \"kind\": found \"plums\"; allowed: apple, \"red\", plum");
    refused("plum,30,9,blue", "row 2, column \"seeds\": found 9; allowed: a whole number from 1 to 8");
    refused("plum,30,1.5,blue", "row 2, column \"seeds\": found 1.5; allowed: a whole number from 1 to 8");
    refused("plum,30,1,", "line 3, column \"colour\": found an empty cell; allowed: a word");
    refused("plum,much,1,red", "line 3, column \"weight\": found \"much\"; allowed: a finite number");
}

#[test]
fn kinds_that_do_not_fit_are_refused() {
    let place = Place::new();
    place.write("fruit.csv", fruit());
    place.write("fruit.toml", RECIPE);
    let refused = |set: &str, parts: &[&str]| {
        let message = place.run(&format!("run fruit.toml --out out {set}")).refused(2);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!place.path("out").exists(), "{set}");
    };
    refused(
        "--set target.categories=[]",
        &["column \"kind\": found \"plum\"", "target.categories with the column's name"],
    );
    refused(
        "--set target.categories=['kind','color']",
        &["target.categories: found \"color\"", "did you mean \"colour\"?"],
    );
    refused(
        "--set target.categories=['kind','colour','seeds']",
        &["target.integers: found \"seeds\", which is"],
    );
    refused("--set target.integers=['weight']", &["target.integers: found 3", "in column \"weight\""]);
    refused(
        "--set target.integers=['seed']",
        &["target.integers: found \"seed\"", "did you mean \"seeds\"?"],
    );
    refused("--set target.drop=['kind']", &["target.categories: found \"kind\", which is dropped"]);
    refused("--set target.categories=[0,'kind','colour']", &["target.categories: found 2 of 3 columns"]);
    refused("--set target.levels=9", &["target.categories: found columns of few values beside levels"]);
    refused(
        "--set model=[{kind='flow'},{kind='logit'},{kind='probit'}]",
        &["model.1.kind: found \"logit\" before \"probit\""],
    );
    refused("--set model=[{kind='flow'},{kind='probit'},{kind='whiten'}]", &["\"probit\" before \"whiten\""]);
    refused("--set model=[{kind='jump'}]", &["model.0"]);
    let all = "--set target.categories=[] --set target.integers=[] --set target.drop=['kind','colour']";
    refused(
        &format!("{all} --set model=[{{kind='flow'}},{{kind='probit'}}]"),
        &["model.1.kind: found \"probit\" where no column has few values"],
    );
    place.run("run fruit.toml --out given --set target.given=['weight'] --set target.integers=[2]").done();
    place.run("new fruit.csv --model vae").done();
    let drafted = String::from_utf8(place.read("fruit-vae.toml")).expect("UTF-8");
    assert!(drafted.contains("categories = [\"kind\", \"colour\"]\nintegers = [\"seeds\"]\n"), "{drafted}");
}

#[test]
fn classes_may_be_words() {
    let place = Place::new();
    place.write("fruit.csv", fruit());
    let of_kind = "categories = [\"colour\"], label = \"kind\"";
    place.write("fruit.toml", RECIPE.replace("categories = [\"kind\", \"colour\"]", of_kind));
    place.run("run fruit.toml --out run --set optimizer.learning_rate=3e-3 --set training.steps=100").done();
    let result: Value = serde_json::from_slice(&place.read("run/result.json")).expect("JSON");
    let metric = |name: &str| result["metrics"][name].as_f64().expect(name);
    // The Gaussian to beat has a mean of its own for each class, which tells a weight to a seventh of its range: log 7 = 1.9 nats.
    assert!(metric("nll_gaussian") < metric("nll_independent") - 1.5, "{result}");
    std::fs::remove_file(place.path("fruit.csv")).expect("a file");

    // A class is named as the file did, and stands behind the samples under it.
    place.run("sample run --count 20 --condition plum --out plums.csv").done();
    let plums = String::from_utf8(place.read("plums.csv")).expect("UTF-8");
    assert_eq!(plums.lines().next(), Some("weight,seeds,colour,kind"));
    assert!(plums.lines().skip(1).all(|line| line.ends_with(",plum")), "{plums}");
    place.run("sample run --count 20 --condition plum --out plums.parquet").done();
    assert_eq!(nll(&place, "--data plums.csv"), nll(&place, "--data plums.parquet"));
    place.write("apples.csv", plums.replace(",plum\n", ",\"apple, \"\"red\"\"\"\n"));
    assert!(nll(&place, "--data plums.csv") < nll(&place, "--data apples.csv"));
    let message = place.run("sample run --count 2 --condition plums --out x.csv").refused(2);
    assert!(message.contains("found \"plums\"") && message.contains("did you mean \"plum\"?"), "{message}");
    assert!(place.run("sample run --count 2 --condition 1 --out x.csv").refused(2).contains("plum"));

    // A list of them needs no header; each line is drawn as often as asked for.
    let listed = |text: &str| {
        place.write("kinds.csv", text);
        place.run("sample run --count 2 --conditions kinds.csv --out listed.csv --force").done();
        let drawn = String::from_utf8(place.read("listed.csv")).expect("UTF-8");
        drawn.lines().skip(1).map(|line| line.ends_with(",plum")).collect::<Vec<bool>>()
    };
    let mut found = listed("kind\nplum\n\"apple, \"\"red\"\"\"\nplum\n");
    assert_eq!(found, listed("plum\n\"apple, \"\"red\"\"\"\nplum\n"));
    found.sort_unstable();
    assert_eq!(found, [false, false, true, true, true, true]);

    place.write("pears.csv", plums.replace(",plum\n", ",pear\n"));
    let message = place.run("evaluate run --data pears.csv").refused(2);
    assert!(message.starts_with("pears.csv, row 1: found \"pear\""), "{message}");
}
