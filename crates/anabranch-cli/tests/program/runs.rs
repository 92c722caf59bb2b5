//! Run directories: going on with a finished run, with one that hardly began, with none, with a damaged one, and two
//! processes in one.

use crate::support::{KINDS, Place, signal, wait_for};

#[test]
fn a_finished_run_is_measured_again() {
    for (recipe, metric) in KINDS.into_iter().zip(["nll", "tv"]) {
        let place = Place::with(recipe);
        let first = place.run("run tiny.toml --out run --json").json();
        let (checkpoints, newest, metrics) =
            (place.checkpoints("run"), place.newest("run"), place.metrics("run"));
        let again = place.run("resume run --json").json();
        assert!(first["metrics"][metric].is_number());
        assert_eq!(again["metrics"][metric], first["metrics"][metric]);
        assert_eq!((place.checkpoints("run"), place.metrics("run")), (checkpoints, metrics));
        assert!(place.newest("run") == newest);
    }
}

#[test]
fn a_run_without_a_checkpoint_begins_anew() {
    for recipe in KINDS {
        begins_anew(&Place::with(recipe));
    }
}

fn begins_anew(place: &Place) {
    place.run("run tiny.toml --out whole --json").json();
    let whole = place.newest("whole");
    // What a kill can leave: torn files, half a log, an empty directory.
    place.run("run tiny.toml --out run --json").json();
    std::fs::remove_dir_all(place.path("run/checkpoints")).expect("made above");
    std::fs::create_dir(place.path("run/checkpoints")).expect("a directory");
    place.write("run/checkpoints/step-0000000004.safetensors.1.part", &whole[..100]);
    place.write("run/metrics.jsonl.1.part", "{");
    place.write("run/metrics.jsonl", "{\"step\":5,\"loss\":1.0}\n{\"st");
    place.run("resume run --json").json();
    assert!(place.newest("run") == whole);
    assert_eq!(place.metrics("run"), place.metrics("whole"));
    assert!(place.files("run").iter().all(|name| !name.ends_with(".part")), "{:?}", place.files("run"));
}

#[test]
fn a_damaged_log_loses_its_damaged_lines_alone() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    let (mut bytes, metrics) = (place.read("run/metrics.jsonl"), place.metrics("run"));
    let second = bytes.iter().position(|byte| *byte == b'\n').expect("lines") + 1;
    bytes[second] = 0xFF;
    place.write("run/metrics.jsonl", bytes);
    place.run("resume run --json").json();
    let kept = place.metrics("run");
    assert_eq!((&kept[0], &kept[1..]), (&metrics[0], &metrics[2..]));
}

#[test]
fn what_is_no_run_is_said_to_be_none() {
    let place = Place::tiny();
    std::fs::create_dir(place.path("empty")).expect("a directory");
    for (directory, reason) in [
        ("empty", "no such file or directory"),
        ("nowhere", "no such file or directory"),
        ("tiny.toml", "not a directory"),
    ] {
        for command in ["resume", "evaluate", "sample --count 3"] {
            let message = place.run(&format!("{command} {directory}")).refused(2);
            assert_eq!(
                message,
                format!(
                    "{directory}: found no recipe.toml ({reason}); allowed: a run directory, as `anabranch run` makes it"
                )
            );
        }
    }
    assert!(place.files("empty").is_empty() && !place.path("nowhere").exists());
}

