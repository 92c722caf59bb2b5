//! Weights for programs of others: a reader in Python finds the program's own log-densities.

use std::process::Command;

use crate::support::Place;

const READER: &str = include_str!("../../../../docs/src/read_weights.py");

/// A table of three columns that go together, and a model of it, trained a little.
fn trained(model: &str) -> Place {
    let place = Place::new();
    place.write("read_weights.py", READER);
    let row = |i: usize| {
        // Numbers that f32 has, so that both read the same.
        let (a, b) = ((i * 37 % 101) as f64 / 32.0 - 1.5, (i * 53 % 89) as f64 / 32.0);
        format!("{a},{},{}", 100.0 + 8.0 * b + 2.0 * a, a * b / 64.0)
    };
    let rows: Vec<String> = (0..120).map(row).collect();
    place.write("table.csv", format!("a,b,c\n{}\n", rows.join("\n")));
    place.write("rows.csv", format!("a,b,c\n{}\n", rows[..9].join("\n")));
    place.write("bare.csv", rows[..9].join("\n"));
    place.write(
        "model.toml",
        format!(
            "name = \"model\"\n[target]\nkind = \"table\"\nfile = \"table.csv\"\n{model}\n[training]\nsteps = 300\n\
             batch = 32\nevaluate_every = 0\n[evaluation]\nsamples = 9\nsample_metrics = false\n"
        ),
    );
    let run = place.run("run model.toml --out run --quiet");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    place.run("export run --out weights.safetensors").done();
    place
}

/// What the reader prints, line by line.
fn read(place: &Place, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("python3");
    command.arg("read_weights.py").arg("weights.safetensors").args(arguments);
    let ended = command.current_dir(place.path("")).output().expect("python3 is there");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).lines().map(str::to_owned).collect()
}

/// The largest difference that the reader found on the program's own paths.
fn largest(lines: &[String]) -> f64 {
    lines[0].strip_prefix("largest difference ").and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn a_reader_finds_the_densities_of_flows() {
    for layers in
        ["transformer = \"spline\"\nbins = 4", "transformer = \"affine\"\nresidual = true\nhidden = [8, 8]"]
    {
        let hidden = if layers.contains("hidden") { "" } else { "\nhidden = [8]" };
        let place = trained(&format!(
            "[[model]]\nkind = \"flow\"\nlayers = 3\n{layers}{hidden}\n[[model]]\nkind = \"whiten\"\n"
        ));
        let lines = read(&place, &["bare.csv"]);
        assert!(largest(&lines) < 1e-5, "{lines:?}");
        place.run("evaluate run --data rows.csv --rows scores.csv").done();
        let scores = String::from_utf8(place.read("scores.csv")).unwrap();
        let header: Vec<&str> = scores.lines().next().unwrap().split(',').collect();
        let column = header.iter().position(|name| *name == "nll").expect("a column");
        assert_eq!(lines.len(), 10);
        for (line, own) in lines[1..].iter().zip(scores.lines().skip(1)) {
            let nll: f64 = own.split(',').nth(column).unwrap().parse().unwrap();
            let found: f64 = line.parse().unwrap();
            assert!((found + nll).abs() < 1e-5 * (1.0 + nll.abs()), "{found}, {nll}");
        }
    }
}

#[test]
fn a_reader_finds_the_steps_of_autoencoders_and_diffusions() {
    for model in [
        "kind = \"vae\"\nlatent = [2]\nhidden = [8]",
        "kind = \"diffusion\"\nlevels = 5\nhidden = [8]",
        "kind = \"diffusion\"\nlevels = 5\nhidden = [8, 8]\nresidual = true",
    ] {
        let place = trained(&format!("[[model]]\n{model}\n[[model]]\nkind = \"whiten\"\n"));
        let lines = read(&place, &[]);
        assert!(largest(&lines) < 1e-5, "{model}: {lines:?}");
    }
}

/// Words and whole numbers, of which the header has the cuts.
#[test]
fn a_reader_finds_columns_of_few_values() {
    let table = "drop = [\"a\"]\nintegers = [\"k\"]\ncategories = [\"w\"]\n";
    let place = Place::new();
    place.write("read_weights.py", READER);
    let row = |i: usize| {
        format!("{},{},{},{}\n", i, (i * 37 % 101) as f64 / 32.0, i * i % 7, ["b", "a"][i * i % 3 % 2])
    };
    let rows: String = (0..120).map(row).collect();
    place.write("table.csv", format!("a,b,k,w\n{rows}"));
    place.write(
        "model.toml",
        format!(
            "name = \"model\"\n[target]\nkind = \"table\"\nfile = \"table.csv\"\n{table}[[model]]\nkind = \"flow\"\nlayers = 2\n\
             hidden = [8]\n[training]\nsteps = 100\nevaluate_every = 0\n[evaluation]\nsamples = 9\nsample_metrics = false\n"
        ),
    );
    place.run("run model.toml --out run --quiet").done();
    place.run("export run --out weights.safetensors").done();
    let lines = read(&place, &[]);
    assert!(largest(&lines) < 1e-5, "{lines:?}");
}

#[test]
fn what_cannot_be_told_is_refused() {
    let place = Place::new();
    place.write("grid.toml", crate::support::GRID);
    place.run("run grid.toml --out run --quiet").done();
    let message = place.run("export run").refused(2);
    assert!(message.starts_with("anabranch export: found a flow network; allowed: "), "{message}");
}
