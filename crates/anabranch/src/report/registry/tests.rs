//! The list against the sources that write metrics, and against the book.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

/// The sources below `path`, without their tests.
fn sources(path: &Path) -> Vec<String> {
    let text = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
    };
    if path.is_file() {
        return vec![text(path)];
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "rs"))
        .flat_map(|path| sources(&path))
        .collect()
}

/// The words in quotes that stand where a name of a metric does: before a comma or `.to_owned()`, and not as the name of a
/// task, a weight or a field of a log, or as a verb.
fn names_in(text: &str) -> Vec<String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let elsewhere = ["observer,", "begin(", "line.insert(", "from_iter([(", "vec![", "io(", "join("];
    let name_at = |place: usize| {
        let (before, rest) = (text[..place].trim_end(), &text[place + 1..]);
        let (name, after) = rest.split_at(rest.find(|c| !letter(c))?);
        let after = after.strip_prefix('"')?.trim_start();
        let stands = after.starts_with(',') || after.starts_with(".to_owned()");
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase()) && stands;
        (is_name && !elsewhere.iter().any(|end| before.ends_with(end))).then(|| name.to_owned())
    };
    text.match_indices('"').filter_map(|(place, _)| name_at(place)).collect()
}

/// Every name that the sources of runs write, those of sample metrics, and what rewards and training count.
fn written() -> BTreeSet<String> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names: BTreeSet<String> = BTreeSet::new();
    for text in sources(&here.join("run")).iter().chain(&sources(&here.join("run.rs"))) {
        names.extend(names_in(text));
    }
    for text in sources(&here) {
        for start in ["fn figures(", "fn counted("] {
            let bodies = text.split(start).skip(1).filter_map(|rest| rest.split("\n    }\n").next());
            bodies.for_each(|body| names.extend(names_in(body)));
        }
    }
    let schema = schemars::schema_for!(crate::metric::SampleMetrics);
    let fields = schema.get("properties").and_then(|fields| fields.as_object()).unwrap();
    names.extend(fields.keys().cloned());
    let all = names.clone();
    names.retain(|name| name.strip_suffix("_se").is_none_or(|base| !all.contains(base)));
    names
}

#[test]
fn every_written_name_is_known_and_every_known_one_is_written() {
    let known: BTreeSet<String> = known_metrics().map(str::to_owned).collect();
    assert_eq!(known.len(), known_metrics().count(), "a name stands twice");
    let written = written();
    let missing: Vec<_> = written.difference(&known).collect();
    let idle: Vec<_> = known.difference(&written).collect();
    assert!(missing.is_empty() && idle.is_empty(), "not in the list: {missing:?}; never written: {idle:?}");
}

/// The page's list of all metrics is the one above, and its tables name no others. To write the list anew, run this test with
/// `UPDATE_DOCS=1`.
#[test]
fn the_book_lists_the_metrics() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/estimates.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- all metrics -->\n", "<!-- end of all metrics -->");
    let (head, rest) = page.split_once(start).expect("the page has a list");
    let (list, tail) = rest.split_once(end).expect("the list has an end");
    let mut expected = String::from("| name | unit | better | meaning |\n|---|---|---|---|\n");
    for (name, label, unit, better, meaning) in known() {
        let better = match better {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Neither => "",
        };
        let meaning = meaning.replace('|', "\\|");
        expected.push_str(&format!("| `{name}` | {unit} | {better} | {label}. {meaning} |\n"));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{start}{expected}{end}{tail}")).unwrap();
    } else {
        assert_eq!(list, expected, "run this test with UPDATE_DOCS=1");
    }
    // `seconds` stands beside the metrics in result.json.
    let known: BTreeSet<&str> = known_metrics().chain(["seconds"]).collect();
    for line in head.lines().chain(tail.lines()).filter(|line| line.starts_with("| `")) {
        let first = line.split('|').nth(1).unwrap_or_default();
        for name in first.split('`').skip(1).step_by(2) {
            assert!(known.contains(name), "{name} is no metric: {line}");
        }
    }
}

#[test]
fn metrics_stand_under_their_heading() {
    assert_eq!(group("nll"), GROUPS[0].0);
    assert_eq!(
        (group("log_z"), group("c2st"), group("some_new_metric")),
        (GROUPS[1].0, GROUPS[2].0, "Others")
    );
}

#[test]
fn unknown_names_are_made_readable() {
    assert_eq!(describe("some_new_metric").label, "Some new metric");
    assert_eq!(describe("ess").better, Better::Higher);
}
