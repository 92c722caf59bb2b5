//! Places that cannot be written to, and readers that leave.

use std::fs::File;
use std::process::Stdio;

use crate::support::{GRID, Place, TINY};

#[test]
fn unwritable_run_directories_are_the_users_to_mend() {
    let place = Place::tiny();
    place.write("file", "no directory");
    for out in ["file", "file/below", "/proc/nowhere"] {
        let message = place.run(&format!("run tiny.toml --out {out}")).refused(2);
        assert!(message.starts_with(&format!("--out {out}: found ")), "{message}");
        assert!(message.ends_with("allowed: a path that can be written"), "{message}");
        let message = place.run(&format!("compare tiny.toml --out {out}")).refused(2);
        assert!(message.starts_with(&format!("--out {out}/tiny: found ")), "{message}");
    }
    assert_eq!(place.files(""), ["file", "tiny.toml"]);
    assert_eq!(place.read("file"), b"no directory");
}

#[test]
fn samples_go_nowhere_else() {
    let place = Place::tiny();
    place.run("run tiny.toml --out run --json").json();
    place.write("file", "no directory");
    std::fs::create_dir(place.path("directory")).expect("a directory");
    let before = place.files("");
    for out in ["file/s.npy", "nowhere/s.npy", "/proc/s.npy", "directory", "."] {
        for format in ["npy", "csv"] {
            let message =
                place.run(&format!("sample run --count 3 --format {format} --out {out}")).refused(2);
            assert!(message.starts_with(&format!("--out {out}: found ")), "{message}");
        }
    }
    for (arguments, expected) in [
        ("--count 0", "--count: found 0; allowed: an integer from 1 to "),
        ("--count 99999999999", "--count: found 99999999999; allowed: an integer from 1 to "),
        ("--count 3 --format cvs", "--format: found \"cvs\"; allowed: npy, csv"),
        (
            "--count 3 --sampler ode",
            "--sampler: found \"ode\" for a model without a diffusion; allowed: ancestral",
        ),
    ] {
        let message = place.run(&format!("sample run {arguments}")).refused(2);
        assert!(message.starts_with(expected), "{message}");
    }
    assert_eq!(place.files(""), before);
    let path = place.run("sample run --count 3 --format csv").done().stdout;
    assert_eq!(path, "run/samples-3.csv\n");
    let text = String::from_utf8(place.read("run/samples-3.csv")).expect("UTF-8");
    assert_eq!(text.lines().map(|line| line.split(',').count()).collect::<Vec<_>>(), [2, 2, 2]);
    // Row by row the same, whatever their number.
    place.run("sample run --count 200 --format csv --out more.csv").done();
    assert!(String::from_utf8(place.read("more.csv")).expect("UTF-8").starts_with(&text));
}

/// Objects come back as they are written in tables, with what they are worth; text as text.
#[test]
fn samples_of_objects_are_words() {
    let place = Place::with(GRID);
    place.run("run tiny.toml --out run --quiet").done();
    place.run("sample run --count 5 --out s.csv").done();
    let text = String::from_utf8(place.read("s.csv")).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("object,log_reward", 6), "{text}");
    place.run("sample run --count 5 --out s.txt").done();
    let objects = String::from_utf8(place.read("s.txt")).expect("UTF-8");
    for (line, object) in lines[1..].iter().zip(objects.lines()) {
        let log_reward = line.strip_prefix(&format!("\"{object}\",")).expect("the object, quoted");
        assert!(log_reward.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
    }
    place.run("sample run --count 5 --out s.parquet").done();
    let parquet = place.read("s.parquet");
    let names = |name: &str| parquet.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(names("object") && names("log_reward"));
    place.write("words.txt", "cat\ndog\nhorse\nbird\nmouse\n".repeat(20));
    let recipe = "name = \"w\"\n[target]\nkind = \"characters\"\nfile = \"words.txt\"\nwords = true\nlength = 6\n\
                  [[model]]\nkind = \"autoregressive\"\n[training]\nsteps = 5\n";
    place.write("w.toml", recipe);
    place.run("run w.toml --out w --quiet").done();
    place.run("sample w --count 7 --out w.txt").done();
    let text = String::from_utf8(place.read("w.txt")).expect("UTF-8");
    let fits = |line: &str| line.len() <= 6 && line.chars().all(|c| c == ' ' || c.is_ascii_lowercase());
    assert!(text.lines().count() == 7 && text.lines().all(fits), "{text}");
}

