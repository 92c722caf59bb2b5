//! Writing a recipe for a file of data.

use std::path::{Path, PathBuf};

use anabranch::data::atomic::{atomic_write, check_writable};
use anabranch::error::{Error, Problem, Result};
use anabranch::recipe::draft;

use crate::output::say;

/// Drafts a recipe for `data` by one of the families, into a file that is not there yet or, as `-`, onto standard output.
pub fn new(data: &Path, family: &str, out: Option<PathBuf>) -> Result<()> {
    let draft = draft(data, family)?;
    if out.as_deref() == Some(Path::new("-")) {
        return say(&draft.text);
    }
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{}.toml", draft.name)));
    let place = format!("--out {}", out.display());
    if out.exists() {
        let found = "a file that is there already";
        return Err(Problem::new(place, found).allowed("a new path, or - for standard output").into());
    }
    let written =
        check_writable(&out).and_then(|()| atomic_write(&out, |file| file.write_all(draft.text.as_bytes())));
    written.map_err(|error| match error {
        Error::Io { path, source, .. } => Error::output(&place, &path, source),
        other => other,
    })?;
    say(&format!("{}\n", out.display()))
}
