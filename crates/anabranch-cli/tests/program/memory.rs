//! Training needs no more memory at its ten-thousandth step than at its two-thousandth; memory that is not there is said to be missing.
#![cfg(target_os = "linux")]

use std::process::Stdio;

use crate::support::{KINDS, Place, signal, wait_for};

/// Resident memory in kilobytes.
fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a living process");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("kilobytes")
}

#[test]
fn memory_is_flat_over_ten_thousand_steps() {
    KINDS.into_iter().for_each(is_flat);
}

fn is_flat(recipe: &str) {
    let place = Place::with(recipe);
    let mut child = place.spawn(
        "run tiny.toml --out run --set training.steps=10000000 --set training.evaluate_every=500 \
         --set training.checkpoint_every=500 --set training.log_every=100",
    );
    let process = child.id();
    let reached = |step: u64| {
        let name = format!("step-{:010}.safetensors", step);
        move |place: &Place| place.checkpoints("run").last().is_some_and(|newest| *newest >= name)
    };
    let mut at = |step| {
        wait_for(&mut child, || reached(step)(&place));
        resident(process)
    };
    let (early, late) = (at(2000), at(10_000));
    signal(&child, "INT");
    assert_eq!(child.wait().expect("a child").code(), Some(130));
    assert!(late < early + 3000, "{early} kB at step 2000, {late} kB at step 10000");
}

/// From far too little on to enough.
#[test]
fn memory_that_is_not_there_is_said_to_be_missing() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_anabranch");
    let mut missing = 0;
    for megabytes in (100..).step_by(25) {
        let run = format!(
            "ulimit -v {}; exec {program} run digits-vae --out run-{megabytes} --set training.steps=2 --set evaluation.draws=1",
            1024 * megabytes
        );
        let mut command = place.through("sh", ["-c", &run]);
        let ended = command.env("RAYON_NUM_THREADS", "2").stdout(Stdio::null()).output().expect("it starts");
        let message = String::from_utf8_lossy(&ended.stderr);
        match ended.status.code() {
            Some(0) => break,
            Some(1 | 2) => missing += usize::from(message.contains("no memory for")),
            other => panic!("{other:?} with {megabytes} MB: {message}"),
        }
        assert!(megabytes < 2000, "{message}");
    }
    assert!(missing > 0);
}