#[test]
fn diffusions_are_sampled_in_any_way() {
    let place = Place::new();
    let short =
        "training.steps=2 --set training.batch=8 --set target.rows=30 --set evaluation.sample_metrics=false";
    place
        .run(&format!("run spirals-diffusion --set {short} --set evaluation.samples=5 --out run --json"))
        .json();
    for (arguments, expected) in [
        (
            "--sampler odd",
            "--sampler: found \"odd\"; allowed: ancestral, ddim, ode, discrete; did you mean \"ode\"?",
        ),
        ("--sampler ddim --steps 1", "--steps: found 1; allowed: an integer from 2 to 1000000"),
        ("--sampler ode --steps 0", "--steps: found 0; allowed: an integer from 1 to 1000000"),
        (
            "--steps 9",
            "--steps: found 9 with the ancestral sampler; allowed: it only with --sampler ddim, ode or discrete",
        ),
    ] {
        let message = place.run(&format!("sample run --count 3 {arguments}")).refused(2);
        assert_eq!(message, expected);
    }
    let drawn = |arguments: &str| {
        place.run(&format!("sample run --count 4 {arguments} --force --out s.csv")).done();
        String::from_utf8(place.read("s.csv")).expect("UTF-8")
    };
    let own = drawn("");
    assert_eq!(own, drawn("--sampler ancestral"));
    let (ddim, ode) = (drawn("--sampler ddim"), drawn("--sampler ode"));
    assert!(own != ddim && own != ode && ddim != ode);
    assert_eq!(ode, drawn("--sampler ode --steps 50"));
    assert_ne!(ode, drawn("--sampler ode --steps 2"));
}