#[test]
fn a_damaged_recipe_is_noticed_whatever_the_damage() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    let whole = place.read("run/recipe.toml");
    let before = place.files("run");
    let mut cases = vec![Vec::new(), whole[..whole.len() / 2].to_vec(), b"name = \"tiny\"\n".to_vec()];
    for position in (0..whole.len()).step_by(37) {
        let mut flipped = whole.clone();
        flipped[position] ^= 1;
        cases.push(flipped);
    }
    // Still a recipe, but another one.
    let text = String::from_utf8(whole.clone()).expect("UTF-8");
    cases.push(text.replace("seed = 5", "seed = 6").into_bytes());
    for content in cases {
        place.write("run/recipe.toml", &content);
        let message = place.run("resume run").refused(2);
        assert!(message.starts_with("run/recipe.toml: found a "), "{message}");
        assert!(
            message.ends_with(
                "allowed: the file as it was written; to train with other values, start another run"
            )
        );
    }
    place.write("run/recipe.toml", &whole);
    assert_eq!(place.files("run"), before);
    place.run("resume run --json").json();
    // The written recipe is a recipe like any other.
    place.run("run run/recipe.toml --out again --json").json();
    assert!(place.newest("again") == place.newest("run") && place.read("again/recipe.toml") == whole);
}

#[test]
fn a_trained_run_can_be_moved() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    std::fs::create_dir(place.path("other")).expect("a directory");
    std::fs::rename(place.path("run"), place.path("other/run")).expect("one file system");
    place.run("sample other/run --count 3").done();
    place.run("resume other/run --json").json();
}

#[test]
fn two_processes_do_not_train_in_one_directory() {
    let place = Place::tiny();
    let mut child = place.spawn("run tiny.toml --out run --set training.steps=10000000");
    wait_for(&mut child, || !place.checkpoints("run").is_empty());
    for (command, expected) in [
        (
            "resume run",
            "run: found a run that another process works on; allowed: a directory that no other process writes to",
        ),
        (
            "run tiny.toml --out run",
            "--out run: found a directory that holds a run already; allowed: a new directory; or `anabranch resume` to go on with that run",
        ),
    ] {
        assert_eq!(place.run(command).refused(2), expected);
    }
    // To look is allowed.
    place.run("sample run --count 3").done();
    place.run("evaluate run --json").json();
    // However the first one ends, the directory is free again.
    signal(&child, "KILL");
    child.wait().expect("a child");
    let mut child = place.spawn("resume run");
    let reached = place.checkpoints("run");
    wait_for(&mut child, || place.checkpoints("run") > reached);
    signal(&child, "KILL");
    child.wait().expect("a child");
}

#[test]
fn of_processes_that_begin_together_one_has_the_directory() {
    let place = Place::tiny();
    place.run("run tiny.toml --out whole --json").json();
    for round in 0..5 {
        let run = format!("run-{round}");
        let children: Vec<_> =
            (0..4).map(|_| place.spawn(&format!("run tiny.toml --out {run} --json"))).collect();
        let ended: Vec<_> =
            children.into_iter().map(|child| child.wait_with_output().expect("a child")).collect();
        let done = ended.iter().filter(|output| output.status.code() == Some(0)).count();
        let refused = ended.iter().filter(|output| output.status.code() == Some(2)).count();
        assert_eq!((done, refused), (1, 3));
        assert!(place.newest(&run) == place.newest("whole"));
        assert_eq!(place.metrics(&run), place.metrics("whole"));
    }
}

#[test]
fn early_stopping_survives_a_resume() {
    for (recipe, metric) in KINDS.into_iter().zip(["nll", "tv"]) {
        let patient = recipe.replace("steps = 30", "steps = 100000\npatience = 2");
        let fast = patient.replace("schedule = \"constant\"", "learning_rate = 0.5");
        stops_early(&Place::with(&fast), metric);
    }
}

fn stops_early(place: &Place, metric: &str) {
    let first = place.run("run tiny.toml --out run --json").json();
    let newest = place.newest("run");
    let again = place.run("resume run --json").json();
    assert!(first["metrics"][metric].is_number());
    assert_eq!(again["metrics"][metric], first["metrics"][metric]);
    assert_eq!(again["steps"], first["steps"]);
    let name = place.checkpoints("run").pop().expect("a checkpoint");
    let steps = first["steps"].as_u64().expect("a number");
    assert!(steps < 100_000 && name == format!("step-{steps:010}.safetensors"), "{steps}, {name}");
    assert!(place.newest("run") == newest);
}
