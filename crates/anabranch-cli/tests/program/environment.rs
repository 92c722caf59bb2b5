//! Environments by another program: the book's example is the hypergrid bit for bit, and wrong programs are told from right ones.

use crate::support::Place;

/// The book's example and its recipe.
const GRID: &str = include_str!("../../../../docs/src/hypergrid.py");
const RECIPE: &str = include_str!("../../../../docs/src/own-grid.toml");

/// A part of the example, and what stands in its place.
type Edit = (&'static str, &'static str);

/// The example with edits, each of a part that must be there, and fewer trajectories.
fn place(edits: &[Edit]) -> Place {
    let mut text = GRID.to_owned();
    for (part, by) in edits {
        assert!(text.contains(part), "{part}");
        text = text.replacen(part, by, 1);
    }
    let place = Place::new();
    place.write("hypergrid.py", text);
    place.write("grid.toml", recipe());
    place
}

fn recipe() -> String {
    RECIPE.replacen("trajectories = 16000", "trajectories = 3200", 1)
}

/// The recipe of the same grid, built in.
fn built_in() -> String {
    let target = "kind = \"hypergrid\"\ndim = 2\nside = 8\n\
                  reward = { kind = \"original\", r0 = 0.1, r1 = 0.5, r2 = 2.0 }";
    recipe().replacen("kind = \"process\"\ncommand = [\"python3\", \"hypergrid.py\"]", target, 1)
}

#[test]
fn the_example_learns_what_the_built_in_grid_learns() {
    let place = place(&[]);
    place.write("built-in.toml", built_in());
    let theirs = place.run("run grid.toml --out theirs --json --quiet").json();
    let own = place.run("run built-in.toml --out own --json --quiet").json();
    assert_eq!(theirs["parameters"], own["parameters"]);
    // Log Z is a closed form there and a sum here.
    for name in ["tv", "l1", "jsd", "log_z_learned", "elbo", "log_z", "ess", "mean_length", "pearson"] {
        assert!(own["metrics"][name].is_number(), "{name}");
        assert_eq!(theirs["metrics"][name], own["metrics"][name], "{name}");
    }
    let exact = |run: &serde_json::Value| run["metrics"]["log_z_exact"].as_f64().unwrap();
    assert!((exact(&theirs) - exact(&own)).abs() < 1e-12);
    assert_eq!(place.read("theirs/samples.npy"), place.read("own/samples.npy"));
    // What a clock decides stands apart, and all 64 states are soon known.
    let calls = theirs["timings"]["environment_calls"].as_u64().unwrap();
    assert!((10..1000).contains(&calls), "{calls}");
    assert!(theirs["timings"]["seconds_per_call"].as_f64().unwrap() > 0.0);
    let result = String::from_utf8(place.read("theirs/result.json")).unwrap();
    assert!(!result.contains("_call"), "{result}");
    // And it can be gone on with: drawn from, and evaluated.
    let drawn = place.run("sample theirs --count 5 --seed 3 --format csv --out theirs.csv");
    assert_eq!(drawn.code, Some(0), "{}", drawn.stderr);
    place.run("sample own --count 5 --seed 3 --format csv --out own.csv");
    let objects = |name: &str| -> Vec<String> {
        let text = String::from_utf8(place.read(name)).unwrap();
        // Another program's log-rewards are left out.
        text.lines().skip(1).map(|line| line.split('"').nth(1).expect("quoted").to_owned()).collect()
    };
    assert_eq!(objects("theirs.csv"), objects("own.csv"));
    let again = place.run("evaluate theirs --json");
    assert_eq!(again.code, Some(0), "{}", again.stderr);
}

/// Whatever objectives and laws of removals there are, on a grid of another reward.
#[test]
fn other_objectives_and_rewards_work_on_it() {
    let place = place(&[("2, 8,", "2, 4,")]);
    place.write("built-in.toml", built_in().replacen("side = 8", "side = 4", 1));
    let formula = "--set target.reward={kind=\"expression\",log_reward=\"-(x0-1)^2/2+sin(x1)\"}";
    for set in [
        "--set objective.kind=\"flow-matching\" --set policy.backward=\"implied\"",
        "--set objective.kind=\"detailed-balance\" --set policy.backward=\"maximum-entropy\"",
        "--set objective.kind=\"sub-trajectory-balance\" --set policy.backward=\"uniform\"",
        "--set policy.network={kind=\"table\"}",
        "--set exploration.replay={kind=\"uniform\"}",
        "--set roots={kind=\"listed\"}",
    ] {
        let run = format!("--json --quiet --set training.trajectories=160 {formula} {set}");
        let theirs = place.run(&format!("run grid.toml --out theirs {run}")).json();
        let own = place.run(&format!("run built-in.toml --out own {run}")).json();
        for (name, value) in own["metrics"].as_object().expect("metrics") {
            // The numbers of an empty list of modes apart, all are the same but for the rounding of a closed form.
            if let (Some(own), Some(theirs)) = (value.as_f64(), theirs["metrics"][name].as_f64()) {
                assert!((own - theirs).abs() <= 1e-9 * (1.0 + own.abs()), "{set}, {name}: {own}, {theirs}");
            } else {
                assert!(!theirs["metrics"][name].is_number() || value.is_number(), "{set}, {name}");
            }
        }
        std::fs::remove_dir_all(place.path("theirs")).unwrap();
        std::fs::remove_dir_all(place.path("own")).unwrap();
    }
}

