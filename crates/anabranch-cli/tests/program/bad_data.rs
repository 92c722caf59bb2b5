//! Data that are missing, empty, ragged, not numbers, or of the wrong shape.

use std::fmt::Write;

use crate::support::{Ended, KINDS, Place, TINY};

fn recipe(target: &str) -> String {
    let (start, rest) =
        (TINY.find("kind = \"toy\"").expect("a target"), TINY.find("\n[[model]]").expect("a model"));
    format!("{}kind = \"table\"\n{target}\n{}", &TINY[..start], &TINY[rest..])
}

/// Rows whose columns are neither constant nor copies of each other.
fn table(rows: usize, columns: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        let cells: Vec<String> = (0..columns).map(|c| ((row * (c + 3) + c) % 7).to_string()).collect();
        writeln!(text, "{}", cells.join(",")).expect("a string");
    }
    text
}

fn refusal(place: &Place, content: &[u8]) -> String {
    place.write("data.csv", content);
    place.write("t.toml", recipe("file = \"data.csv\""));
    let message = place.run("run t.toml --out run").refused(2);
    assert!(!place.path("run").exists(), "{message}");
    message
}

#[test]
fn bad_cells_are_named_by_line_and_column() {
    let place = Place::new();
    for (content, expected) in [
        ("", "data.csv: found no rows; allowed: "),
        ("a,b\n", "data.csv: found no rows; allowed: "),
        ("1,2\n3\n", "data.csv, line 2: found 1 cells; allowed: 2 cells"),
        ("1,2\n3,4,5\n", "data.csv, line 2: found 3 cells; allowed: 2 cells"),
        ("1,2\n3,NaN\n", "data.csv, line 2, column 2: found \"NaN\"; allowed: a finite number"),
        ("1,2\n-inf,4\n", "data.csv, line 2, column 1: found \"-inf\"; allowed: a finite number"),
        ("1,2\n1e99,4\n", "data.csv, line 2, column 1: found \"1e99\"; allowed: a finite number"),
        ("x,y\n1,2\n3,\n", "data.csv, line 3, column \"y\": found an empty cell; allowed: a finite number"),
        ("1,2\n3,four\n", "data.csv, line 2, column 2: found \"four\"; allowed: a finite number"),
    ] {
        let message = refusal(&place, content.as_bytes());
        assert!(message.starts_with(expected), "{content:?}: {message}");
    }
    let message = refusal(&place, b"1,2\n3,\xFF\n");
    assert!(message.starts_with("data.csv") && message.contains("UTF-8"), "{message}");
    let message = refusal(&place, &[0x1F, 0x8B, 8, 0, 0, 1, 2]);
    assert!(message.starts_with("data.csv: found damaged gzip"), "{message}");
}

#[test]
fn missing_files_and_sources_are_named() {
    let place = Place::new();
    place.write("t.toml", recipe("file = \"none.csv\""));
    let message = place.run("run t.toml").refused(2);
    assert!(message.to_lowercase().starts_with("none.csv: found no such file or directory"), "{message}");
    place.write("t.toml", recipe("source = \"digts\""));
    let message = place.run("run t.toml").refused(2);
    assert!(
        message.starts_with("t.toml, line 7, key target.source: found \"digts\"; allowed: digits"),
        "{message}"
    );
    assert!(message.ends_with("did you mean \"digits\"?"), "{message}");
    assert!(!place.path("runs").exists());
}

