//! What a newcomer meets first: a recipe for a file of data, one from standard input, completions, manual pages, and files that are
//! not written over.

use std::io::Write;
use std::process::Stdio;

use crate::support::{Ended, Place, TINY};

/// Flowers: two columns that depend on each other, a word, and a number that is always the same.
fn flowers() -> String {
    let rows = (0..80).map(|row| {
        let (a, b) = ((f64::from(row) * 0.37).sin(), f64::from(row % 9));
        format!("{:.3},{:.3},setosa,1\n", a + 0.2 * b, b - 0.5 * a)
    });
    std::iter::once("width,height,species,version\n".to_owned()).chain(rows).collect()
}

#[test]
fn a_file_of_data_becomes_a_run_in_two_lines() {
    let place = Place::new();
    place.write("flowers.csv", flowers());
    for model in ["flow", "diffusion", "vae"] {
        assert_eq!(
            place.run(&format!("new flowers.csv --model {model}")).done().stdout,
            format!("flowers-{model}.toml\n")
        );
        let recipe = String::from_utf8(place.read(&format!("flowers-{model}.toml"))).expect("UTF-8");
        assert!(recipe.contains("drop = [\"species\", \"version\"]"), "{recipe}");
        let short = "--set training.steps=4 --set training.batch=8 --set evaluation.samples=30";
        let result = place.run(&format!("run flowers-{model}.toml {short} --out {model} --json"));
        assert!(result.json()["metrics"]["nll"].is_number());
    }
    let message = place.run("new flowers.csv").refused(2);
    assert!(
        message.starts_with("--out flowers-flow.toml: found a file that is there already; allowed: "),
        "{message}"
    );
    let text = place.run("new flowers.csv --out -").done().stdout;
    assert_eq!(text.as_bytes(), place.read("flowers-flow.toml"));
    place.write("words.csv", "a,b\nx,y\nz,w\n");
    assert!(
        place.run("new words.csv").refused(2).starts_with("words.csv, line 2, column \"a\": found \"x\"")
    );
    assert!(!place.path("words-flow.toml").exists());
}

#[test]
fn a_recipe_may_come_from_standard_input() {
    let place = Place::new();
    let run = |text: &str, arguments: &str| -> Ended {
        let mut command = place.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it is read");
        child.wait_with_output().expect("a child").into()
    };
    assert_eq!(run(TINY, "run - --json --out run").json()["recipe"], "tiny");
    place.run("resume run --json").json();
    let message = run(&TINY.replace("steps = 30", "stepz = 30"), "explain -").refused(2);
    assert!(message.starts_with("standard input, line 20, key training.stepz: found \"stepz\""), "{message}");
    // What only the whole plan tells is placed, too.
    let message =
        run(&TINY.replace("\"flow\"", "\"dequantise\""), "explain - --set model.0={kind='dequantise'}")
            .refused(2);
    assert!(message.contains("key model"), "{message}");
}

#[test]
fn shells_and_man_know_every_command() {
    let place = Place::new();
    let commands =
        ["new", "run", "resume", "sample", "evaluate", "compare", "explain", "schema", "completions"];
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&format!("completions {shell}")).done().stdout;
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
        assert!(script.contains("count") && script.contains("refine"), "{shell}");
    }
    let script = place.run("completions bash").done().stdout;
    place.write("script", script);
    let checked = place.through("bash", ["-n", "script"]).output().expect("bash starts");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(place.run("man pages/man1").done().stdout, "pages/man1/anabranch.1\n");
    let pages = place.files("pages/man1");
    assert!(commands.iter().all(|command| pages.contains(&format!("anabranch-{command}.1"))), "{pages:?}");
    assert!(place.run("completions zsch").refused(2).ends_with("did you mean \"zsh\"?"));
    place.write("file", "no directory");
    assert!(place.run("man file").refused(2).starts_with("file: found "));
}

#[test]
fn samples_are_not_written_over_unasked() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    for (out, flag) in [("run/samples-3.npy", ""), ("s.csv", "--out s.csv"), ("s.zarr", "--out s.zarr")] {
        place.run(&format!("sample run --count 3 {flag}")).done();
        let message = place.run(&format!("sample run --count 3 --seed 2 {flag}")).refused(2);
        assert!(
            message.ends_with(&format!(
                "found {out} is there already; allowed: a new path, or --force to write over it"
            )),
            "{message}"
        );
        place.run(&format!("sample run --count 3 --seed 2 --force {flag}")).done();
    }
    // What is no file is no loss.
    if cfg!(target_os = "linux") {
        place.run("sample run --count 3 --format npy --out /dev/null").done();
    }
}

/// A file's names reach the terminal, what they say to it does not.
#[test]
fn names_do_not_command_the_terminal() {
    let place = Place::new();
    let title = "\\u001b[31mred\\u0007";
    place.write("t.toml", TINY.replace("A tiny flow", title));
    let text = place.run("explain t.toml").done().stdout;
    assert!(text.contains("red") && !text.contains(['\u{1b}', '\u{7}']), "{text:?}");
}
