//! Comparisons over seeds, values and directories, and what is asked of a run that is done.

use serde_json::Value;

use crate::support::{GRID, Place};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn seeds_and_values_are_compared_on_the_same_rows() {
    let place = Place::tiny();
    let both = "compare tiny.toml --grid model.0.hidden=[3],[4] --seeds 2 --out both --json";
    let result = place.run(both).json();
    let variants = result["variants"].as_array().expect("a list");
    let labels: Vec<&Value> = variants.iter().map(|variant| &variant["label"]).collect();
    assert_eq!(labels, ["tiny hidden=[3]", "tiny hidden=[4]"]);
    assert_eq!(variants[0]["seeds"], serde_json::json!([5, 6]));
    let runs = result["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 4);
    let nlls: Vec<f64> = runs.iter().map(|run| number(&run["metrics"]["nll"])).collect();
    let mean = 0.5 * (nlls[0] + nlls[1]);
    assert!((number(&variants[0]["metrics"]["nll"]["mean"]) - mean).abs() < 1e-12);
    let sd = (nlls[0] - nlls[1]).abs() / 2f64.sqrt();
    assert!((number(&variants[0]["metrics"]["nll"]["sd"]) - sd).abs() < 1e-12);
    let gap = 0.5 * (nlls[2] + nlls[3]) - mean;
    assert!(variants[0]["nll_difference"].is_null());
    assert!((number(&variants[1]["nll_difference"]) - gap).abs() < 1e-9);
    assert!(number(&variants[1]["nll_difference_se"]) > 0.0);
    // A line for each run, and one of names.
    let csv = String::from_utf8(place.read("both/compare.csv")).expect("UTF-8");
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(csv.lines().nth(3).is_some_and(|line| line.starts_with("tiny hidden=[4],5,")), "{csv}");
    let page = String::from_utf8(place.read("both/report.html")).expect("UTF-8");
    assert!(page.contains("over seeds") && page.contains("tiny hidden=[4] (2 seeds)"));

    // Several at once, as processes: the same numbers.
    let result = place.run(&both.replace("--out both", "--out apart --jobs 2")).json();
    let apart = result["runs"].as_array().expect("a list").iter().map(|run| number(&run["metrics"]["nll"]));
    assert_eq!(apart.collect::<Vec<_>>(), nlls);

    // Directories take part as they are, and what was drawn by another seed is of other rows.
    let names = place.files("both");
    let runs: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix("/result.json")).collect();
    assert_eq!(runs.len(), 4, "{names:?}");
    let three = format!("compare both/{} both/{} both/{} --out three", runs[0], runs[2], runs[1]);
    let text = place.run(&three).done().stdout;
    assert!(text.contains("nats a row, on the same rows"), "{text}");
    assert!(text.contains("is scored on other rows than"), "{text}");
}

#[test]
fn what_cannot_be_compared_is_refused_beforehand() {
    let place = Place::tiny();
    let refused = |arguments: &str, part: &str| {
        let message = place.run(&format!("compare {arguments} --out out")).refused(2);
        assert!(message.contains(part), "{message}");
        assert!(!place.path("out").exists(), "{arguments}");
    };
    refused("tiny.toml --grid training.batch", "--grid: found \"training.batch\"");
    refused("tiny.toml --grid training.batch=1,,2", "KEY=A,B,C");
    refused("tiny.toml --grid training.bach=1,2", "training.bach");
    refused("tiny.toml --grid training.batch=8,0", "training.batch");
    refused("tiny.toml --seeds 0", "--seeds: found 0 runs");
    refused("tiny.toml --seeds 100000", "--seeds: found 100000 runs");
    refused("tiny.toml tiny.toml", "two recipes of the name \"tiny\"");
    let unfinished = place.run("run tiny.toml --set training.steps=1 --out half").done();
    drop(unfinished);
    std::fs::remove_file(place.path("half/result.json")).expect("a result");
    refused("half", "a run that is not done");
}

#[test]
fn rows_are_scored_one_by_one() {
    let place = Place::tiny();
    let result = place.run("run tiny.toml --out run --json").json();
    let lines = |name: &str| -> Vec<String> {
        String::from_utf8(place.read(name)).expect("UTF-8").lines().map(str::to_owned).collect()
    };
    let mean = |lines: &[String]| -> f64 {
        let nlls = lines[1..].iter().map(|line| line.split(',').nth(1).expect("two fields").parse::<f64>());
        nlls.map(|nll| nll.expect("a number")).sum::<f64>() / (lines.len() - 1) as f64
    };
    // A flow is exact: there is nothing to be in error.
    let scores = lines("run/scores.csv");
    assert_eq!(scores[0], "row,nll");
    assert!((mean(&scores) - number(&result["metrics"]["nll"])).abs() < 1e-9);
    place.write("new.csv", "0.5,1\n-1,0.25\n");
    let found = place.run("evaluate run --data new.csv --rows out.csv --json").json();
    let out = lines("out.csv");
    assert_eq!(out.len(), 3);
    assert!((mean(&out) - number(&found["metrics"]["nll"])).abs() < 1e-9);
    place.run("evaluate run --rows test.csv").done();
    assert_eq!(lines("test.csv"), scores);
    let more = place.run("evaluate run --rows more.csv --set evaluation.importance_samples=4 --json").json();
    assert_eq!(lines("more.csv")[0], "row,nll,nll_importance");
    assert!(more["metrics"]["nll_importance"].is_number());

    place.write("grid.toml", GRID);
    place.run("run grid.toml --out grid").done();
    place.write("objects.txt", "(0, 0)\n(3, 1)\n");
    place.run("evaluate grid --data objects.txt --rows objects.csv").done();
    assert_eq!(lines("objects.csv")[0], "row,nll,log_reward");
    let message = place.run("evaluate grid --rows none.csv").refused(2);
    assert!(message.contains("--rows") && message.contains("--data FILE"), "{message}");
    let message = place.run("evaluate run --rows nowhere/out.csv").refused(1);
    assert!(message.contains("nowhere"), "{message}");
}

