//! `--json`: exactly one object on stdout, of the promised shape, and nothing on stderr where that is no terminal.

use serde_json::Value;

use crate::support::{Place, TINY};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Checks the shape and answers the metrics' names.
fn checked(result: &Value) -> Vec<&str> {
    assert_eq!(
        keys(result),
        ["recipe", "seed", "steps", "seconds", "parameters", "metrics", "timings", "out"]
    );
    assert!(result["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert!(result["parameters"].as_u64().is_some_and(|parameters| parameters > 0));
    let metrics = result["metrics"].as_object().expect("an object");
    for (name, value) in metrics {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()), "{name}");
        assert!(value.as_f64().is_some_and(f64::is_finite), "{name}: {value}");
        assert!(!name.contains("second"), "{name} is a time");
        if let Some(of) = name.strip_suffix("_se") {
            assert!(metrics.contains_key(of) && value.as_f64() >= Some(0.0), "{name}");
        }
    }
    keys(&result["metrics"])
}

fn has(names: &[&str], wanted: &[&str]) {
    wanted.iter().for_each(|name| assert!(names.contains(name), "{name} is missing: {names:?}"));
}

#[test]
fn a_run_is_one_object() {
    let place = Place::tiny();
    let result = place.run("run tiny.toml --out run --json").json();
    has(&checked(&result), &["nll", "nll_se"]);
    assert_eq!(
        (&result["recipe"], &result["seed"], &result["steps"], &result["out"]),
        (&"tiny".into(), &5.into(), &30.into(), &"run".into())
    );
    let mut written = serde_json::Map::new();
    for name in ["run/result.json", "run/timings.json"] {
        written.extend(
            serde_json::from_slice::<serde_json::Map<String, Value>>(&place.read(name)).expect("JSON"),
        );
    }
    written.insert("out".to_owned(), "run".into());
    assert_eq!(Value::from(written), result);
    // The same seed, the same bytes; another one, others.
    place.run("run tiny.toml --out again --json").json();
    for name in ["recipe.toml", "result.json", "samples.npy"] {
        assert!(place.read(&format!("again/{name}")) == place.read(&format!("run/{name}")), "{name}");
    }
    let other = place.run("run tiny.toml --out other --seed 6 --json").json();
    assert_ne!(other["metrics"]["nll"], result["metrics"]["nll"]);
    assert_eq!(other["seed"], 6);
    // Measured again, the run has the same numbers.
    let evaluated = place.run("evaluate run --json").json();
    checked(&evaluated);
    assert_eq!(evaluated["metrics"]["nll"], result["metrics"]["nll"]);
}

#[test]
fn metrics_have_the_names_of_their_targets() {
    let place = Place::new();
    let short = "--set training.steps=2 --set training.batch=8 --set evaluation.samples=8 --json";
    let digits = "--set evaluation.draws=1 --set evaluation.importance_samples=2";
    let result = place.run(&format!("run digits-vae {digits} {short} --out vae")).json();
    has(
        &checked(&result),
        &[
            "nll",
            "nll_se",
            "bits_per_dim",
            "bits_per_dim_se",
            "bits_per_dim_gaussian",
            "bits_per_dim_histogram",
        ],
    );
    let ode = "--set evaluation.ode_steps=2 --set evaluation.draws=1";
    for (recipe, probes) in
        [("spirals-diffusion", 0), ("digits-latent-diffusion", 1), ("digits-diffusion", 1)]
    {
        let sets =
            format!("{ode} --set evaluation.ode_probes={probes} --set evaluation.sample_metrics=false");
        let result = place.run(&format!("run {recipe} {sets} {short} --out {recipe}")).json();
        has(&checked(&result), &["nll", "nll_ode", "nll_ode_se"]);
        assert!(result["metrics"]["nll_ode"].as_f64().expect("finite") > 0.0, "{recipe}");
    }
    let result = place.run(&format!("run funnel-flow --set evaluation.paths=50 {short} --out funnel")).json();
    has(
        &checked(&result),
        &["elbo", "elbo_se", "eubo", "eubo_se", "log_z", "log_z_se", "log_z_exact", "ess"],
    );
    assert_eq!(result["metrics"]["log_z_exact"], 0.0);
    let result = place.run(&format!("run hypergrid --set evaluation.paths=50 {short} --out grid")).json();
    let names = checked(&result);
    has(
        &names,
        &["tv", "l1", "jsd", "elbo", "elbo_se", "eubo", "eubo_se", "log_z", "log_z_se", "log_z_exact"],
    );
    has(&names, &["log_z_learned", "ess", "mean_length", "modes", "modes_found"]);
    has(&keys(&result["timings"]), &["seconds_per_sample", "steps_per_second", "trajectories_per_second"]);
    assert_eq!(result["parameters"], 75_525, "two hidden layers of 256 between 32 features and 5 outputs");
    let exact = result["metrics"]["log_z_exact"].as_f64().expect("a number");
    assert!((exact - 65.6f64.ln()).abs() < 1e-9);
}

#[test]
fn a_comparison_is_one_object_of_runs() {
    let place = Place::tiny();
    place.write("wide.toml", TINY.replace("\"tiny\"", "\"wide\"").replace("hidden = [3]", "hidden = [5]"));
    let result = place.run("compare tiny.toml wide.toml --out both --json").json();
    assert_eq!(keys(&result), ["runs", "variants", "out"]);
    let runs = result["runs"].as_array().expect("a list");
    runs.iter().for_each(|run| drop(checked(run)));
    let names: Vec<&Value> = runs.iter().map(|run| &run["recipe"]).collect();
    assert_eq!(names, ["tiny", "wide"]);
    let alone = place.run("run tiny.toml --out run --json").json();
    assert_eq!(alone["metrics"]["nll"], runs[0]["metrics"]["nll"], "company changes nothing");
    // The same command finds the runs done.
    let again = place.run("compare tiny.toml wide.toml --out both --json").json();
    assert_eq!(again["runs"][1]["metrics"]["nll"], runs[1]["metrics"]["nll"]);
    let message = place.run("compare tiny.toml wide.toml --seed 9 --out both --json").refused(2);
    assert!(message.starts_with("--out both/tiny: found a directory that holds a run already"), "{message}");
}

#[test]
fn lists_and_schema_are_json_too() {
    let place = Place::new();
    let recipes = place.run("list --json").json();
    let names: Vec<&str> =
        recipes["recipes"].as_array().expect("a list").iter().filter_map(|r| r["name"].as_str()).collect();
    assert!(names.contains(&"digits-diffusion") && names.len() >= 11, "{names:?}");
    let schema: Value = serde_json::from_str(&place.run("schema").done().stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for key in ["steps", "batch", "checkpoint_every"] {
        assert_eq!(schema["$defs"]["TrainingRecipe"]["properties"][key]["type"], "integer");
    }
    assert_eq!(schema["$defs"]["OptimizerRecipe"]["properties"]["learning_rate"]["type"], "number");
}

#[test]
fn without_json_a_table_is_all_that_is_said() {
    let place = Place::tiny();
    for command in ["run tiny.toml --out run", "resume run", "evaluate run"] {
        let text = place.run(command).done().stdout;
        assert!(text.lines().any(|line| line.starts_with("nll ")), "{text}");
    }
}
