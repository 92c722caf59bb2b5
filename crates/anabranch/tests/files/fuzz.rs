//! Hostile bytes: recipes, data files, checkpoints and answers of other programs, changed at random. Whatever comes of them, it is a
//! message or a sound value, and never a panic.
//!
//! Each of the four is changed for `FUZZ_SECONDS` seconds (2 if that is not set), always in the same order. What once made a panic
//! stands in `corpus/` under its kind, and is tried first; a new panic writes its input to the directory of temporary files and names it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anabranch::data::{parse, parse_text};
use anabranch::recipe::{Override, library, named, read};
use anabranch::rng::{Noise, Purpose, Stream};
use anabranch::run::{Ending, Run, Silent};
use anabranch::target::{Process, ProcessSettings, Target};

use super::{Directory, fixtures};

/// What stands in files of these kinds, and between them.
const WORDS: [&str; 24] = [
    "nan",
    "inf",
    "-inf",
    "1e999",
    "-0",
    "9223372036854775808",
    "18446744073709551616",
    "\"\"",
    "{}",
    "[]",
    "[[]]",
    "null",
    "true",
    "\0",
    "\u{feff}",
    ",",
    "\n",
    "\r\n",
    "\"",
    "=",
    "kind = ",
    "[[model]]\n",
    "\u{202e}",
    "(((((((((((((((((((((((((((((((((((((((",
];

/// A number below `count`, or 0.
fn below(stream: &mut Stream<'_>, count: usize) -> usize {
    if count == 0 { 0 } else { stream.word() as usize % count }
}

/// Some bytes changed, cut, repeated or put into others.
fn changed(corpus: &[Vec<u8>], stream: &mut Stream<'_>) -> Vec<u8> {
    let mut bytes = corpus[below(stream, corpus.len())].clone();
    for _ in 0..=below(stream, 6) {
        let (at, to) = (below(stream, bytes.len()), below(stream, bytes.len() + 1));
        let range = at.min(to)..at.max(to);
        let short = range.start..range.end.min(range.start + 64);
        match below(stream, 9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(stream, 8),
            1 if !bytes.is_empty() => bytes[at] = [0, 0x7F, 0x80, 0xFF][below(stream, 4)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(short)),
            4 => {
                let piece = bytes[short].to_vec();
                let again = piece.repeat(1 + below(stream, 40));
                bytes.splice(at..at, again);
            }
            5 | 6 => {
                let word = WORDS[below(stream, WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            7 => {
                let other = &corpus[below(stream, corpus.len())];
                let (a, b) = (below(stream, other.len()), below(stream, other.len()));
                bytes.splice(range, other[a.min(b)..a.max(b)].iter().copied());
            }
            // A number as it stands in headers, in either order of its bytes.
            _ if bytes.len() >= at + 4 => {
                let number = [0, 1, 255, 1 << 16, i32::MAX as u32, u32::MAX][below(stream, 6)];
                let four = if below(stream, 2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
                bytes[at..at + 4].copy_from_slice(&four);
            }
            _ => {}
        }
    }
    bytes
}

/// Tries what is kept of `kind`, then changes of the corpus for as long as is asked for.
fn fuzz(kind: &str, corpus: &[Vec<u8>], mut attempt: impl FnMut(&[u8])) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut check = |bytes: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| attempt(bytes))).is_err() {
            let path = std::env::temp_dir().join(format!("anabranch-fuzz-{kind}-{}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            panic!("{kind}: {} makes a panic; put it into tests/files/corpus/{kind}", path.display());
        }
    };
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files/corpus").join(kind);
    for entry in std::fs::read_dir(kept).into_iter().flatten().flatten() {
        check(&std::fs::read(entry.path()).unwrap());
    }
    corpus.iter().for_each(|bytes| check(bytes));
    let noise = Noise::new(2026, Purpose::Metric);
    for index in 0u64.. {
        // Some of what one round finds is quick, and some slow: the clock is asked now and then.
        if index % 8 == 0 && Instant::now() > end {
            break;
        }
        check(&changed(corpus, &mut noise.from_trajectory(index).stream(0)));
    }
}

#[test]
fn recipes_are_read_or_refused() {
    let corpus: Vec<Vec<u8>> = library().iter().map(|recipe| recipe.text.as_bytes().to_vec()).collect();
    fuzz("recipes", &corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match read("fuzz.toml", &text, &[]) {
            // Whatever is read is written so that it can be read again, the same.
            Ok(recipe) => {
                let written = recipe.to_toml();
                let again =
                    read("again.toml", &written, &[]).unwrap_or_else(|error| panic!("{error}\n{written}"));
                assert_eq!(again.to_toml(), written);
            }
            Err(error) => assert!(error.is_input(), "{error}"),
        }
    });
}

#[test]
fn data_files_are_read_or_refused() {
    let corpus: Vec<Vec<u8>> =
        fixtures().into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() < 20_000).collect();
    fuzz("data", &corpus, |bytes| {
        match parse("fuzz", bytes, &[]) {
            Ok(table) => {
                assert!(
                    table.rows() * table.columns == table.values.len() && table.labels.len() == table.columns
                );
                assert!(table.values.iter().all(|value| value.is_finite()));
            }
            Err(error) => assert!(error.is_input(), "{error}"),
        }
        if let Err(error) = parse_text("fuzz", bytes.to_vec()) {
            assert!(error.is_input(), "{error}");
        }
    });
}