#[test]
fn dimensions_levels_and_splits_must_agree() {
    let place = Place::new();
    place.write("data.csv", table(30, 4));
    for (target, expected) in [
        (
            "image = [8, 8]",
            "t.toml, line 8, key target.image: found 8 x 8; allowed: a height and a width whose product is the number of columns, 4",
        ),
        (
            "image = [4294967296, 4294967297]",
            "t.toml, line 8, key target.image: found 4294967296 x 4294967297; allowed: ",
        ),
        ("levels = 3", "data.csv, row "),
        (
            "validation = 0.6\ntest = 0.5",
            "t.toml, line 5, key target: found 30 rows, 18 of them for validation and 15 for test; allowed: ",
        ),
        ("test = 1.5", "t.toml, line 8, key target.test: found 1.5; allowed: a number from 0 to 0.99"),
    ] {
        place.write("t.toml", recipe(&format!("file = \"data.csv\"\n{target}")));
        let message = place.run("run t.toml --out run").refused(2);
        assert!(message.starts_with(expected), "{message}");
        assert!(!place.path("run").exists());
    }
    // Two columns into a coupling are fine, one is not.
    place.write("data.csv", table(30, 1));
    place.write("t.toml", recipe("file = \"data.csv\""));
    let message = place.run("run t.toml --out run").refused(2);
    assert!(
        message.starts_with("t.toml, line 9, key model.0.coupling: found \"coupling\" in one dimension"),
        "{message}"
    );
}

#[test]
fn the_smallest_data_train() {
    let place = Place::new();
    for (rows, columns) in [(1, 2), (2, 2), (3, 5)] {
        place.write("data.csv", table(rows, columns));
        place.write("t.toml", recipe("file = \"data.csv\"\nvalidation = 0\ntest = 0"));
        let ended = place.run(&format!("run t.toml --out run-{rows} --json"));
        assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 1), "{}", ended.stderr);
    }
    place.write("data.csv", "4\n4\n4\n4\n");
    place.write(
        "t.toml",
        recipe("file = \"data.csv\"").replace("layers = 1", "layers = 1\ncoupling = \"autoregressive\""),
    );
    let ended = place.run("run t.toml --out constant --json");
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 1), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("note: column 1 is 4 in 100.0 % of the training rows: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn data_to_evaluate_must_fit_the_model() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    let before = place.files("");
    for (content, expected) in [
        ("1,2,3\n", "data.csv: found 3 columns; allowed: 2 columns"),
        ("1,2\n3,nan\n", "data.csv, line 2, column 2: found \"nan\"; allowed: a finite number"),
        ("", "data.csv: found no rows"),
    ] {
        place.write("data.csv", content);
        let message = place.run("evaluate run --data data.csv").refused(2);
        assert!(message.starts_with(expected), "{message}");
    }
    std::fs::remove_file(place.path("data.csv")).expect("written above");
    assert!(place.run("evaluate run --data data.csv").refused(2).starts_with("data.csv: found "));
    assert_eq!(place.files(""), before);
    place.write("data.csv", "0.5,-1\n1.5,0.25\n");
    let result = place.run("evaluate run --data data.csv --json").json();
    assert!(result["metrics"]["nll"].as_f64().is_some_and(f64::is_finite), "{result}");
}

/// Objects of a flow network stand one a line; a state that is asked about must be one, of a run with roots.
#[test]
fn objects_and_states_of_flow_networks_must_be_ones() {
    let place = Place::with(KINDS[1]);
    place.run("run tiny.toml --out run --json").json();
    let before = place.files("");
    place.write("objects.txt", "(0, 0)\n(1, 99)\n");
    let message = place.run("evaluate run --data objects.txt").refused(2);
    assert!(message.starts_with("--data, objects.txt:2: found "), "{message}");
    place.write("objects.txt", "\n");
    assert!(place.run("evaluate run --data objects.txt").refused(2).contains("without objects"));
    std::fs::remove_file(place.path("objects.txt")).expect("written above");
    assert!(
        place.run("evaluate run --data objects.txt").refused(2).starts_with("--data: found objects.txt: ")
    );
    let message = place.run("evaluate run --from (0,0)").refused(2);
    assert!(message.starts_with("--from: found a run whose walks start at the source alone"), "{message}");
    assert!(place.run("evaluate run --to (0,0)").refused(2).contains("--from"));
    assert!(place.run("evaluate run --that x0").refused(2).contains("--from"));
    assert!(place.run("evaluate run --from (0,0) --between x0").refused(2).contains("2 values"));
    assert_eq!(place.files(""), before);
    place.write("objects.txt", "(0, 0)\n(1, 0)\n");
    let result = place.run("evaluate run --data objects.txt --json").json();
    assert!(result["metrics"]["nll"].as_f64().is_some_and(f64::is_finite), "{result}");
    let chain = Place::tiny();
    chain.run("run tiny.toml --out run --json").json();
    assert!(
        chain.run("evaluate run --from (0,0)").refused(2).starts_with("--from: found a state, for a chain")
    );
}

