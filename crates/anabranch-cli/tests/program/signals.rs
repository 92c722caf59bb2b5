//! Ctrl-C and SIGTERM end a run with a checkpoint; SIGKILL at any moment loses nothing that `resume` does not make
//! again, bit for bit.

use std::time::Duration;

use crate::support::{Ended, GRID, KINDS, Place, TINY, signal, wait_for};

/// Endless, and the same at step `N` as a run of `N` steps.
const ENDLESS: &str =
    "--set training.steps=100000000 --set training.evaluate_every=0 --set training.checkpoint_every=100";

/// The step of a run's newest checkpoint.
fn step(place: &Place, run: &str) -> u64 {
    let name = place.checkpoints(run).pop().expect("a checkpoint");
    name.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a step")
}

#[test]
fn a_stopped_run_writes_its_state_and_goes_on_from_there() {
    for (name, code, recipe) in [("INT", 130, TINY), ("TERM", 143, TINY), ("TERM", 143, GRID)] {
        let place = Place::with(recipe);
        let mut reached = 0;
        for command in [format!("run tiny.toml --out run {ENDLESS}"), "resume run".to_owned()] {
            let mut child = place.spawn(&command);
            wait_for(&mut child, || !place.checkpoints("run").is_empty() && step(&place, "run") > reached);
            signal(&child, name);
            let ended: Ended = child.wait_with_output().expect("a child").into();
            assert_eq!(
                (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
                (Some(code), "", "stopped; go on with: anabranch resume run\n")
            );
            assert!(step(&place, "run") > reached, "{name}: every run of the loop gets further");
            reached = step(&place, "run");
            // An uninterrupted run of as many steps is in the same state.
            let whole = format!(
                "run tiny.toml --out whole-{reached} {ENDLESS} --set training.steps={reached} --json"
            );
            place.run(&whole).json();
            assert!(place.newest("run") == place.newest(&format!("whole-{reached}")), "{name} at {reached}");
        }
        assert!(!place.path("run/result.json").exists());
    }
}

#[test]
fn a_signal_while_the_run_is_measured_ends_it_too() {
    KINDS.into_iter().for_each(stops_while_measured);
}

fn stops_while_measured(recipe: &str) {
    let place = Place::with(recipe);
    // Measuring takes far longer than training.
    let mut child = place.spawn("run tiny.toml --out run --set evaluation.samples=50000000 --json");
    wait_for(&mut child, || place.checkpoints("run").iter().any(|name| name.contains("0000000030")));
    signal(&child, "INT");
    let ended: Ended = child.wait_with_output().expect("a child").into();
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(130), "", "stopped; go on with: anabranch resume run\n")
    );
    let left = place.files("run");
    assert!(left.iter().all(|name| !name.ends_with(".part") && name != "result.json"), "{left:?}");
    place.run("sample run --count 3").done();
}

#[test]
fn a_stopped_comparison_goes_on_by_the_same_command() {
    let place = Place::tiny();
    place.write(
        "second.toml",
        TINY.replace("\"tiny\"", "\"second\"")
            .replace("evaluate_every = 10", "evaluate_every = 0")
            .replace("steps = 30", "steps = 100000000"),
    );
    let mut child = place.spawn("compare tiny.toml second.toml --out both");
    wait_for(&mut child, || !place.checkpoints("both/second").is_empty());
    signal(&child, "TERM");
    let ended: Ended = child.wait_with_output().expect("a child").into();
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(143), "stopped; go on with: the same command and --out both\n")
    );
    let reached = step(&place, "both/second");
    let mut child = place.spawn("compare tiny.toml second.toml --out both");
    wait_for(&mut child, || step(&place, "both/second") > reached);
    signal(&child, "KILL");
    child.wait().expect("a child");
}

/// A fixed sequence that looks like chance (Knuth's linear congruence).
fn chance(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn killed_at_any_moment_a_run_ends_as_if_it_never_was() {
    // Enough steps for as many kills.
    for (recipe, steps) in [(TINY, 400), (GRID, 1500)] {
        ends_as_if_never_killed(recipe, steps);
    }
}

fn ends_as_if_never_killed(recipe: &str, steps: u32) {
    let place = Place::new();
    place.write(
        "t.toml",
        recipe
            .replace("steps = 30", &format!("steps = {steps}"))
            .replace("checkpoint_every = 4", "checkpoint_every = 3"),
    );
    place.run("run t.toml --out whole --json").json();
    let mut state = 20_240_229;
    let mut kills = 0;
    loop {
        let begun = place.path("run/recipe.toml").exists();
        let mut child = place.spawn(if begun { "resume run --json" } else { "run t.toml --out run --json" });
        // Short at first, so that the very beginning is hit; longer and longer, so that it ends.
        let wait = 0.3 * chance(&mut state) * f64::from(kills + 2) / 25.0;
        std::thread::sleep(Duration::from_secs_f64(wait));
        if kills == 60 {
            let ended: Ended = child.wait_with_output().expect("a child").into();
            ended.json();
            break;
        }
        if child.try_wait().expect("a child").is_some() {
            let ended: Ended = child.wait_with_output().expect("a child").into();
            ended.json();
            break;
        }
        signal(&child, "KILL");
        child.wait().expect("a child");
        kills += 1;
    }
    assert!(kills >= 5, "{kills} kills");
    assert!(place.newest("run") == place.newest("whole"), "after {kills} kills");
    assert_eq!(place.metrics("run"), place.metrics("whole"));
    assert!(place.read("run/recipe.toml") == place.read("whole/recipe.toml"));
    assert!(place.read("run/samples.npy") == place.read("whole/samples.npy"));
    // Each process has an event file of its own.
    let files = |run| {
        let mut files = place.files(run);
        files.retain(|name| !name.starts_with("tensorboard/"));
        files
    };
    assert_eq!(files("run"), files("whole"), "nothing torn is left");
}
