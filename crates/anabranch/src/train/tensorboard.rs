//! TensorBoard event files: training curves, final numbers and the sample grid, as TensorBoard reads them.
//!
//! ```text
//! file     record*                                            DIR/tensorboard/events.out.tfevents.TIME.anabranch.NUMBER
//! record   length u64, masked CRC u32, bytes, masked CRC u32  little-endian (TFRecord)
//! mask     (crc >> 15 | crc << 17) + 0xa282ead8               of CRC-32C over the length, and over the bytes
//! bytes    an `Event` message in protocol buffers: wall_time, step and one of file_version, summary, session_log
//! ```
//!
//! A process that trains starts a new file and never touches an older one. After `brain.Event:2` it says that a session
//! starts at the next step: that makes TensorBoard drop, from the older files, the steps that a resumed run makes again.
//! What an evaluation finds goes to a file of its own, which the next evaluation replaces.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::plot::ImageGrid;

/// One entry of a summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Entry<'a> {
    /// A number.
    Scalar(f64),
    /// A PNG file, grey with transparency.
    Image {
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
        /// The file's bytes.
        png: &'a [u8],
    },
    /// What the session's hyper-parameters are: numbers, words and truths.
    Hyperparameters(&'a [(String, Value)]),
    /// The session came to its end.
    Done,
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What<'a> {
    /// The first event of a file.
    Version,
    /// A session starts: events of earlier files at this step or later no longer count.
    SessionStart,
    /// Entries with their tags.
    Summary(&'a [(&'a str, Entry<'a>)]),
}

/// An `Event` message.
///
/// `wall_time` is in seconds since 1970.
pub fn event(wall_time: f64, step: u64, what: What<'_>) -> Vec<u8> {
    let mut message = Message::default();
    message.double(1, wall_time);
    message.integer(2, step);
    match what {
        What::Version => message.bytes(3, b"brain.Event:2"),
        What::SessionStart => {
            let mut log = Message::default();
            log.integer(1, 1);
            message.bytes(7, &log.0);
        }
        What::Summary(entries) => {
            let mut summary = Message::default();
            for (tag, entry) in entries {
                let mut value = Message::default();
                value.bytes(1, tag.as_bytes());
                match entry {
                    Entry::Scalar(number) => value.float(2, *number as f32),
                    Entry::Image { height, width, png } => {
                        let mut image = Message::default();
                        image.integer(1, *height as u64);
                        image.integer(2, *width as u64);
                        // Two channels: grey and transparency.
                        image.integer(3, 2);
                        image.bytes(4, png);
                        value.bytes(4, &image.0);
                    }
                    Entry::Hyperparameters(all) => value.hparams(3, &session_start(all)),
                    // Its status: success.
                    Entry::Done => value.hparams(4, &Message(vec![1 << 3, 1])),
                }
                summary.bytes(1, &value.0);
            }
            message.bytes(5, &summary.0);
        }
    }
    message.0
}

/// A `SessionStartInfo` message of the plug-in of hyper-parameters; what is neither number, word nor truth is written as JSON.
fn session_start(all: &[(String, Value)]) -> Message {
    let mut start = Message::default();
    for (name, found) in all {
        let mut value = Message::default();
        match found {
            Value::Bool(truth) => {
                value.key(4, 0);
                value.varint(u64::from(*truth));
            }
            Value::String(word) => value.bytes(3, word.as_bytes()),
            other => match other.as_f64() {
                Some(number) => value.double(2, number),
                None => value.bytes(3, other.to_string().as_bytes()),
            },
        }
        let mut entry = Message::default();
        entry.bytes(1, name.as_bytes());
        entry.bytes(2, &value.0);
        start.bytes(1, &entry.0);
    }
    start
}

/// A TFRecord around some bytes.
pub fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 16);
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked_crc(&length).to_le_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(&masked_crc(bytes).to_le_bytes());
    out
}

/// A CRC-32C that may stand within data that is itself checked by one.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// A message in the wire format of protocol buffers.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    /// A number that is 0 unless it is there.
    fn integer(&mut self, field: u64, value: u64) {
        if value == 0 {
            return;
        }
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// What makes a summary's value one of the plug-in of hyper-parameters: an empty tensor of one number's kind, and the message.
    fn hparams(&mut self, field: u64, message: &Message) {
        self.bytes(8, b"\x08\x01\x12\x02\x12\x00");
        let [mut content, mut plugin, mut metadata] = [0; 3].map(|_| Message::default());
        content.bytes(field, &message.0);
        plugin.bytes(1, b"hparams");
        plugin.bytes(2, &content.0);
        metadata.bytes(1, &plugin.0);
        self.bytes(9, &metadata.0);
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }
}

/// An event file being written.
#[derive(Debug)]
struct EventFile {
    path: PathBuf,
    file: File,
}

