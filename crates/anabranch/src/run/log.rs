//! The log of a run: one JSON object per line, each with its step.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::data::atomic::atomic_write;
use crate::error::{Error, Result};

/// `metrics.jsonl`: one object per line, each with its step.
pub(super) struct MetricsLog {
    path: PathBuf,
    file: std::fs::File,
}

impl MetricsLog {
    /// Opens the log, dropping lines after `step` (they will be written again) and a torn last line.
    pub fn after(directory: &Path, step: u64) -> Result<Self> {
        let path = directory.join("metrics.jsonl");
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            // What cannot be read now must not be written over.
            read => read.map_err(|error| Error::io("read", &path, error))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let kept = text.lines().filter(|line| {
            let parsed = serde_json::from_str::<Value>(line).ok();
            parsed.and_then(|value| value["step"].as_u64()).is_some_and(|at| at <= step)
        });
        let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
        atomic_write(&path, |out| out.write_all(kept.as_bytes()))?;
        let file =
            std::fs::OpenOptions::new().append(true).open(&path).map_err(|e| Error::io("open", &path, e))?;
        Ok(Self { path, file })
    }

    pub fn write(&mut self, step: u64, fields: Map<String, Value>) -> Result<()> {
        let mut line = Map::from_iter([("step".to_owned(), json!(step))]);
        line.extend(fields);
        writeln!(self.file, "{}", Value::Object(line)).map_err(|error| Error::io("write", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that is there but cannot be read is not taken for an empty one, and written over.
    #[test]
    fn an_unreadable_log_is_an_error() {
        let directory = std::env::temp_dir().join(format!("anabranch-log-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("metrics.jsonl")).unwrap();
        let Err(error) = MetricsLog::after(&directory, 3) else { panic!("a directory is no log") };
        assert!(error.to_string().starts_with("could not read "), "{error}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
