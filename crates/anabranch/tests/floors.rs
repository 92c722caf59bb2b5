//! Imports point down one list of rooms, and no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms of the library, lower ones first.
const ROOMS: [&str; 25] = [
    "error",
    "rng",
    "math",
    "parallel",
    "program",
    "papers",
    "plot",
    "data",
    "optim",
    "array",
    "network",
    "environment",
    "chain",
    "policy",
    "kernel",
    "target",
    "objective",
    "model",
    "estimate",
    "sampler",
    "metric",
    "train",
    "recipe",
    "run",
    "report",
];

/// Every module of the library with its file, by its path `room::module`.
fn modules() -> BTreeMap<String, PathBuf> {
    fn walk(directory: &Path, root: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("the sources are there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let place = path.strip_prefix(root).expect("below the root").with_extension("");
                let mut parts: Vec<String> =
                    place.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if parts.last().is_some_and(|last| last == "mod") {
                    parts.pop();
                }
                // Tests may look at whatever they need.
                if !parts.iter().any(|part| part == "tests" || part == "lib") {
                    found.insert(parts.join("::"), path);
                }
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    found
}

/// The code of a file without comments and without its tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut kept = String::new();
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // Of a module in a file of its own only the line is left out; one in place is the end of the file.
            match lines.next() {
                Some(next) if next.trim_end().ends_with(';') => continue,
                _ => break,
            }
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Splits at commas that are in no braces.
fn members(list: &str) -> Vec<&str> {
    let (mut depth, mut first, mut found) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&list[first..at]);
                first = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[first..]);
    found
}

/// The paths that a file of `module` names, each from the crate's root: `crate::`, `super::` and `self::` are followed.
fn named(module: &str, code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut base: Vec<String> = module.split("::").map(str::to_owned).collect();
            let mut rest = &code[at..];
            if let Some(after) = rest.strip_prefix("crate::") {
                (base, rest) = (Vec::new(), after);
            }
            rest = rest.strip_prefix("self::").unwrap_or(rest);
            while let Some(after) = rest.strip_prefix("super::") {
                base.pop();
                rest = after;
            }
            loop {
                if let Some(list) = rest.strip_prefix('{') {
                    let mut depth = 1;
                    let end = list.char_indices().find(|(_, letter)| {
                        depth += i32::from(*letter == '{') - i32::from(*letter == '}');
                        depth == 0
                    });
                    for member in members(&list[..end.map_or(list.len(), |(end, _)| end)]) {
                        let name = member.trim().split([':', '{', ' ']).next().unwrap_or_default();
                        found.push([base.clone(), vec![name.to_owned()]].concat());
                    }
                    break;
                }
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                base.push(rest[..length].to_owned());
                match rest[length..].strip_prefix("::") {
                    Some(after) => rest = after,
                    None => {
                        found.push(base);
                        break;
                    }
                }
            }
        }
    }
    found
}

/// Every module with the modules that it names.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules();
    let of = |(module, path): (&String, &PathBuf)| {
        let paths = named(module, &code(path));
        let deepest = |path: &Vec<String>| {
            (1..=path.len()).rev().map(|length| path[..length].join("::")).find(|m| modules.contains_key(m))
        };
        (module.clone(), paths.iter().filter_map(deepest).collect())
    };
    modules.iter().map(of).collect()
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// Every file below a directory, at any depth.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A file that nobody declares is compiled by nobody, and its tests never run.
#[test]
fn every_file_is_declared() {
    let mut seen = 0;
    for root in ["src", "tests", "../anabranch-cli/src", "../anabranch-cli/tests"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
        for path in files(&root).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
            let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let file =
                if stem(&path).is_some_and(|stem| stem == "mod") { path.parent().unwrap() } else { &path };
            let name = stem(file).expect("a file has a name");
            let above = file.parent().expect("it is in a directory");
            // The roots of crates.
            if ["lib", "main"].contains(&&*name) || above.ends_with("tests") && above == root {
                continue;
            }
            let parents = ["mod.rs", "lib.rs", "main.rs"].map(|name| above.join(name));
            let parents = parents.into_iter().chain([above.with_extension("rs")]);
            let text: String = parents.filter_map(|parent| std::fs::read_to_string(parent).ok()).collect();
            assert!(text.contains(&format!("mod {name};")), "{} is part of no crate", path.display());
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen} files were looked at");
}

#[test]
fn imports_point_down_the_list_of_rooms() {
    let imports = imports();
    let floor = |module: &str| ROOMS.iter().position(|known| *known == room(module));
    let rooms: BTreeSet<&str> = imports.keys().map(|module| room(module)).collect();
    assert_eq!(rooms, ROOMS.into_iter().collect(), "every room has its place");
    let mut seen = 0;
    for (module, others) in &imports {
        for other in others {
            assert!(floor(other) <= floor(module), "{module} imports {other}, which is above it");
            seen += usize::from(room(other) != room(module));
        }
    }
    assert!(seen > 300, "{seen} imports between rooms were read");
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let imports = imports();
    // A room's head and its parts are one thing: the head names its parts, and they its traits.
    let related = |a: &str, b: &str| {
        a == b
            || a.strip_prefix(b).is_some_and(|r| r.starts_with("::"))
            || b.strip_prefix(a).is_some_and(|r| r.starts_with("::"))
    };
    let next = |module: &str| -> Vec<&String> {
        imports[module].iter().filter(|other| !related(module, other)).collect()
    };
    fn visit<'a>(
        module: &'a String,
        path: &mut Vec<&'a String>,
        done: &mut BTreeSet<&'a String>,
        next: &dyn Fn(&str) -> Vec<&'a String>,
    ) {
        if let Some(first) = path.iter().position(|known| *known == module) {
            panic!("a circle: {:?}", &path[first..]);
        }
        if done.contains(module) {
            return;
        }
        path.push(module);
        next(module).into_iter().for_each(|other| visit(other, path, done, next));
        path.pop();
        done.insert(module);
    }
    let mut done = BTreeSet::new();
    imports.keys().for_each(|module| visit(module, &mut Vec::new(), &mut done, &next));
}

/// The reader finds what it must: paths in lists, behind `super`, and none in comments or tests.
#[test]
fn paths_are_read_from_code() {
    let text = "use crate::a::{b::C, d};\nuse super::e::F;\nfn f() { crate::g::h(); }\n";
    let found: BTreeSet<String> = named("x::y", text).iter().map(|path| path.join("::")).collect();
    let expected = ["a::b", "a::d", "x::e::F", "g::h"].map(str::to_owned);
    assert_eq!(found, expected.into_iter().collect());
}