/// What the names of an evaluation's files end in.
const EVALUATION: &str = ".evaluation";

impl EventFile {
    /// A new file that comes after all others of the directory in the order of names, which is TensorBoard's.
    fn create(directory: &Path, suffix: &str) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, error))?;
        // A clock that was set back must not put a new file before an old one.
        let last = names(directory)?.iter().filter_map(|name| place(name)).max();
        let now = wall_time() as u64;
        let (time, number) = match last {
            Some((time, number)) if time >= now => (time, number + 1),
            _ => (now, 0),
        };
        let path = directory.join(format!("{PREFIX}{time:010}.anabranch.{number:04}{suffix}"));
        let file = File::create_new(&path).map_err(|error| Error::io("create", &path, error))?;
        let mut events = Self { path, file };
        events.write(0, What::Version)?;
        Ok(events)
    }

    fn write(&mut self, step: u64, what: What<'_>) -> Result<()> {
        let bytes = record(&event(wall_time(), step, what));
        self.file.write_all(&bytes).map_err(|error| Error::io("write", &self.path, error))
    }
}

const PREFIX: &str = "events.out.tfevents.";

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The names of the event files in a directory.
fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).map_err(|error| Error::io("list", directory, error))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with(PREFIX)).collect())
}

/// Time and number in the name of an event file.
fn place(name: &str) -> Option<(u64, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.nth(1)?.parse().ok()?))
}

fn directory_of(run: &Path) -> PathBuf {
    run.join("tensorboard")
}

/// The events of one process that trains; its file is made with the first of them.
#[derive(Debug)]
pub struct EventLog {
    directory: PathBuf,
    first: u64,
    validation: &'static str,
    file: Option<EventFile>,
}

impl EventLog {
    /// Events after `step` of the run in a directory. `validation` says what its validation score is, such as `nll`.
    pub fn after(run: &Path, step: u64, validation: &'static str) -> Self {
        Self { directory: directory_of(run), first: step + 1, validation, file: None }
    }

    /// Writes the numbers of a line of `metrics.jsonl`: those of training as `train/...`, the score and measures of the task as
    /// `validation/...`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, step: u64, line: &Map<String, Value>) -> Result<()> {
        let scalars: Vec<(String, Entry<'_>)> = line
            .iter()
            .filter_map(|(name, value)| {
                let tag = match name.as_str() {
                    "validation" => format!("validation/{}", self.validation),
                    "loss" | "gradient_norm" | "learning_rate" | "steps_per_second" | "seconds"
                    | "trajectories" => {
                        format!("train/{name}")
                    }
                    measure => format!("validation/{measure}"),
                };
                Some((tag, Entry::Scalar(value.as_f64()?)))
            })
            .collect();
        let entries: Vec<(&str, Entry<'_>)> =
            scalars.iter().map(|(tag, entry)| (tag.as_str(), *entry)).collect();
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut file = EventFile::create(&self.directory, "")?;
                file.write(self.first, What::SessionStart)?;
                none.insert(file)
            }
        };
        file.write(step, What::Summary(&entries))
    }
}

