//! Questions and answers as lines of JSON.

use serde::{Deserialize, Serialize};

use crate::environment::{Cell, text};
use crate::program;

/// The most moves, removals or steps of a walk, and the most features.
const MOST: usize = 1 << 20;

/// A state as the program writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a state is a list of integers from 0 to 65535, or a string")]
pub enum State {
    /// Integers.
    Cells(Vec<Cell>),
    /// A string.
    Text(String),
}

/// Which states are objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objects {
    /// All of them.
    All,
    /// Those that are said to be.
    #[default]
    Some,
    /// Those from which no move leads on.
    Last,
}

/// What holds for all states.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "what holds for all states, an object with source, moves, removals, longest and features"
)]
pub struct Facts {
    /// The source.
    pub source: State,
    /// How many moves there are.
    pub moves: usize,
    /// How many removals there are.
    pub removals: usize,
    /// The most moves from the source to an object.
    pub longest: usize,
    /// How many features there are.
    pub features: usize,
    /// Which states are objects.
    #[serde(default)]
    pub objects: Objects,
    /// The most UTF-16 units of a state that is a string.
    width: Option<usize>,
    /// Whether it writes and reads states for its users.
    #[serde(default)]
    pub describe: bool,
}

impl Facts {
    /// Refuses sizes that make no sense, in words.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            ("moves", self.moves),
            ("removals", self.removals),
            ("longest", self.longest),
            ("features", self.features),
        ];
        for (key, size) in sizes {
            text::size(key, size, 1..=MOST).map_err(|problem| problem.to_string())?;
        }
        match (&self.source, self.width) {
            (State::Text(_), Some(width)) => text::size("width", width, 1..=MOST),
            (State::Text(_), None) => text::size("width", 0, 1..=MOST),
            (State::Cells(cells), None) => text::size("numbers of the source", cells.len(), 1..=MOST),
            (State::Cells(cells), Some(width)) => text::size("width", width, cells.len()..=cells.len()),
        }
        .map_err(|problem| problem.to_string())
    }

    /// Whether states are strings.
    pub fn is_text(&self) -> bool {
        matches!(self.source, State::Text(_))
    }

    /// How many numbers a state has.
    pub fn cells(&self) -> usize {
        match &self.source {
            State::Cells(cells) => cells.len(),
            State::Text(_) => self.width.unwrap_or(0),
        }
    }
}

impl State {
    /// The numbers of a state that has `count`; those of a string are its UTF-16 units, then zeros.
    ///
    /// # Errors
    /// If it is no such state: what it is instead, and what it would have to be.
    pub fn cells(self, count: usize, is_text: bool) -> Result<Vec<Cell>, String> {
        match self {
            Self::Cells(cells) if !is_text && cells.len() == count => Ok(cells),
            Self::Text(text) if is_text => {
                let mut units: Vec<Cell> = text.encode_utf16().collect();
                if units.len() > count || text.contains(char::is_control) || text.trim() != text {
                    let allowed = format!(
                        "strings of up to {count} letters, without control characters or white space at an end"
                    );
                    return Err(format!("{text:?}, where states are {allowed}"));
                }
                units.resize(count, 0);
                Ok(units)
            }
            other => {
                let kind = if is_text { "strings".to_owned() } else { format!("lists of {count} integers") };
                let shown = serde_json::to_string(&other).unwrap_or_default();
                Err(format!("{shown}, where states are {kind}"))
            }
        }
    }

    /// The state with such numbers.
    pub fn of(cells: &[Cell], is_text: bool) -> Self {
        if !is_text {
            return Self::Cells(cells.to_vec());
        }
        let length = cells.iter().position(|unit| *unit == 0).unwrap_or(cells.len());
        Self::Text(String::from_utf16_lossy(&cells[..length]))
    }
}

/// A question.
#[derive(Debug, Serialize)]
pub struct Question {
    pub batch: u64,
    pub ask: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<State>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
}

impl Question {
    /// One about nothing yet.
    pub fn of(ask: &[&'static str]) -> Self {
        let (states, moves, removals, texts) = Default::default();
        Self { batch: 0, ask: ask.to_vec(), states, moves, removals, texts }
    }
}

/// An answer.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with what was asked for")]
pub struct Answer {
    batch: Option<u64>,
    error: Option<String>,
    pub start: Option<Facts>,
    pub allowed: Option<Vec<Vec<u32>>>,
    pub removable: Option<Vec<Vec<u32>>>,
    pub features: Option<Vec<Vec<u32>>>,
    pub object: Option<Vec<bool>>,
    pub apply: Option<Vec<(State, u32)>>,
    pub undo: Option<Vec<(State, u32)>>,
    pub describe: Option<Vec<String>>,
    pub parse: Option<Vec<Option<State>>>,
    pub log_rewards: Option<Vec<Option<f64>>>,
}

impl program::Answer for Answer {
    fn batch(&self) -> Option<u64> {
        self.batch
    }

    fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

/// A list that was asked for, one of whose entries belongs to each of `count` states.
///
/// # Errors
/// If it is not there, or has another length.
pub fn list<T>(name: &str, found: Option<Vec<T>>, count: usize) -> Result<Vec<T>, String> {
    match found {
        Some(found) if found.len() == count => Ok(found),
        Some(found) => Err(format!("it answered {} entries of {name} for {count}", found.len())),
        None => Err(format!("it answered without {name}")),
    }
}