/// Energies and rewards have weights to refine by, whatever draws; what has none is refused, and so is a sampler with others.
#[test]
fn samples_are_refined() {
    let place = Place::tiny();
    place.run("run tiny.toml --out data --json").json();
    let short =
        "training.steps=2 --set training.batch=8 --set evaluation.samples=5 --set evaluation.paths=20";
    let chain = "--set model.0.levels=4 --set evaluation.sample_metrics=false";
    place.run(&format!("run gmm25-vargrad --set {short} {chain} --out chain --json")).json();
    place.run(&format!("run hypergrid --set {short} --out walks --json")).json();
    for (arguments, expected) in [
        (
            "data --refine importance",
            "--refine: found a chain that was trained on data, which have no R to weigh its samples by; allowed: a run on an energy, or with a prior and a likelihood; or no --refine",
        ),
        (
            "chain --refine best",
            "--refine: found \"best\"; allowed: importance, or back-and-forth=K with K moves, an integer from 1 to 1000000",
        ),
        (
            "chain --refine importance --sampler ddim",
            "--sampler: found \"ddim\" beside --refine, whose weights are those of the chain itself; allowed: ancestral",
        ),
    ] {
        assert_eq!(place.run(&format!("sample --count 3 {arguments}")).refused(2), expected);
    }
    // What went how well is said on stderr.
    let note = |arguments: &str| {
        let ended = place.run(&format!("sample --force {arguments}"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    for run in ["chain", "walks"] {
        let said = note(&format!("{run} --count 40 --refine importance --out s.csv"));
        assert!(said.starts_with("note: importance: 400 paths, effective sample size "), "{said}");
        let said = note(&format!("{run} --count 40 --refine back-and-forth=3 --out t.csv"));
        assert!(
            said.starts_with("note: back-and-forth: 3 moves of each sample, acceptance rate 0."),
            "{said}"
        );
        for file in ["s.csv", "t.csv"] {
            // Objects have a header.
            let lines = 40 + usize::from(run == "walks");
            assert_eq!(String::from_utf8(place.read(file)).expect("UTF-8").lines().count(), lines);
        }
    }
    note("walks --count 4 --refine back-and-forth=2 --out s.txt");
    assert!(String::from_utf8(place.read("s.txt")).expect("UTF-8").starts_with('('));
}

/// Samples under one condition: a class, an inverse temperature, a preference; whatever else is refused. Without the flag each sample
/// has its own, the same in a longer draw.
#[test]
fn samples_under_a_condition() {
    let place = Place::new();
    place.write(
        "hot.toml",
        "name = \"hot\"\n[target]\nkind = \"energy\"\nenergy = { kind = \"tempered\", reward = { kind = \"gmm9\" } }\n\
         [[model]]\nkind = \"flow\"\nlayers = 1\nhidden = [4]\n[[conditions]]\nkind = \"uniform\"\nlow = 0.5\nhigh = 1.0\n\
         [objective]\nkind = \"trajectory-balance\"\n",
    );
    let short = "training.steps=2 --set training.batch=8 --set evaluation.samples=20";
    let digits = "--set evaluation.importance_samples=0 --set model.0.hidden=[4,4] --set evaluation.sample_metrics=false";
    place.run(&format!("run digits-by-class-vae --set {short} {digits} --out digits --json")).json();
    place.run(&format!("run hot.toml --set {short} --set evaluation.paths=64 --out hot --json")).json();
    place
        .run(&format!("run multi-objective --set {short} --set evaluation.paths=64 --out several --json"))
        .json();
    place.run(&format!("run hypergrid --set {short} --set evaluation.paths=64 --out plain --json")).json();
    for (run, condition, expected) in [
        ("digits", "10", "--condition: found \"10\"; allowed: a class from 0 to 9"),
        ("digits", "three", "--condition: found \"three\"; allowed: a class from 0 to 9"),
        ("hot", "1,2", "--condition: found \"1,2\"; allowed: a finite number"),
        ("several", "1,0", "--condition: found \"1,0\"; allowed: 3 finite numbers, with commas between them"),
        ("plain", "1", "--condition: found \"1\"; allowed: none: the model has no conditions"),
    ] {
        let message = place.run(&format!("sample {run} --count 3 --condition {condition}")).refused(2);
        assert_eq!(message, expected);
    }
    let drawn = |run: &str, more: &str| {
        let ended = place.run(&format!("sample {run} --force --out s.csv {more}"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        String::from_utf8(place.read("s.csv")).expect("UTF-8")
    };
    for (run, conditions) in
        [("digits", ["0", "3"]), ("hot", ["0.5", "1"]), ("several", ["1,0,0", "0,0.5,0.5"])]
    {
        let of = |condition: &str| drawn(run, &format!("--count 40 --condition {condition}"));
        assert_ne!(of(conditions[0]), of(conditions[1]), "{run}");
        assert!(drawn(run, "--count 40").starts_with(&drawn(run, "--count 10")), "{run}");
    }
    let message = place.run("evaluate hot --data s.csv").refused(2);
    assert!(message.starts_with("--data: found rows for a model of a target under conditions"), "{message}");
    let message = place.run("sample hot --count 3 --refine importance").refused(2);
    assert!(message.contains("each with a Z of its own"), "{message}");
}

#[test]
fn default_directories_are_new_ones() {
    let place = Place::tiny();
    for out in ["runs/tiny-5", "runs/tiny-5-2", "runs/tiny-5-3"] {
        assert_eq!(place.run("run tiny.toml --json").json()["out"], out);
    }
    let message = place.run("run tiny.toml --out runs/tiny-5").refused(2);
    assert_eq!(
        message,
        "--out runs/tiny-5: found a directory that holds a run already; allowed: a new directory; or `anabranch resume` to go on with that run"
    );
    std::fs::create_dir(place.path("mine")).expect("a directory");
    place.write("mine/report.html", "mine");
    let message = place.run("run tiny.toml --out mine").refused(2);
    assert_eq!(
        message,
        "--out mine: found a directory that holds report.html, which a run would write over; allowed: a new directory"
    );
    assert_eq!((place.files("mine").len(), &place.read("mine/report.html")[..]), (1, &b"mine"[..]));
    place.write("odd.toml", TINY.replace("\"tiny\"", "\"tiny-5.x\""));
    assert_eq!(place.run("run odd.toml --json").json()["out"], "runs/tiny-5.x-5");
}

#[test]
fn a_reader_that_leaves_is_no_error_and_a_full_one_is() {
    let place = Place::new();
    for arguments in ["list", "schema", "explain moons-flow", "cite digits-indm"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended =
            place.command(arguments).stdout(writer).stderr(Stdio::piped()).output().expect("it starts");
        assert_eq!((ended.status.code(), &ended.stderr[..]), (Some(0), &b""[..]), "{arguments}");
        if cfg!(target_os = "linux") {
            let full = File::options().write(true).open("/dev/full").expect("the device");
            let ended =
                place.command(arguments).stdout(full).stderr(Stdio::piped()).output().expect("it starts");
            let text = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(
                (ended.status.code(), text.as_str()),
                (Some(1), "error: could not write to stdout: no space left on device\n"),
                "{arguments}"
            );
        }
    }
    // Where even the message finds no room, the code says it.
    if cfg!(target_os = "linux") {
        let full = File::options().write(true).open("/dev/full").expect("the device");
        let status = place.command("run no-such-recipe").stderr(full).status().expect("it starts");
        assert_eq!(status.code(), Some(2));
    }
}