#[test]
fn integer_data_to_evaluate_must_lie_on_the_levels() {
    let place = Place::new();
    place.write("data.csv", table(40, 3));
    let vae = "[[model]]\nkind = \"vae\"\nlatent = [2]\nhidden = [3]\n\n[optimizer]";
    let text = recipe("file = \"data.csv\"\nlevels = 7");
    let (start, end) =
        (text.find("[[model]]").expect("a model"), text.find("[optimizer]").expect("an optimiser"));
    place.write("t.toml", format!("{}{vae}{}", &text[..start], &text[end + "[optimizer]".len()..]));
    let result = place.run("run t.toml --out run --json").json();
    assert!(result["metrics"]["bits_per_dim"].is_f64(), "{result}");
    for wrong in ["7", "-1", "0.5"] {
        place.write("data.csv", format!("1,2,3\n1,{wrong},3\n"));
        let message = place.run("evaluate run --data data.csv").refused(2);
        assert!(
            message.starts_with("data.csv") && message.contains(&format!("found {wrong}; allowed: ")),
            "{message}"
        );
    }
}

#[test]
fn numbers_that_leave_the_finite_range_stop_the_run_and_keep_what_was_reached() {
    let place = Place::new();
    // One row lies further from the mean of the others than f32 reaches: the first batch that has it is the last.
    let row = |i: usize| if i == 1 { "3.4e38,0\n".to_owned() } else { format!("-3.{}e38,{i}\n", i % 4) };
    let rows: String = (0..60).map(row).collect();
    place.write("data.csv", rows);
    place.write("t.toml", recipe("file = \"data.csv\""));
    let message = place.run("run t.toml --out run").refused(1);
    let step = message.strip_prefix("step ").and_then(|rest| rest.split_once(": the ")).expect("a step").0;
    assert!(message.contains(" is not finite ("), "{message}");
    let reached = step.parse::<u64>().expect("a number") - 1;
    assert!(reached > 0, "{message}");
    assert_eq!(place.checkpoints("run").last(), Some(&format!("step-{reached:010}.safetensors")));
}

/// A page whose decoder panics ends in one line as everything else does: no report of a panic stands before it.
#[test]
fn damaged_pages_have_one_message() {
    let place = Place::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../anabranch/tests/fixtures/none-v1.parquet");
    let whole = std::fs::read(fixture).expect("a fixture");
    for (position, bit) in [(14, 2), (60, 1), (348, 7)] {
        let mut damaged = whole.clone();
        damaged[position] ^= 1 << bit;
        let message = refusal(&place, &damaged);
        assert!(message.starts_with("data.csv: found damaged Parquet ("), "{message}");
    }
}

#[test]
fn without_a_test_split_the_training_split_is_measured_and_that_is_said() {
    let place = Place::new();
    place.write("data.csv", table(40, 2));
    place.write("t.toml", recipe("file = \"data.csv\"\ntest = 0.0"));
    let ended = place.run("run t.toml --out run --json --set evaluation.sample_metrics=true");
    assert_eq!(ended.stderr, "note: no test split: the training split is measured\n");
    let result: serde_json::Value = serde_json::from_str(&ended.stdout).expect("an object");
    assert!(result["metrics"]["nll"].is_f64() && result["metrics"]["coverage"].is_f64(), "{result}");
}