#[test]
fn what_of_a_run_may_change_is_stated() {
    let place = Place::tiny();
    place.run("run tiny.toml --set training.keep_checkpoints=3 --out run").done();
    let [first, last] = [&place.checkpoints("run")[0], &place.checkpoints("run")[2]];
    assert!(first.contains("24") && last.contains("30"), "{first}, {last}");
    // The weights of a step, and not the best.
    let at = |step: u64| {
        let result = place.run(&format!("evaluate run --checkpoint {step} --json")).json();
        assert_eq!(result["steps"], step);
        number(&result["metrics"]["nll"])
    };
    assert_ne!(at(24), at(30));
    let message = place.run("evaluate run --checkpoint 7").refused(2);
    assert!(message.contains("step 7") && message.contains("24, 28, 30"), "{message}");

    let message = place.run("evaluate run --set training.steps=9").refused(2);
    assert!(
        message.contains("--set training.steps") && message.contains("keys of `evaluation`"),
        "{message}"
    );
    let message = place.run("evaluate run --set evaluation.drws=9").refused(2);
    assert!(message.contains("evaluation.drws") && message.contains("draws"), "{message}");

    // A longer training is that of a run that was as long from the beginning: nothing but its end is another.
    place.run("resume run --set training.steps=40").done();
    place.run("run tiny.toml --set training.keep_checkpoints=3 --set training.steps=40 --out long").done();
    assert_eq!(place.metrics("run").last(), place.metrics("long").last());
    assert_eq!(place.newest("run"), place.newest("long"));
    for (set, part) in [
        ("training.steps=20", "found 20, of a run that has made 40 steps"),
        ("optimizer.learning_rate=1", "all else of a run stays as it began"),
        ("training.steps=x", "training.steps"),
    ] {
        let message = place.run(&format!("resume run --set {set}")).refused(2);
        assert!(message.contains(part), "{message}");
    }
    place.run("resume run").done();
}

/// Threads beyond the cores are not started, and none for what needs none.
#[test]
fn many_threads_are_no_more_than_there_are_cores() {
    let place = Place::tiny();
    for command in ["list", "schema", "explain tiny.toml", "run tiny.toml --out run"] {
        let mut command = place.command(command);
        command.env("RAYON_NUM_THREADS", "60000");
        assert!(command.output().expect("the program starts").status.success());
    }
}

/// Three lines make a model of any table of real numbers, which begins as its Gaussian and says what it is worth.
#[test]
fn tables_need_three_lines() {
    let place = Place::new();
    let mut rows = String::from("a,b\n");
    for i in 0..60 {
        let x = f64::from(i * 37 % 61) / 10.0;
        rows += &format!("{},{}\n", 1000.0 + x, -0.01 * x + 0.001 * f64::from(i * 17 % 7));
    }
    place.write("own.csv", rows);
    for kind in ["flow", "diffusion", "vae"] {
        let recipe = format!(
            "name = \"own\"\ntarget = {{ kind = \"table\", file = \"own.csv\" }}\nmodel = [{{ kind = \"{kind}\" }}]\n"
        );
        place.write("own.toml", recipe);
        let short = "--set training.steps=1 --set evaluation.sample_metrics=false --set evaluation.samples=9";
        let small = match kind {
            "flow" => "--set model.0.hidden=[4]",
            _ => "--set model.0.hidden=[4,4]",
        };
        let text = place.run(&format!("run own.toml {short} {small} --out {kind}")).done().stdout;
        assert!(text.contains("a Gaussian with full covariance"), "{text}");
        let kept = String::from_utf8(place.read(&format!("{kind}/recipe.toml"))).expect("UTF-8");
        for part in ["kind = \"whiten\"", "kind = \"adamw\"", "patience = 40", "evaluate_every = 25"] {
            assert!(kept.contains(part), "{part}: {kept}");
        }
        let result: Value =
            serde_json::from_slice(&place.read(&format!("{kind}/result.json"))).expect("JSON");
        let metric = |name: &str| number(&result["metrics"][name]);
        assert!((metric("nll_gaussian") - metric("nll") - metric("nll_gain")).abs() < 1e-9);
        // What it begins with has to tell scales and correlations from few rows, too: it is near, and on either side.
        let (gain, error) = (metric("nll_gain"), metric("nll_gain_se"));
        assert!(gain.abs() < 0.3 + 4.0 * error && gain.abs() < 2.0, "{kind}: {gain} +- {error}");
        // What anybody says holds, and an optimiser without weight decay has none.
        let set = "--set optimizer.kind=\"adam\" --set training.patience=3";
        place.run(&format!("run own.toml {short} {small} {set} --out {kind}-adam")).done();
        let kept = String::from_utf8(place.read(&format!("{kind}-adam/recipe.toml"))).expect("UTF-8");
        assert!(kept.contains("weight_decay = 0.0") && kept.contains("patience = 3"), "{kept}");
    }
    // What is of categories is refused as such, and not for a map that nobody named.
    for kind in ["jump", "autoregressive", "energy"] {
        place.write("own.toml", format!("name = \"own\"\ntarget = {{ kind = \"table\", file = \"own.csv\" }}\nmodel = [{{ kind = \"{kind}\" }}]\n"));
        let message = place.run("explain own.toml").refused(2);
        assert!(message.contains("model.0") && !message.contains("other segments"), "{message}");
    }
}
