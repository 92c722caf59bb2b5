//! Bars with rate and time left where stderr is a terminal, and silence where it is not.
#![cfg(target_os = "linux")]

use crate::support::Place;

/// What a terminal would have been sent, both outputs together.
fn on_terminal(place: &Place, arguments: &str) -> String {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_anabranch"));
    let output = place.through("script", ["-qefc", &line, "/dev/null"]).env("TERM", "xterm").output();
    let output = output.expect("script, of util-linux, starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_stretch_of_work_has_a_bar_on_a_terminal() {
    let place = Place::tiny();
    let text = on_terminal(&place, "run tiny.toml --out run");
    for task in ["tiny: training", "tiny: likelihood", "tiny: samples"] {
        assert!(text.contains(task), "{task}: {text:?}");
    }
    assert!(text.contains("/s ") && text.contains(" left"), "rate and time left: {text:?}");
    assert!(on_terminal(&place, "sample run --count 3").contains("tiny: samples"));
    let text = on_terminal(&place, "compare tiny.toml --out both");
    assert!(text.contains("tiny: training"), "{text:?}");
    let text =
        on_terminal(&place, "run funnel-flow --set training.steps=3 --set evaluation.paths=500 --out funnel");
    for task in ["funnel-flow: forward paths", "funnel-flow: backward paths", "funnel-flow: samples"] {
        assert!(text.contains(task), "{task}: {text:?}");
    }
}

#[test]
fn quiet_is_quiet_on_a_terminal_too() {
    let place = Place::tiny();
    let text = on_terminal(&place, "run tiny.toml --out run --quiet");
    assert!(!text.contains("training") && text.contains("nll"), "{text:?}");
}