/// Writes what an evaluation after `step` steps found, in place of what an earlier one did: metrics as
/// `evaluation/NAME`, the recipe's values by their keys as hyper-parameters, by which TensorBoard lists and compares runs, and the sample
/// grid as `samples` where samples are images.
///
/// # Errors
/// If a file cannot be written or removed.
pub fn write_evaluation(
    run: &Path,
    step: u64,
    recipe: &Value,
    metrics: &Map<String, Value>,
    samples: Option<&ImageGrid>,
) -> Result<()> {
    let directory = directory_of(run);
    std::fs::create_dir_all(&directory).map_err(|error| Error::io("create", &directory, error))?;
    for old in names(&directory)?.iter().filter(|name| name.ends_with(EVALUATION)) {
        let path = directory.join(old);
        std::fs::remove_file(&path).map_err(|error| Error::io("remove", &path, error))?;
    }
    let tags: Vec<(String, f64)> = metrics
        .iter()
        .filter_map(|(name, value)| Some((format!("evaluation/{name}"), value.as_f64()?)))
        .collect();
    let png = samples.map(ImageGrid::png);
    let mut entries: Vec<(&str, Entry<'_>)> =
        tags.iter().map(|(tag, number)| (tag.as_str(), Entry::Scalar(*number))).collect();
    if let (Some(grid), Some(png)) = (samples, &png) {
        let (width, height) = grid.size();
        entries.push(("samples", Entry::Image { height, width, png }));
    }
    let mut parameters = Vec::new();
    leaves("", recipe, &mut parameters);
    entries.push(("_hparams_/session_start_info", Entry::Hyperparameters(&parameters)));
    entries.push(("_hparams_/session_end_info", Entry::Done));
    EventFile::create(&directory, EVALUATION)?.write(step, What::Summary(&entries))
}

/// The values of a recipe by their dotted keys; lists of tables by their places, what only names the run left out.
fn leaves(key: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Object(table) => {
            let named = table
                .iter()
                .filter(|(name, _)| !key.is_empty() || !["name", "title"].contains(&name.as_str()));
            named.for_each(|(name, value)| leaves(&below(name), value, out));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(place, item)| leaves(&below(&place.to_string()), item, out));
        }
        Value::Null => {}
        other => out.push((key.to_owned(), other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by TensorBoard 2.21 itself, with its record writer and its protocol buffers.
    const GOLDEN: &[u8] = include_bytes!("../../tests/data/events.out.tfevents.golden");

    /// Two pixels, one below the other.
    const PNG: &[u8] =
        b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\
        \x00\x02\x08\x04\x00\x00\x00\x33\x88\x7e\xac\x00\x00\x00\x0e\x49\x44\x41\x54\x78\x9c\x63\
        \x60\xff\xcf\xf0\xe1\x3f\x00\x07\x04\x02\xf6\x02\x4e\x0e\x96\x00\x00\x00\x00\x49\x45\x4e\
        \x44\xae\x42\x60\x82";

    #[test]
    fn bytes_are_those_that_tensorboard_writes() {
        let loss = ("train/loss", Entry::Scalar(2.5));
        let validation = ("validation/nll", Entry::Scalar(-1.25));
        let zero = ("train/gradient_norm", Entry::Scalar(0.0));
        let image = ("samples", Entry::Image { height: 2, width: 1, png: PNG });
        let events = [
            event(1e9, 0, What::Version),
            event(1e9, 1, What::SessionStart),
            event(1e9 + 0.5, 1, What::Summary(&[loss, validation])),
            event(1e9 + 1.0, 300, What::Summary(&[zero])),
            event(1e9 + 2.0, 300, What::Summary(&[image])),
        ];
        let written: Vec<u8> = events.iter().flat_map(|event| record(event)).collect();
        assert_eq!(written, GOLDEN);
    }

    /// Written by the same TensorBoard's plug-in of hyper-parameters.
    #[test]
    fn hyperparameters_are_those_that_tensorboard_writes() {
        let golden = include_bytes!("../../tests/data/events.out.tfevents.hparams");
        let recipe = serde_json::json!({
            "name": "left-out",
            "optimizer": {"learning_rate": 1e-3},
            "objective": {"kind": "forward-kl"},
            "residual": true,
        });
        let mut all = Vec::new();
        leaves("", &recipe, &mut all);
        all.sort_by(|a, b| b.0.cmp(&a.0));
        let order = [1, 2, 0].map(|place| vec![all[place].clone()]);
        let mut written = Vec::new();
        for all in &order {
            let entry = [("_hparams_/session_start_info", Entry::Hyperparameters(all))];
            written.extend(record(&event(1e9, 7, What::Summary(&entry))));
        }
        let done = What::Summary(&[("_hparams_/session_end_info", Entry::Done)]);
        written.extend(record(&event(1e9, 7, done)));
        assert_eq!(written, golden);
        let mut nested = Vec::new();
        leaves(
            "",
            &serde_json::json!({"model": [{"kind": "flow", "hidden": [8, 8], "none": null}]}),
            &mut nested,
        );
        let keys: Vec<String> = nested.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(keys, ["model.0.kind=\"flow\"", "model.0.hidden=[8,8]"]);
    }

    /// The vectors of RFC 3720, B.4 (8A9136AA, 62A8AB43 and 46DD794E), through the mask of TFRecord.
    #[test]
    fn checksums_are_masked_crc_32c() {
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(masked_crc(&[0; 32]), 0x0FD7_FFFA);
        assert_eq!(masked_crc(&[0xFF; 32]), 0xF909_B029);
        assert_eq!(masked_crc(&ascending), 0x951F_7892);
    }

    /// Splits a file into its records, checking each frame by its definition.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some((length, _)) = bytes.split_first_chunk::<8>() {
            let size = u64::from_le_bytes(*length) as usize;
            assert_eq!(bytes[8..12], masked_crc(length).to_le_bytes());
            let data = &bytes[12..12 + size];
            assert_eq!(bytes[12 + size..16 + size], masked_crc(data).to_le_bytes());
            out.push(data.to_vec());
            bytes = &bytes[16 + size..];
        }
        assert!(bytes.is_empty());
        out
    }

    /// A message's fields: number, and a varint's or fixed number's bits or the bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
            let value =
                bytes[..length].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7F));
            *bytes = &bytes[length..];
            value
        }
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let take = |bytes: &mut &[u8], size: usize| -> u64 {
                let value = bytes[..size].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
                *bytes = &bytes[size..];
                value
            };
            match key & 7 {
                0 => out.push((key >> 3, varint(&mut bytes), &bytes[..0])),
                1 => out.push((key >> 3, take(&mut bytes, 8), &bytes[..0])),
                5 => out.push((key >> 3, take(&mut bytes, 4), &bytes[..0])),
                2 => {
                    let size = varint(&mut bytes) as usize;
                    out.push((key >> 3, 0, &bytes[..size]));
                    bytes = &bytes[size..];
                }
                other => panic!("wire type {other}"),
            }
        }
        out
    }

    /// Per event: its step, and tag and number of each scalar; `START` for a session's start.
    fn read(bytes: &[u8]) -> Vec<(u64, Vec<(String, f32)>)> {
        records(bytes)
            .iter()
            .map(|record| {
                let event = fields(record);
                let step = event.iter().find(|field| field.0 == 2).map_or(0, |field| field.1);
                let entries = event.iter().flat_map(|(number, _, inner)| match number {
                    3 => vec![(String::from_utf8(inner.to_vec()).unwrap(), 0.0)],
                    7 => vec![("START".to_owned(), fields(inner)[0].1 as f32)],
                    5 => fields(inner)
                        .iter()
                        .map(|(_, _, value)| {
                            let value = fields(value);
                            let number = value
                                .iter()
                                .find(|field| field.0 == 2)
                                .map_or(0.0, |f| f32::from_bits(f.1 as u32));
                            (String::from_utf8(value[0].2.to_vec()).unwrap(), number)
                        })
                        .collect(),
                    _ => Vec::new(),
                });
                (step, entries.collect())
            })
            .collect()
    }

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("anabranch-events-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    fn line(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_resumed_run_starts_a_later_file_at_its_next_step() {
        let run = scratch("resume");
        let mut log = EventLog::after(&run, 0, "nll");
        assert!(!run.exists(), "nothing is written before the first event");
        log.write(50, &line(serde_json::json!({ "loss": 2.5, "gradient_norm": 1.0, "gone": null }))).unwrap();
        log.write(100, &line(serde_json::json!({ "validation": -3.0 }))).unwrap();
        EventLog::after(&run, 60, "nll").write(110, &line(serde_json::json!({ "loss": 1.5 }))).unwrap();
        let mut files = names(&run.join("tensorboard")).unwrap();
        files.sort();
        assert_eq!(files.len(), 2);
        let contents: Vec<_> = files
            .iter()
            .map(|file| read(&std::fs::read(run.join("tensorboard").join(file)).unwrap()))
            .collect();
        let entry = |tag: &str, number: f32| (tag.to_owned(), number);
        assert_eq!(
            contents[0],
            [
                (0, vec![entry("brain.Event:2", 0.0)]),
                (1, vec![entry("START", 1.0)]),
                (50, vec![entry("train/loss", 2.5), entry("train/gradient_norm", 1.0)]),
                (100, vec![entry("validation/nll", -3.0)]),
            ]
        );
        assert_eq!(
            contents[1],
            [
                (0, vec![entry("brain.Event:2", 0.0)]),
                (61, vec![entry("START", 1.0)]),
                (110, vec![entry("train/loss", 1.5)]),
            ]
        );
        std::fs::remove_dir_all(run).unwrap();
    }

    #[test]
    fn an_evaluation_replaces_the_one_before() {
        let run = scratch("evaluation");
        let grid = ImageGrid { height: 1, width: 1, columns: 1, tiles: vec![vec![7]] };
        for nll in [3.0, 2.0] {
            let metrics = line(serde_json::json!({ "nll": nll }));
            write_evaluation(&run, 40, &Value::Null, &metrics, Some(&grid)).unwrap();
        }
        let files = names(&run.join("tensorboard")).unwrap();
        assert_eq!(files.len(), 1);
        let events = read(&std::fs::read(run.join("tensorboard").join(&files[0])).unwrap());
        let parameters = ["_hparams_/session_start_info", "_hparams_/session_end_info"];
        let tags = [("evaluation/nll", 2.0), ("samples", 0.0), (parameters[0], 0.0), (parameters[1], 0.0)];
        assert_eq!(events[1], (40, tags.map(|(tag, number)| (tag.to_owned(), number)).to_vec()));
        std::fs::remove_dir_all(run).unwrap();
    }

    #[test]
    fn a_clock_set_back_does_not_reorder_files() {
        let run = scratch("clock");
        std::fs::create_dir_all(&run).unwrap();
        let later = wall_time() as u64 + 5000;
        std::fs::write(run.join(format!("{PREFIX}{later:010}.anabranch.0007")), b"").unwrap();
        let file = EventFile::create(&run, "").unwrap();
        assert!(file.path.ends_with(format!("{PREFIX}{later:010}.anabranch.0008")), "{:?}", file.path);
        std::fs::remove_dir_all(run).unwrap();
    }
}
