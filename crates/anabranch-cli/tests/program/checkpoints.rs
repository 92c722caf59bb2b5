//! Checkpoints that are truncated, flipped in a bit, of another run or of another program: passed over for the one
//! before, with a note; and a clear end where none is whole.

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};

use crate::support::{GRID, KINDS, Place, TINY};

const NEWEST: &str = "run/checkpoints/step-0000000030.safetensors";

/// What may lie where a checkpoint should, and what is said of it.
fn damages(place: &Place, recipe: &str, whole: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut cases = vec![
        (Vec::new(), "damaged ("),
        (b"something else".to_vec(), "damaged ("),
        (whole[..whole.len() - 1].to_vec(), "damaged ("),
        (whole[..whole.len() / 2].to_vec(), "damaged ("),
        (whole[..3].to_vec(), "damaged ("),
        ([whole, b"more"].concat(), "damaged ("),
    ];
    let flip = |position: usize, bit: u8| {
        let mut bytes = whole.to_vec();
        bytes[position] ^= 1 << bit;
        bytes
    };
    cases.push((flip(0, 0), "damaged ("));
    // The header's length becomes astronomic.
    cases.push((flip(7, 6), "damaged ("));
    cases.push((flip(whole.len() - 1, 6), "damaged (its checksum does not match)"));
    cases.push((flip(whole.len() * 3 / 4, 0), "damaged (its checksum does not match)"));
    // Of another program.
    let numbers = [0u8; 16];
    let view = TensorView::new(Dtype::F32, vec![4], &numbers).expect("four numbers");
    let foreign = |metadata| safetensors::serialize([("weights/w", &view)], metadata).expect("one tensor");
    cases.push((foreign(None), "not a checkpoint of this program"));
    let entry = |text: &str| Some(HashMap::from([("anabranch".to_owned(), text.to_owned())]));
    cases.push((foreign(entry("zero")), "damaged (no checksum)"));
    cases.push((foreign(entry("0 {\"step\": -1}")), "damaged ("));
    // Of other runs.
    place.write("wide.toml", recipe.replace("hidden = [3]", "hidden = [4]"));
    place.write("other.toml", if recipe == TINY { GRID } else { TINY });
    for (arguments, reason) in [
        ("wide.toml", "of another model (weights/"),
        ("other.toml", "of another model ("),
        ("tiny.toml --seed 6", "of another run (its seed is 6, not 5)"),
    ] {
        place.run(&format!("run {arguments} --out other --json")).json();
        cases.push((place.newest("other"), reason));
        std::fs::remove_dir_all(place.path("other")).expect("made above");
    }
    cases
}

#[test]
fn whatever_lies_there_the_run_ends_as_if_it_had_not() {
    KINDS.into_iter().for_each(ends_as_if_it_had_not);
}

fn ends_as_if_it_had_not(recipe: &str) {
    let place = Place::with(recipe);
    place.run("run tiny.toml --out run --json").json();
    assert_eq!(place.checkpoints("run"), ["step-0000000028.safetensors", "step-0000000030.safetensors"]);
    let (whole, metrics, result) = (place.newest("run"), place.metrics("run"), place.read("run/samples.npy"));
    for (content, reason) in damages(&place, recipe, &whole) {
        place.write(NEWEST, &content);
        let ended = place.run("resume run --json");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let note = format!("note: passed over {NEWEST}: {reason}");
        assert!(
            ended.stderr.starts_with(&note) && ended.stderr.lines().count() == 1,
            "{reason}: {}",
            ended.stderr
        );
        assert!(place.read(NEWEST) == whole, "{reason}: the last two steps were not the same");
        assert_eq!(place.metrics("run"), metrics, "{reason}");
        assert!(place.read("run/samples.npy") == result, "{reason}");
    }
}

#[test]
fn a_directory_in_a_checkpoints_place_is_passed_over_too() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    std::fs::create_dir(place.path("run/checkpoints/step-0000000031.safetensors")).expect("a directory");
    let ended = place.run("resume run --json");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("step-0000000031.safetensors: is a directory"), "{}", ended.stderr);
}

#[test]
fn later_foreign_files_do_not_push_out_the_runs_own() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    let whole = place.newest("run");
    for step in ["0000000098", "0000000099"] {
        place.write(&format!("run/checkpoints/step-{step}.safetensors"), b"foreign");
    }
    std::fs::remove_file(place.path(NEWEST)).expect("it was there");
    assert_eq!(place.run("resume run --json").code, Some(0));
    assert!(place.read(NEWEST) == whole);
    assert_eq!(place.checkpoints("run").len(), 4, "two of the run, two that are none of its business");
}

#[test]
fn where_none_is_whole_nothing_is_overwritten() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    for name in place.checkpoints("run") {
        place.write(&format!("run/checkpoints/{name}"), b"nothing whole");
    }
    let before = place.files("run");
    for command in ["resume run", "sample run --count 3", "evaluate run"] {
        let message = place.run(command).refused(2);
        assert!(
            message
                .starts_with("run/checkpoints: found run/checkpoints/step-0000000030.safetensors: damaged ("),
            "{message}"
        );
        assert!(message.contains("step-0000000028.safetensors: damaged ("), "{message}");
        assert!(message.ends_with("allowed: at least one whole checkpoint of this run"), "{message}");
    }
    assert_eq!(place.files("run"), before);
    assert_eq!(place.read(NEWEST), b"nothing whole");
}

#[test]
fn what_reads_a_run_says_which_checkpoint_it_could_not_use() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    place.write(NEWEST, b"");
    for command in ["sample run --count 3", "evaluate run --json"] {
        let ended = place.run(command);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.starts_with("note: passed over "), "{command}: {}", ended.stderr);
    }
}

#[test]
fn checkpoints_of_other_runs_and_steps_are_passed_over() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    place.run("run tiny.toml --set optimizer.learning_rate=0.5 --out other --json").json();
    let (own, foreign) = (place.newest("run"), place.newest("other"));
    let drawn = |out: &str| {
        let ended = place.run(&format!("sample run --count 3 --force --out {out}"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        (place.read(out), ended.stderr)
    };
    let (before, _) = drawn("before.npy");
    let later = "run/checkpoints/step-0000000999.safetensors";
    for (content, reason) in
        [(foreign, "of another run (its recipe is another one)"), (own, "renamed (it holds step 30)")]
    {
        place.write(later, content);
        let (after, message) = drawn("after.npy");
        assert_eq!(after, before);
        assert!(message.starts_with(&format!("note: passed over {later}: {reason}")), "{message}");
    }
}
