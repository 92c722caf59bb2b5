//! Sequential Monte Carlo from outside: a run that is killed among its stages goes on from the last one that was written, and measures
//! what it would have measured.

use std::time::Duration;

use crate::support::{Ended, Place, signal, wait_for};

/// A chain of kernels that has nothing to train; enough of it to be killed in.
const PARTICLES: &str = r#"name = "particles"
seed = 3

[target]
kind = "energy"
energy = { kind = "many-well", dimension = 8 }

[[model]]
kind = "annealing"
steps = 10
kernel = { kind = "hmc", leapfrogs = 3 }
warm_up = 4

[smc]
particles = 1200
repeats = 4
checkpoint_every = 1

[evaluation]
paths = 1000
samples = 2000
sample_metrics = false
"#;

/// What must be as if nothing had happened.
const RESULTS: [&str; 3] = ["result.json", "smc.csv", "samples.npy"];

const MEASURED: &str = "run/measured.safetensors";

#[test]
fn killed_among_its_stages_a_run_measures_the_same() {
    for how in ["threshold = 0.5", "waste_free = 4", "persistent = true"] {
        let place = Place::new();
        place.write("t.toml", PARTICLES.replace("repeats = 4", &format!("repeats = 4\n{how}")));
        place.run("run t.toml --out whole --json").json();
        assert!(!place.path("whole/measured.safetensors").exists(), "it was for resuming alone");
        let kept = || place.path(MEASURED).exists().then(|| place.read(MEASURED));
        let mut child = place.spawn("run t.toml --out run --json");
        for kill in 0..6 {
            let before = kept();
            let mut ended = false;
            while kept() == before && !ended {
                std::thread::sleep(Duration::from_millis(1));
                ended = child.try_wait().expect("a child").is_some();
            }
            assert!(!ended, "{how}: it ended before kill {kill}");
            // Now and then in the midst of a file.
            std::thread::sleep(Duration::from_micros(1700 * kill));
            signal(&child, "KILL");
            child.wait().expect("a child");
            child = place.spawn("resume run --json");
        }
        let ended: Ended = child.wait_with_output().expect("a child").into();
        ended.json();
        for name in RESULTS {
            let (own, whole) = (place.read(&format!("run/{name}")), place.read(&format!("whole/{name}")));
            assert!(own == whole, "{how}: another {name}");
        }
        assert!(!place.path(MEASURED).exists());
    }
}

/// The bytes of what finished runs have found, in a file of measures that are under way.
fn repeats(measured: &[u8]) -> u64 {
    let (length, rest) = measured.split_first_chunk::<8>().expect("the header's length");
    let header = &rest[..u64::from_le_bytes(*length) as usize];
    let header: serde_json::Value = serde_json::from_slice(header).expect("a header of JSON");
    let offsets = &header["smc log_z"]["data_offsets"];
    offsets[1].as_u64().unwrap_or(0) - offsets[0].as_u64().unwrap_or(0)
}

#[test]
fn a_stop_while_kernels_are_tuned_says_what_is_kept() {
    let place = Place::new();
    // Long enough for the signal to come in time.
    place.write(
        "t.toml",
        PARTICLES.replace("warm_up = 4", "warm_up = 60").replace("steps = 10", "steps = 20000"),
    );
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = place.spawn(&format!("run t.toml --out {name}"));
        wait_for(&mut child, || place.path(&format!("{name}/recipe.toml")).exists());
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, name);
        let ended: Ended = child.wait_with_output().expect("a child").into();
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let advice = format!("stopped; go on with: anabranch resume {name}");
        assert!(ended.stderr.contains("stopped while kernels were tuned"), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().last(), Some(&*advice));
        let mut child = place.spawn(&format!("resume {name}"));
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, name);
        assert_eq!(child.wait().expect("a child").code(), Some(code), "it begins with it again");
    }
}

#[test]
fn a_stop_writes_the_particles_and_damage_to_them_counts_for_nothing() {
    let place = Place::new();
    place.write("t.toml", PARTICLES.replace("checkpoint_every = 1", "checkpoint_every = 0"));
    place.run("run t.toml --out whole --json").json();
    // Long enough for the signal to come in time.
    let long = "--set smc.repeats=100000";
    let mut child = place.spawn(&format!("run t.toml --out run {long}"));
    wait_for(&mut child, || place.path("run/smc.csv").exists());
    signal(&child, "INT");
    let ended: Ended = child.wait_with_output().expect("a child").into();
    assert_eq!(
        (ended.code, ended.stderr.lines().last()),
        (Some(130), Some("stopped; go on with: anabranch resume run"))
    );
    let first = place.read(MEASURED);
    let mut child = place.spawn("resume run");
    wait_for(&mut child, || place.read(MEASURED) != first);
    signal(&child, "INT");
    child.wait().expect("a child");
    assert!(repeats(&place.read(MEASURED)) >= repeats(&first), "it went on from there");
    // Of another run, torn, or flipped in a bit: the whole is measured again.
    let foreign = place.read(MEASURED);
    let torn = foreign[..foreign.len() / 2].to_vec();
    for content in [foreign, torn, b"nothing".to_vec()] {
        place.write("whole/measured.safetensors", content);
        let before = RESULTS.map(|name| place.read(&format!("whole/{name}")));
        place.run("resume whole --json").json();
        assert!(RESULTS.map(|name| place.read(&format!("whole/{name}"))) == before);
        assert!(!place.path("whole/measured.safetensors").exists());
    }
}