#[test]
fn wrong_programs_are_refused_before_there_is_a_directory() {
    let late = "    import time; time.sleep(60 * ('apply' in question['ask']))\n    answer = {";
    let wrong = "found the environment program \"python3\": ";
    let disagree = "found an environment that does not agree with itself: ";
    let back = "[(moved(s, d, -1), d)";
    let wraps = [
        ("if s[d] + 1 < SIDE]", "if d == 0 or s[d] + 1 < SIDE]"),
        ("(moved(s, d, 1), d) for", "([(s[0] + (d == 0)) % SIDE, s[1] + (d == 1)], d) for"),
        ("if s[d] > 0]", "if d == 0 or s[d] > 0]"),
        (back, "[([(s[0] - (d == 0)) % SIDE, s[1] - (d == 1)], d)"),
    ];
    let large = ("= 2, 8,", "= 2, 2000,");
    let object = "\"object\": lambda q: [s == [7, 7] for s in q[\"states\"]], \"undo\": ";
    let cases: [(&[Edit], &str, &str); 12] = [
        (
            &[("for line in sys.stdin:", "sys.exit('no grid today')\nfor line in sys.stdin:")],
            "found a program that was started 4 times; last, it ended (exit code 1)",
            "no grid today",
        ),
        (&[("    answer = {", late)], wrong, "no answer within 8 s (asked for apply of (0, 0) and 1 others)"),
        (&[("print(json", "print('hello') or print(json")], wrong, "it answered \"hello\", no JSON object"),
        (
            &[("[d * SIDE + x for", "[d * SIDE + x + 1 for")],
            wrong,
            "for (0, 7) it answered feature 16 in features",
        ),
        (
            &[("[d for d in range(DIM) if s[d] > 0]", "[0 for d in range(1) if s[0] > 0]")],
            disagree,
            "(7, 7) has 1 removals, but 2 moves lead to it",
        ),
        (&[(back, "[(moved(s, d, -1), 0)")], disagree, "removal 1 of (7, 7) undoes an impossible move 0"),
        (&[large, (back, "[(moved(s, d, -1), 0)")], disagree, "removal 1 does not undo move 1 from"),
        (&wraps, disagree, "(0, 7) is on a cycle"),
        (&[("DIM * (SIDE - 1)", "9")], disagree, "a walk of 10 moves leads to"),
        (&[large, ("DIM * (SIDE - 1)", "9")], disagree, "a walk made more than 9 moves"),
        (
            &[("\"all\"", "\"some\""), ("\"undo\": ", object), ("SIDE]", "SIDE and s != [3, 4]]")],
            disagree,
            "no object is ahead of (3, 4)",
        ),
        (
            &[("[(moved(s, d, 1), d)", "[(s[d:], d)")],
            wrong,
            "for move 1 at (0, 0) it answered [0], where states are lists of 2 integers",
        ),
    ];
    for (edits, start, words) in cases {
        let place = place(edits);
        let message = place.run("run grid.toml --out run --set target.timeout=8").refused(2);
        let found = message.split("target.command: ").nth(1).unwrap_or_default();
        assert!(found.starts_with(start) && found.contains(words), "{message}");
        assert!(!place.path("run").exists(), "{words}");
    }
}

/// What goes wrong while it learns ends the run with the same messages.
#[test]
fn a_program_that_fails_later_ends_the_run() {
    let reward = "[log_reward(s) for s in q[\"states\"]]";
    for (part, by, words) in [
        (reward, "[log_reward(s) for s in q[\"states\"]][1:]", "entries of log_rewards for"),
        (reward, "sys.exit(4)", "a program that was started 4 times; last, it ended (exit code 4)"),
    ] {
        let place = place(&[(part, by)]);
        let ended = place.run("run grid.toml --out run --quiet");
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn a_program_of_somebody_elses_run_starts_only_where_it_may() {
    let place = place(&[("import json\n", "import json\nopen(\"started\", \"w\").close()\n")]);
    let ended = |state: &str, arguments: &str| {
        let ended = place.command(arguments).env("XDG_STATE_HOME", place.path(state)).output();
        let ended = ended.expect("it starts");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    assert_eq!(ended("state", "run grid.toml --out run --set training.trajectories=160").0, Some(0));
    std::fs::remove_file(place.path("started")).unwrap();
    for command in ["sample run --count 4", "evaluate run", "resume run"] {
        let (code, message) = ended("other", command);
        assert_eq!((code, place.path("started").exists()), (Some(2), false), "{command}: {message}");
        assert!(message.contains("whose recipe starts \"python3 hypergrid.py\"; allowed: it with --allow-command, if you trust that program; nothing can be drawn without it"), "{message}");
    }
    let prior = recipe() + "\n[evaluation]\nsamples = 9\n";
    place.write(
        "grid.toml",
        prior.replacen("[policy]", "[policy]\nprior = \"run\"", 1).replacen(
            "\"trajectory-balance\"",
            "\"relative-trajectory-balance\"",
            1,
        ),
    );
    let (code, message) = ended("other", "explain grid.toml");
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("a run whose environment is another program"), "{message}");
    let (code, message) = ended("other", "sample run --count 4 --allow-command");
    assert_eq!((code, place.path("started").exists()), (Some(0), true), "{message}");
}