/// Rows that the model's logit does not reach have no likelihood: they are named, and not taken for its ends.
#[test]
fn data_to_evaluate_must_have_logits() {
    let place = Place::new();
    let rows: String =
        (0..40).map(|row| format!("0.{:02},0.{:02}\n", row * 37 % 100, row * 53 % 100)).collect();
    place.write("data.csv", format!("a,b\n{rows}"));
    let text = recipe("file = \"data.csv\"")
        .replace("[optimizer]", "[[model]]\nkind = \"logit\"\nmargin = 0.1\n\n[optimizer]");
    place.write("t.toml", text);
    place.run("run t.toml --out run --json").json();
    // The interval is wider than the data's by the margin: from -0.125 to 1.125.
    for (cell, refused) in [("-0.12", false), ("1.12", false), ("-0.13", true), ("1.2", true)] {
        place.write("new.csv", format!("a,b\n0.5,0.5\n0.25,{cell}\n"));
        if !refused {
            let result = place.run("evaluate run --data new.csv --json").json();
            assert!(result["metrics"]["nll"].as_f64().is_some_and(f64::is_finite), "{result}");
            continue;
        }
        let message = place.run("evaluate run --data new.csv").refused(2);
        let expected =
            format!("new.csv, row 2, column \"b\": found {cell}; allowed: a number between -0.125 and 1.125");
        assert!(message.starts_with(&expected), "{message}");
    }
}

