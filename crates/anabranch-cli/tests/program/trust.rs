//! Whose reward programs start.

use crate::support::{GRID, Place};

/// Answers how far objects are from the origin, and leaves a file when it starts.
const REWARD: &str = r#"import json, re, sys
open("started", "w").close()
for line in sys.stdin:
    objects = json.loads(line)["objects"]
    rewards = [-0.5 * sum(map(int, re.findall(r"\d+", x))) for x in objects]
    print(json.dumps({"log_rewards": rewards}), flush=True)
"#;

/// A run of a grid whose reward is a program's.
fn trained() -> Place {
    let place = Place::new();
    place.write("reward.py", REWARD);
    let reward =
        "\n[target.reward]\nkind = \"process\"\ncommand = [\"python3\", \"reward.py\"]\n\n[policy.network]";
    place.write("grid.toml", GRID.replacen("\n[policy.network]", reward, 1));
    let run = "run grid.toml --out run";
    let ended = place.command(run).env("XDG_STATE_HOME", place.path("state")).output().expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(place.path("started").exists());
    std::fs::remove_file(place.path("started")).unwrap();
    place
}

/// The exit code of a command, and what it says on its standard error.
fn ended(place: &Place, state: &str, arguments: &str) -> (Option<i32>, String) {
    let ended =
        place.command(arguments).env("XDG_STATE_HOME", place.path(state)).output().expect("it starts");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn a_program_of_somebody_elses_run_starts_only_where_it_may() {
    let place = trained();
    for command in ["evaluate run", "resume run", "sample run --count 4 --refine importance"] {
        let (code, message) = ended(&place, "other", command);
        assert_eq!(code, Some(2), "{command}: {message}");
        assert!(
            message.contains("run: found a run that was not made here, whose recipe starts \"python3 reward.py\"; allowed: it with --allow-command"),
            "{command}: {message}"
        );
        assert!(!place.path("started").exists(), "{command}");
    }
    // Drawing needs no reward.
    let (code, message) = ended(&place, "other", "sample run --count 4 --out drawn.npy");
    assert_eq!((code, place.path("started").exists()), (Some(0), false), "{message}");
    let (code, message) = ended(&place, "other", "evaluate run --allow-command");
    assert_eq!((code, place.path("started").exists()), (Some(0), true), "{message}");
}

#[test]
fn ones_own_runs_ask_for_nothing_until_they_are_moved() {
    let place = trained();
    let (code, message) = ended(&place, "state", "evaluate run");
    assert_eq!((code, place.path("started").exists()), (Some(0), true), "{message}");
    std::fs::rename(place.path("run"), place.path("moved")).unwrap();
    assert_eq!(ended(&place, "state", "evaluate moved").0, Some(2));
}

/// Whoever made a directory decides what lies in it: nothing in it is waited for, and nothing is written through it.
#[test]
#[cfg(unix)]
fn links_and_pipes_in_a_run_are_refused() {
    use std::os::unix::fs::symlink;

    let place = trained();
    place.write("outside.txt", "mine");
    let outside = place.path("outside.txt");
    let replaced = [
        "report.html",
        "metrics.jsonl",
        "result.json",
        "recipe.toml",
        "checkpoints/step-0000000001.safetensors",
    ];
    for name in replaced {
        let (path, kept) = (place.path("run").join(name), place.path("kept"));
        let there = std::fs::rename(&path, &kept).is_ok();
        for pipe in [false, true] {
            if pipe {
                assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            } else {
                symlink(&outside, &path).unwrap();
            }
            let mut commands = vec!["evaluate run", "resume run", "sample run --count 4 --out drawn.npy"];
            // A directory without a recipe is none of a run.
            commands.extend((name != "recipe.toml").then_some("compare run run"));
            for command in commands {
                let (code, message) = ended(&place, "state", command);
                let kind = if pipe { "a pipe" } else { "a link" };
                let expected = format!("run/{name}: found {kind}");
                assert_eq!(code, Some(2), "{command}: {message}");
                assert!(message.contains(&expected), "{command}: {message}");
            }
            std::fs::remove_file(&path).unwrap();
        }
        if there {
            std::fs::rename(&kept, &path).unwrap();
        }
    }
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "mine");
    // Nor does a new run write through what leads nowhere yet.
    std::fs::create_dir(place.path("new")).unwrap();
    symlink(place.path("nowhere"), place.path("new/report.html")).unwrap();
    let (code, message) = ended(&place, "state", "run grid.toml --out new");
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("holds report.html") && !place.path("nowhere").exists(), "{message}");
}
