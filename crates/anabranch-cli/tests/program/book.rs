//! The book says what is there: every recipe, command, flag and key of it exists, and every name of a metric or of a function.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anabranch::recipe::library;
use anabranch::report::known_metrics;
use serde_json::Value;

use crate::schema::{marked, schema};
use crate::support::Place;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages of the book and the first ones that anybody reads, by their names.
fn pages() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join("docs/src")).expect("the book").flatten();
    let names = entries.map(|entry| format!("docs/src/{}", entry.file_name().to_string_lossy()));
    let names =
        names.filter(|name| name.ends_with(".md")).chain(["README.md", "CONTRIBUTING.md"].map(str::to_owned));
    names.map(|name| (name.clone(), read(&name))).collect()
}

/// The blocks of a page in a language, and all that stands outside of blocks.
fn blocks(page: &str, language: &str) -> (Vec<String>, String) {
    let (mut found, mut rest) = (Vec::new(), String::new());
    for (index, part) in page.split("```").enumerate() {
        match part.split_once('\n') {
            Some((first, block)) if index % 2 == 1 && first == language => found.push(block.to_owned()),
            _ if index % 2 == 1 => {}
            _ => rest.push_str(part),
        }
    }
    (found, rest)
}

/// What stands in single backticks.
fn quoted(page: &str) -> Vec<String> {
    blocks(page, "").1.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys below a part of a schema, whatever the kind.
fn keys(schema: &Value, part: &Value, found: &mut BTreeSet<String>, depth: usize) {
    if depth == 0 {
        return;
    }
    if let Some(path) = part["$ref"].as_str() {
        keys(schema, schema.pointer(path.trim_start_matches('#')).expect("a definition"), found, depth);
    }
    found.extend(part["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    let below = part["allOf"].as_array().into_iter().flatten().map(|branch| &branch["then"]);
    below.for_each(|branch| keys(schema, branch, found, depth - 1));
}

/// All keys of a schema.
fn all_keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            found
                .extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
            object.values().for_each(|part| all_keys(part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| all_keys(part, found)),
        _ => {}
    }
}

#[test]
fn every_recipe_has_its_line() {
    let page = read("docs/src/recipes.md");
    let table = page.split("## The recipes of the program").nth(1).expect("a section");
    let first = |line: &str| -> Vec<String> {
        let cell = line.split('|').nth(1).unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let listed: BTreeSet<String> =
        table.lines().filter(|line| line.starts_with("| `")).flat_map(first).collect();
    let known: BTreeSet<String> = library().iter().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(listed, known);
    let files = std::fs::read_dir(root().join("recipes")).expect("recipes").flatten();
    let files: BTreeSet<String> = files
        .filter_map(|entry| entry.file_name().to_string_lossy().strip_suffix(".toml").map(str::to_owned))
        .collect();
    assert_eq!(files, known);
}

#[test]
fn every_command_and_flag_is_on_its_page() {
    let (page, place) = (read("docs/src/program.md"), Place::new());
    let help = place.run("--help").done().stdout;
    let commands =
        help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"run") && names.contains(&"man"));
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
        let usage = page.split(&format!("\nanabranch {name}")).nth(1).expect(name);
        let usage = usage.split("\nanabranch ").next().unwrap_or_default();
        let help = place.run(&format!("{name} --help")).done().stdout;
        let flags = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        let flags: BTreeSet<&str> =
            flags.map(|flag| flag.trim_end_matches(|c: char| !c.is_alphanumeric())).collect();
        // What every command has, or another one's help speaks of.
        let shared = ["help", "set", "seed", "json", "quiet", "out", "count"];
        for flag in flags.into_iter().filter(|flag| !shared.contains(flag) && !flag.is_empty()) {
            assert!(usage.contains(&format!("--{flag}")), "{name} --{flag}");
        }
    }
}

/// What stands below a value at a key or an index.
fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    key.parse::<usize>().ok().and_then(|index| value.get(index)).or_else(|| value.get(key))
}

/// Whole recipes can be read, and parts of recipes have no key or value that is none.
#[test]
fn every_recipe_in_the_book_is_one() {
    let schema = schema();
    let mut count = 0;
    for (name, page) in pages() {
        for block in blocks(&page, "toml").0 {
            if block.contains("{{#include") || block.starts_with("#:schema") {
                continue;
            }
            count += 1;
            let whole = block.contains("name =") && block.contains("[target]");
            // What a part leaves out stands elsewhere.
            let given: Value =
                toml::from_str(&block).unwrap_or_else(|error| panic!("{name}: {error} in\n{block}"));
            let there =
                |mark: &str| mark.split('.').try_fold(&given, |value, key| step(value, key)).is_some();
            let marks = marked(&schema, &block);
            let wrong: Vec<&String> = marks.iter().filter(|mark| whole || there(mark)).collect();
            assert!(wrong.is_empty(), "{name}: {wrong:?} in\n{block}");
        }
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn every_key_in_the_book_is_one() {
    let schema = schema();
    let sections = schema["properties"].as_object().expect("keys");
    for (name, page) in pages() {
        for word in quoted(&page) {
            for path in word.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))) {
                let Some((section, key)) = path.split_once('.') else { continue };
                let Some(part) = sections.get(section).filter(|_| section != "name") else { continue };
                let key = key.split('.').next().unwrap_or_default();
                let file = ["toml", "json", "rs", "md", "html", "csv"].contains(&key);
                if file || key.parse::<usize>().is_ok() || key.is_empty() {
                    continue;
                }
                let mut known = BTreeSet::new();
                keys(&schema, part, &mut known, 4);
                assert!(known.contains(key), "{name}: `{path}`; {section} has {known:?}");
            }
        }
    }
}

/// Words with an underscore are metrics, keys, or names in the code; what is renamed there is found here.
#[test]
fn every_name_in_the_book_is_one() {
    fn sources(path: &Path, found: &mut String) {
        for path in std::fs::read_dir(path).expect("a directory").flatten().map(|entry| entry.path()) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let code =
                ["rs", "py", "toml", "sh"].map(Some).contains(&path.extension().and_then(|e| e.to_str()));
            if path.is_dir() {
                found.push_str(&format!("{name}\n"));
                sources(&path, found);
            } else if code {
                found.push_str(&format!("{}\n{name}\n", std::fs::read_to_string(&path).unwrap_or_default()));
            }
        }
    }
    let mut known = BTreeSet::new();
    all_keys(&schema(), &mut known);
    known.extend(known_metrics().flat_map(|name| [name.to_owned(), format!("{name}_se")]));
    let mut code = String::new();
    ["crates", "benchmarks", "docs"].iter().for_each(|part| sources(&root().join(part), &mut code));
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let code: BTreeSet<&str> = code.split(|c: char| !named(c)).filter(|word| word.contains('_')).collect();
    for (name, page) in pages() {
        // Files of others have names of their own.
        let texts: Vec<String> = quoted(&page).into_iter().filter(|text| !text.ends_with(".csv")).collect();
        for word in texts.iter().flat_map(|text| text.split(|c: char| !named(c))) {
            // A variable with an index is mathematics.
            let plain = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            let parts: Vec<&str> = word.split('_').collect();
            if plain && parts.len() > 1 && parts.iter().all(|part| part.len() > 1) {
                assert!(known.contains(word) || code.contains(word), "{name}: `{word}` is no name");
            }
        }
    }
}