/// A constant column is said before training, by name, unless the data are integers with masses.
#[test]
fn constant_columns_are_told() {
    let place = Place::new();
    let rows: String = (0..40).map(|row| format!("{},7,{}\n", row % 5, row % 3)).collect();
    place.write("data.csv", format!("a,b,c\n{rows}"));
    place.write("t.toml", recipe("file = \"data.csv\""));
    let Ended { code, stderr, .. } = place.run("run t.toml --out run");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.starts_with("note: column \"b\" is 7 in 100.0 % of the training rows: "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let integers = recipe("file = \"data.csv\"\nlevels = 8")
        .replace("[optimizer]", "[[model]]\nkind = \"dequantise\"\n\n[optimizer]");
    place.write("t.toml", integers);
    place.run("run t.toml --out integers").done();
}

/// A table with a header, of columns of different sizes.
fn named(columns: [&str; 2]) -> String {
    let of = |name: &str, row: usize| match name {
        "width" => (row * 5 % 7) as f64 * 100.0 + 3.0,
        "height" => (row * 3 % 11) as f64 / 10.0,
        other => panic!("no column {other}"),
    };
    let line = |row| format!("{},{}", of(columns[0], row), of(columns[1], row));
    std::iter::once(columns.join(",")).chain((0..40).map(line)).map(|line| line + "\n").collect()
}

/// A finished run of a named table, with a map that is fitted to it.
fn trained() -> Place {
    let place = Place::new();
    place.write("data.csv", named(["width", "height"]));
    let recipe = recipe("file = \"data.csv\"")
        .replace("[optimizer]", "[[model]]\nkind = \"standardise\"\n\n[optimizer]");
    place.write("t.toml", recipe);
    place.run("run t.toml --out run").done();
    place
}

#[test]
fn columns_are_found_by_their_names() {
    let place = trained();
    place.write("same.csv", named(["width", "height"]));
    place.write("reversed.csv", named(["height", "width"]));
    let nll = |file: &str| {
        place.run(&format!("evaluate run --data {file} --json")).json()["metrics"]["nll"].as_f64().unwrap()
    };
    assert_eq!(nll("same.csv"), nll("reversed.csv"));
    let wider: String = named(["height", "width"])
        .lines()
        .enumerate()
        .map(|(k, line)| format!("{},{line}\n", if k == 0 { "note" } else { "a word" }))
        .collect();
    place.write("wider.csv", wider);
    assert_eq!(nll("same.csv"), nll("wider.csv"));
    place.write("missing.csv", named(["height", "width"]).replace("width", "wdth"));
    let message = place.run("evaluate run --data missing.csv").refused(2);
    assert!(
        message.starts_with("missing.csv: found no column \"width\", which the model was trained on; allowed: the columns width, height in any order"),
        "{message}"
    );
    place.write("twice.csv", named(["height", "width"]).replace("height,width", "width,width"));
    let message = place.run("evaluate run --data twice.csv").refused(2);
    assert!(message.starts_with("twice.csv: found 2 columns \"width\""), "{message}");
    // Samples carry the names, and can be scored again.
    place.run("sample run --count 7 --out drawn.csv").done();
    assert!(String::from_utf8(place.read("drawn.csv")).unwrap().starts_with("width,height\n"));
    place.run("sample run --count 7 --out drawn.parquet").done();
    assert_eq!(nll("drawn.csv"), nll("drawn.parquet"));
}

#[test]
fn a_run_draws_without_its_data_and_refuses_changed_ones() {
    let place = trained();
    let before = place.run("evaluate run --json").json()["metrics"]["nll"].clone();
    place.run("sample run --count 20 --out before.npy").done();
    place.write("data.csv", named(["width", "height"]).replace("03,", "06,"));
    for command in ["evaluate run", "resume run"] {
        let message = place.run(command).refused(2);
        assert!(message.starts_with("data.csv: found a mean of "), "{command}: {message}");
        assert!(message.contains("column \"width\", where training saw "), "{command}: {message}");
    }
    std::fs::remove_file(place.path("data.csv")).unwrap();
    place.run("sample run --count 20 --out after.npy").done();
    assert_eq!(place.read("before.npy"), place.read("after.npy"));
    place.write("other.csv", named(["width", "height"]));
    place.run("evaluate run --data other.csv").done();
    let message = place.run("evaluate run").refused(2);
    assert!(message.contains("data.csv"), "{message}");
    place.write("data.csv", named(["width", "height"]));
    assert_eq!(place.run("evaluate run --json").json()["metrics"]["nll"], before);
    place.write("run/data.json", "{");
    let message = place.run("sample run --count 2").refused(2);
    assert!(message.contains("run/data.json: found a damaged summary"), "{message}");
}

#[test]
fn conditional_runs_draw_without_their_data() {
    let place = Place::new();
    let rows = (0..60).map(|row| format!("{},{},{}\n", row * 5 % 7, (row * 3 % 11) as f64 / 10.0, row % 3));
    let text: String = std::iter::once("width,height,kind\n".to_owned()).chain(rows).collect();
    for (key, condition) in [("label = \"kind\"", "2"), ("given = [\"kind\"]", "1.5")] {
        place.write("data.csv", &text);
        place.write("t.toml", recipe(&format!("file = \"data.csv\"\n{key}")));
        place.run("run t.toml --out run").done();
        let sample = format!("sample run --count 5 --condition {condition} --force --out");
        place.run(&format!("{sample} before.csv")).done();
        place.run("sample run --count 5 --force --out own.csv").done();
        std::fs::remove_file(place.path("data.csv")).unwrap();
        place.run(&format!("{sample} after.csv")).done();
        assert_eq!(place.read("before.csv"), place.read("after.csv"), "{key}");
        // Classes are drawn by their shares; numbers are those of rows, which are gone.
        let ended = place.run("sample run --count 5 --force --out again.csv");
        match key.starts_with("label") {
            true => assert_eq!((ended.code, place.read("again.csv")), (Some(0), place.read("own.csv"))),
            false => assert!(ended.refused(2).contains("data.csv")),
        }
        place.write("other.csv", &text);
        place.run("evaluate run --data other.csv").done();
        std::fs::remove_dir_all(place.path("run")).unwrap();
    }
}
