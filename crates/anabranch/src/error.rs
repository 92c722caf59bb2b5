//! What can go wrong, said once and in the user's words.
//!
//! Two kinds matter to a caller: [`Error::Input`] is the user's to mend (the program exits with 2),
//! everything else is not (it exits with 1).

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something the user gave is wrong; see [`Problem`].
    #[error("{0}")]
    Input(Box<Problem>),
    /// A number left the finite range during training or estimation.
    #[error("{}{term} is not finite ({detail})", if *step > 0 { format!("step {step}: ") } else { String::new() })]
    Numeric {
        /// Optimiser step, from 1; 0 outside of training.
        step: u64,
        /// The term that failed, such as `loss` or `gradient of flow.0`.
        term: String,
        /// The values around it.
        detail: String,
    },
    /// There are no rewards where none can be done without: what whoever was asked for them said.
    #[error("the reward failed: {0}")]
    Reward(String),
    /// A signal, or whoever watches, asked the work to stop.
    #[error("stopped")]
    Interrupted,
    /// The operating system refused a file operation.
    #[error("could not {action} {}: {}", path.display(), reason(source))]
    Io {
        /// The verb, such as `read` or `write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps an operating-system error with what was attempted and where.
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// An operating-system error while writing what the user asked for at `place` (a flag with its path): the user's
    /// to mend where the path itself is at fault, the machine's otherwise, as when the disk is full.
    pub fn output(place: &str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{
            AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound,
            PermissionDenied, ReadOnlyFilesystem,
        };
        match source.kind() {
            AlreadyExists | InvalidFilename | InvalidInput | IsADirectory | NotADirectory | NotFound
            | PermissionDenied | ReadOnlyFilesystem => {
                Problem::new(place, reason(&source)).allowed("a path that can be written").into()
            }
            _ => Self::io("write", path, source),
        }
    }

    /// The same failure of a number at the optimiser step that only training knows.
    pub fn at_step(self, step: u64) -> Self {
        match self {
            Self::Numeric { step: 0, term, detail } => Self::Numeric { step, term, detail },
            other => other,
        }
    }

    /// Whether the user's input caused this, and not the program or the machine.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Input(_))
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Input(Box::new(problem))
    }
}

/// One thing wrong with the input: where it stands, what was found there, what is allowed, and the
/// nearest valid choice when a name was misspelt.
///
/// ```
/// use anabranch::error::Problem;
/// let problem = Problem::new("optimizer.kind", "\"adm\"").choices(&["adam", "adamw"]);
/// assert_eq!(
///     problem.to_string(),
///     "optimizer.kind: found \"adm\"; allowed: adam, adamw; did you mean \"adam\"?"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    place: String,
    found: String,
    allowed: Option<String>,
    nearest: Option<String>,
}

impl Problem {
    /// A problem at `place` (file, line, key or flag), where `found` stood.
    pub fn new(place: impl Into<String>, found: impl Into<String>) -> Self {
        Self { place: place.into(), found: found.into(), allowed: None, nearest: None }
    }

    /// Says what would have been accepted.
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// Says which names are accepted, and suggests the nearest.
    pub fn choices<S: AsRef<str>>(mut self, choices: &[S]) -> Self {
        let names: Vec<&str> = choices.iter().map(AsRef::as_ref).collect();
        self.nearest = nearest(self.found.trim_matches(['"', '`', '\'']), &names).map(str::to_owned);
        self.allowed = Some(names.join(", "));
        self
    }

    /// Where it stands.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What stood there.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// The same problem at a place that only an outer caller knows, such as the file and line of a key.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}: found {}", self.place, self.found);
        text.extend(self.allowed.iter().flat_map(|allowed| ["; allowed: ", allowed]));
        text.extend(self.nearest.iter().flat_map(|nearest| ["; did you mean \"", nearest, "\"?"]));
        // A message is one line, whatever names and values the user chose.
        text.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_debug()) } else { f.write_char(c) }
        })
    }
}

/// What the user wrote, in quotes, on one line and not longer than a line should be.
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    let rest = if text.chars().nth(60).is_some() { "..." } else { "" };
    format!("\"{shown}{rest}\"")
}

/// Names in a row, the last behind `word`: `a, b or c`.
pub(crate) fn listed<S: AsRef<str>>(names: &[S], word: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The operating system's words for what went wrong, without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// The candidate closest to `name` in edit distance, if any is close enough to be a likely typing slip.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let length = name.chars().count();
    candidates
        .iter()
        .filter_map(|candidate| {
            let other = candidate.chars().count();
            let most = 1 + length.max(other) / 3;
            // No distance is below the difference of the lengths, and a long one takes long to find.
            let near = length.abs_diff(other) <= most;
            near.then(|| (strsim::damerau_levenshtein(name, candidate), *candidate))
                .filter(|found| found.0 <= most)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Why a step, or a batch of objects, got no numbers.
#[derive(Debug)]
pub enum Failure {
    /// This one has none, another may: it is left out and counted.
    Skip(String),
    /// There will be none.
    Stop(Error),
}

impl Failure {
    /// The error that it is where nothing can be left out.
    pub fn into_error(self) -> Error {
        match self {
            Self::Stop(error) => error,
            Self::Skip(words) => Error::Reward(words),
        }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

/// Refuses 0 at `key`.
pub(crate) fn positive(key: &str, value: u64) -> Result<()> {
    if value == 0 {
        return Err(Problem::new(key, "0").allowed("an integer of at least 1").into());
    }
    Ok(())
}

/// Refuses what is not from `low` to `high` at `key`; [`f64::MIN_POSITIVE`] and [`f64::MAX`] stand for no bound.
pub(crate) fn within(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if !(low..=high).contains(&value) {
        let allowed = match (low == f64::MIN_POSITIVE, high == f64::MAX) {
            (true, true) => "a positive number".to_owned(),
            (true, false) => format!("a positive number up to {high}"),
            (false, true) => format!("a number from {low}"),
            (false, false) => format!("a number from {low} to {high}"),
        };
        return Err(Problem::new(key, value.to_string()).allowed(allowed).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_other_names() {
        let names = ["training", "target", "b", "größe"];
        assert_eq!(nearest("trainnig", &names), Some("training"));
        assert_eq!(nearest("grösse", &names), Some("größe"));
        assert_eq!(nearest("optimizer", &names), None);
        assert_eq!(nearest("", &names), Some("b"));
        // A table of all pairs of letters would not fit into memory.
        let long = "x".repeat(3_000_000);
        assert_eq!(nearest(&long, &names), None);
    }
}
