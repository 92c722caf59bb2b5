//! Files that cannot grow, as on a full disk: exit code 1, what was there before stays whole, and `resume` ends where
//! the run would have ended.

use crate::support::{Ended, GRID, KINDS, Place, TINY};

/// Files are limited in units of a kilobyte; each test makes the file it is about larger than one.
fn whole(place: &Place, recipe: &str) {
    place.run(&format!("run {recipe} --out whole --json")).json();
}

fn failed(ended: Ended, file: &str) {
    let message = ended.refused(1);
    assert!(message.starts_with("could not write ") && message.ends_with(": file too large"), "{message}");
    assert!(message.contains(file), "{message}");
}

fn no_torn_files(place: &Place, run: &str) {
    let torn: Vec<String> = place.files(run).into_iter().filter(|name| name.ends_with(".part")).collect();
    assert!(torn.is_empty(), "{torn:?}");
}

fn resumes_as_the_whole(place: &Place) {
    place.run("resume run --json").json();
    assert!(place.newest("run") == place.newest("whole"));
    assert_eq!(place.metrics("run"), place.metrics("whole"));
    assert!(place.read("run/samples.npy") == place.read("whole/samples.npy"));
    no_torn_files(place, "run");
}

#[test]
fn a_run_that_cannot_begin_leaves_nothing() {
    let place = Place::tiny();
    failed(place.run_on_full_disk(0, "run tiny.toml --out run --json"), "run/data.json");
    assert!(!place.path("run").exists());
    failed(place.run_on_full_disk(0, "compare tiny.toml --out both --json"), "both/tiny/data.json");
    assert!(place.files("both").is_empty());
    // Of objects nothing is summed up, and the recipe is the first file.
    let place = Place::with(GRID);
    failed(place.run_on_full_disk(0, "run tiny.toml --out run --json"), "run/recipe.toml");
    assert!(!place.path("run").exists());
}

#[test]
fn a_checkpoint_that_does_not_fit_leaves_the_run_resumable() {
    for recipe in KINDS {
        let place = Place::new();
        place.write("t.toml", recipe.replace("hidden = [3]", "hidden = [40, 40]"));
        whole(&place, "t.toml");
        failed(
            place.run_on_full_disk(8, "run t.toml --out run --json"),
            "run/checkpoints/step-0000000004.safetensors",
        );
        no_torn_files(&place, "run");
        assert!(place.checkpoints("run").is_empty());
        resumes_as_the_whole(&place);
    }
}

#[test]
fn a_checkpoint_that_grew_too_large_leaves_the_one_before() {
    let place = Place::new();
    // The objects found so far, which fill the buffer, grow with every step.
    let replay = "[exploration]\nreplay = { kind = \"uniform\", capacity = 1000 }";
    let recipe =
        GRID.replace("[exploration]", replay).replace("ema = 0.9", "ema = 0.9\nkeep_checkpoints = 100");
    place.write("t.toml", recipe);
    whole(&place, "t.toml");
    let names = place.checkpoints("whole");
    let size = |name: &String| place.read(&format!("whole/checkpoints/{name}")).len();
    let kilobytes = size(&names[0]).div_ceil(1024);
    let first = names.iter().position(|name| size(name) > 1024 * kilobytes).expect("one that grew");
    let ended = place.run_on_full_disk(kilobytes, "run t.toml --out run --json");
    failed(ended, &format!("run/checkpoints/{}", names[first]));
    assert_eq!(place.checkpoints("run"), names[..first]);
    resumes_as_the_whole(&place);
}

#[test]
fn a_log_that_cannot_grow_loses_no_step() {
    let place = Place::new();
    // Hundreds of lines, and checkpoints that would fit.
    place.write(
        "t.toml",
        TINY.replace("log_every = 5", "log_every = 1")
            .replace("steps = 30", "steps = 300")
            .replace("checkpoint_every = 4", "checkpoint_every = 20"),
    );
    whole(&place, "t.toml");
    failed(place.run_on_full_disk(8, "run t.toml --out run --json"), "run/");
    assert!(!place.checkpoints("run").is_empty() && place.newest("run") != place.newest("whole"));
    resumes_as_the_whole(&place);
}

#[test]
fn samples_that_do_not_fit_leave_the_old_ones() {
    let place = Place::tiny();
    place.write("t.toml", TINY.replace("samples = 9", "samples = 3000"));
    whole(&place, "t.toml");
    failed(place.run_on_full_disk(20, "run t.toml --out run --json"), "run/samples.npy");
    assert!(!place.path("run/result.json").exists());
    resumes_as_the_whole(&place);
    let before = place.files("run");
    let samples = place.read("run/samples.npy");
    failed(place.run_on_full_disk(20, "evaluate run"), "run/samples.npy");
    failed(place.run_on_full_disk(20, "sample run --count 4000"), "run/samples-4000.npy");
    failed(place.run_on_full_disk(20, "sample run --count 4000 --format csv --out s.csv"), "s.csv");
    assert_eq!(place.files("run"), before);
    assert!(place.read("run/samples.npy") == samples && !place.path("s.csv").exists());
}
