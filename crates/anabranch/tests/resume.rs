//! Law 8: k steps, stop, resume, k steps are 2k steps, bit for bit; and what damage does.

use std::path::{Path, PathBuf};

use anabranch::recipe::{Override, Recipe, named};
use anabranch::run::{Ending, Observer, Run, Silent};
use anabranch::train::StepInfo;

fn recipe(name: &str) -> Recipe {
    let mut sets = vec![
        "training.steps=12",
        "training.batch=32",
        "training.checkpoint_every=4",
        "training.evaluate_every=3",
    ];
    if name == "moons-flow" {
        sets.push("target.rows=200");
    }
    if name == "funnel-fab" {
        sets.extend(["objective.least=100", "objective.buffer=300", "objective.levels=2"]);
    }
    let overrides: Vec<Override> =
        sets.iter().map(|set| Override::parse(set).expect("an override")).collect();
    named(name, &overrides).expect("an embedded recipe")
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("anabranch-resume-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

struct StopAfter {
    steps: u64,
    seen: u64,
}

impl Observer for StopAfter {
    fn step(&mut self, info: &StepInfo) {
        self.seen = info.step;
    }

    fn stop(&self) -> bool {
        self.seen >= self.steps
    }
}

fn last_checkpoint(run: &Path) -> (PathBuf, Vec<u8>) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(run.join("checkpoints"))
        .expect("checkpoints")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let newest = files.pop().expect("a checkpoint");
    let bytes = std::fs::read(&newest).expect("a readable checkpoint");
    (newest, bytes)
}

#[test]
fn law_8_a_stopped_run_resumes_bit_for_bit() {
    for name in [
        "digits-diffusion",
        "digits-vae",
        "moons-flow",
        "funnel-flow",
        "digits-latent-diffusion",
        "hypergrid",
        "double-well-snf",
        "funnel-craft",
        "funnel-fab",
        "rbm-digits",
        "ising-eb-gfn",
    ] {
        let (whole, parts) = (directory(&format!("{name}-whole")), directory(&format!("{name}-parts")));
        let run = Run::create(&whole, recipe(name)).expect("a run");
        assert_eq!(run.train(&mut Silent).expect("trains"), Ending::Finished);
        let run = Run::create(&parts, recipe(name)).expect("a run");
        let mut stop = StopAfter { steps: 7, seen: 0 };
        assert_eq!(run.train(&mut stop).expect("trains"), Ending::Interrupted);
        let run = Run::open(&parts).expect("the run opens");
        assert_eq!(run.train(&mut Silent).expect("trains"), Ending::Finished);
        assert!(last_checkpoint(&whole).1 == last_checkpoint(&parts).1, "{name}: the checkpoints differ");
        for directory in [whole, parts] {
            std::fs::remove_dir_all(directory).expect("the test's own directory");
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let path = directory("damage");
    let run = Run::create(&path, recipe("moons-flow")).expect("a run");
    run.train(&mut Silent).expect("trains");
    let (newest, bytes) = last_checkpoint(&path);
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    for content in [damaged, bytes[..bytes.len() / 3].to_vec(), b"something else".to_vec(), Vec::new()] {
        std::fs::write(&newest, content).expect("writable");
        let run = Run::open(&path).expect("the run opens");
        assert_eq!(run.train(&mut Silent).expect("the one before is whole"), Ending::Finished);
        assert!(
            last_checkpoint(&path).1 == bytes,
            "training again from the one before ends in the same state"
        );
    }
    for entry in std::fs::read_dir(path.join("checkpoints")).expect("checkpoints").flatten() {
        std::fs::write(entry.path(), b"nothing whole").expect("writable");
    }
    let error =
        Run::open(&path).expect("the run opens").train(&mut Silent).expect_err("no checkpoint is whole");
    assert!(error.is_input() && error.to_string().contains("damaged"), "{error}");
    std::fs::remove_dir_all(path).expect("the test's own directory");
}

#[test]
fn a_run_is_not_written_over() {
    let path = directory("twice");
    Run::create(&path, recipe("moons-flow")).expect("a run");
    let Err(error) = Run::create(&path, recipe("moons-flow")) else { panic!("the directory holds a run") };
    assert!(error.is_input() && error.to_string().contains("anabranch resume"), "{error}");
    std::fs::remove_dir_all(path).expect("the test's own directory");
}
