//! What the program says, word for word. After a wanted change: `INSTA_UPDATE=always cargo test`, and read the diff.

use insta::assert_snapshot;

use crate::support::{Place, TINY};

fn names(place: &Place) -> Vec<String> {
    let text = place.run("list").done().stdout;
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn help() {
    let place = Place::new();
    assert_snapshot!("help", place.run("--help").done().stdout);
    let commands = [
        "new",
        "run",
        "resume",
        "sample",
        "evaluate",
        "compare",
        "propose",
        "list",
        "explain",
        "cite",
        "schema",
        "completions",
        "man",
    ];
    for command in commands {
        assert_snapshot!(format!("help-{command}"), place.run(&format!("{command} --help")).done().stdout);
    }
}

#[test]
fn list() {
    assert_snapshot!("list", Place::new().run("list").done().stdout);
}

#[test]
fn explain() {
    let place = Place::new();
    for name in names(&place) {
        let ended = place.run(&format!("explain {name}"));
        // Some read files that do not come with the program, two begin at another run; they say how to get it.
        let text = match name.as_str() {
            "tfbind8"
            | "qm9-blocks"
            | "brownian-smc"
            | "digits-posterior"
            | "words-autoregressive"
            | "words-masked"
            | "shakespeare-masked"
            | "mnist-masked"
            | "mnist-eb-gfn"
            | "tunes-sddm" => ended.refused(2),
            _ => ended.done().stdout,
        };
        assert_snapshot!(format!("explain-{name}"), text);
    }
}

#[test]
fn cite() {
    let place = Place::new();
    for name in names(&place) {
        assert_snapshot!(format!("cite-{name}"), place.run(&format!("cite {name}")).done().stdout);
    }
}

#[test]
fn schema() {
    assert_snapshot!("schema", Place::new().run("schema").done().stdout);
}

#[test]
fn messages() {
    let place = Place::tiny();
    place.write("typo.toml", TINY.replace("steps = 30", "stepz = 30"));
    place.write("broken.toml", "name = \"x\"\n[target\n");
    place.write("cells.csv", "x,y\n1,2\n3,none\n");
    place.write(
        "cells.toml",
        TINY.replace("kind = \"toy\"\nname = \"moons\"\nrows = 50", "kind = \"table\"\nfile = \"cells.csv\""),
    );
    place.run("run tiny.toml --out run --json").json();
    let mut text = String::new();
    for arguments in [
        "run moon-flow",
        "run typo.toml",
        "run broken.toml",
        "run cells.toml",
        "run tiny.toml --set training.stepz=5",
        "run tiny.toml --set training.steps=many",
        "run tiny.toml --set model.0.hidden=[65536,65536]",
        "run tiny.toml --set optimizer.kind=adm",
        "run tiny.toml --seed x",
        "run tiny.toml --out run",
        "run tiny.toml --out tiny.toml/run",
        "run --jsn tiny.toml",
        "resume nowhere",
        "sample run --count 0",
        "sample run --count 3 --format nyp",
        "sample run --count 3 --out tiny.toml",
        "new tiny.toml",
        "new cells.csv --model flaw",
        "completions zsch",
        "evaluate run --data cells.csv",
        "compare tiny.toml tiny.toml",
        "explain moon-flow",
        "lst",
    ] {
        let ended = place.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments}");
        text += &format!("$ anabranch {arguments}\n{}\n", ended.stderr.trim_end());
    }
    assert_snapshot!("messages", text);
}