/// A checkpoint is believed whole or not at all.
#[test]
fn checkpoints_are_believed_or_refused() {
    let directory = Directory::new("fuzz-checkpoints");
    let sets = [
        "target.rows=50",
        "training.steps=2",
        "training.batch=8",
        "training.checkpoint_every=1",
        "model.0.hidden=[4]",
    ];
    let sets: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
    let place = directory.0.join("run");
    let run = Run::create(&place, named("moons-flow", &sets).unwrap()).unwrap();
    assert_eq!(run.train(&mut Silent).unwrap(), Ending::Finished);
    let weights = run.trained(&Silent).unwrap().vectors;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(place.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let last = files.pop().unwrap();
    let mut corpus = vec![std::fs::read(&last).unwrap()];
    corpus.extend(files.iter().map(|file| std::fs::read(file).unwrap()));
    // The last one alone decides.
    files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let whole = corpus[0].clone();
    fuzz("checkpoints", &corpus, |bytes| {
        std::fs::write(&last, bytes).unwrap();
        match Run::open(&place).and_then(|run| run.trained(&Silent)) {
            Ok(trained) => {
                assert!(bytes == whole && trained.vectors == weights, "a changed file is believed")
            }
            Err(error) => assert!(error.is_input(), "{error}"),
        }
    });
}

#[test]
fn answers_are_taken_or_refused() {
    let directory = Directory::new("fuzz-answers");
    let file = directory.0.join("answer");
    let corpus = [
        r#"{"batch": 0, "log_rewards": [0.5, -1e3], "gradients": [[1, 2], [3, 4.5]]}"#,
        r#"{"log_rewards": [0.5, null], "errors": [null, "no"]}"#,
        r#"{"error": "why"}"#,
        r#"{"batch": 1, "log_rewards": []}"#,
    ];
    let corpus = corpus.map(|text| text.as_bytes().to_vec());
    fuzz("answers", &corpus, |bytes| {
        let line: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\n').chain([b'\n']).collect();
        std::fs::write(&file, line).unwrap();
        let script = format!("while read -r line; do cat '{}'; done", file.display());
        let settings = ProcessSettings {
            command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            timeout: Duration::from_secs(20),
            restarts: 0,
            failed: None,
            conditions: 0,
            partial: false,
            gradients: true,
            log_z: None,
            place: "reward".to_owned(),
        };
        let process: Process<f32> = Process::new(settings, None).unwrap();
        let (mut out, mut scores) = ([f64::NAN; 2], [f64::NAN; 4]);
        if process.log_rewards(&[1.0, 2.0, 3.0, 4.0], &[], &mut out).is_ok() {
            assert!(out.iter().all(|value| !value.is_nan()), "{out:?}");
        }
        if process.log_rewards_with_scores(&[1.0, 2.0, 3.0, 4.0], &[], &mut out, &mut scores).is_ok() {
            assert!(out.iter().all(|value| !value.is_nan()), "{out:?}");
        }
    });
}
