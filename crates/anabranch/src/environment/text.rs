//! States as text, and the names and sizes that users choose.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::{Index, RangeInclusive};

use super::Cell;
use crate::error::{Problem, nearest, quoted};

/// What [`super::Environment::parse`] answers about a text that it does not accept.
pub(super) fn refused(found: impl Display, allowed: impl Display) -> String {
    format!("{found}; allowed: {allowed}")
}

/// Refuses a size out of range.
pub(super) fn size(place: &str, found: usize, allowed: RangeInclusive<usize>) -> Result<(), Problem> {
    if allowed.contains(&found) {
        return Ok(());
    }
    let (least, most) = allowed.into_inner();
    let range = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    Err(Problem::new(place, found.to_string()).allowed(range))
}

/// Refuses a range of sizes that is empty or reaches above `most`.
pub(super) fn sizes(place: &str, found: &RangeInclusive<usize>, most: usize) -> Result<(), Problem> {
    if found.start() <= found.end() && *found.end() <= most {
        return Ok(());
    }
    let range = format!("{} to {}", found.start(), found.end());
    Err(Problem::new(place, range).allowed(format!("a range of 0 to {most}, the smaller end first")))
}

/// The items of a list in the brackets of the example, such as `{1, 0}`; none for nothing between.
pub(super) fn items<'a>(text: &'a str, example: &str) -> Result<Vec<&'a str>, String> {
    let (open, close) = (&example[..1], &example[example.len() - 1..]);
    let inside = text.trim().strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let inside = inside.ok_or_else(|| refused(quoted(text), format!("a list such as {example}")))?.trim();
    Ok(if inside.is_empty() { Vec::new() } else { inside.split(',').map(str::trim).collect() })
}

/// A number from 0 to `most`.
pub(super) fn number(text: &str, most: usize) -> Result<Cell, String> {
    let number = text.parse().ok().filter(|number| usize::from(*number) <= most);
    number.ok_or_else(|| refused(quoted(text), format!("0 to {most}")))
}

/// `(1, 0)`.
pub(super) fn point(state: &[Cell]) -> String {
    let numbers: Vec<String> = state.iter().map(ToString::to_string).collect();
    format!("({})", numbers.join(", "))
}

/// Reads a [`point`] whose numbers are at most `most`.
pub(super) fn parse_point(text: &str, most: usize, state: &mut [Cell]) -> Result<(), String> {
    let numbers = items(text, "(1, 0)")?;
    if numbers.len() != state.len() {
        return Err(refused(format!("{} numbers", numbers.len()), state.len()));
    }
    for (cell, text) in state.iter_mut().zip(numbers) {
        *cell = number(text, most)?;
    }
    Ok(())
}

/// Distinct names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// `"0"`, `"1"`, ...
    pub fn numbered(count: usize) -> Self {
        Self((0..count).map(|i| i.to_string()).collect())
    }

    /// Names that a user chose; `reserved` are the characters that states are written with.
    ///
    /// # Errors
    /// If there is none, one stands twice, is empty, or holds white space or a reserved character.
    pub fn new<S: AsRef<str>>(place: &str, names: &[S], reserved: &str) -> Result<Self, Problem> {
        let mut known = HashSet::new();
        for name in names.iter().map(AsRef::as_ref) {
            let reads_otherwise =
                |c: char| c.is_whitespace() || c.is_control() || c == '"' || reserved.contains(c);
            // A lone comparison stands between a root and a state, lone underscores for an empty place.
            if name == "<=" || name.chars().all(|c| c == '_') || name.contains(reads_otherwise) {
                let marks: Vec<String> = reserved.chars().chain(['"']).map(String::from).collect();
                let marks = marks.join(" ");
                let allowed = format!("names without white space or {marks}, and not <= or _ alone");
                return Err(Problem::new(place, quoted(name)).allowed(allowed));
            }
            if !known.insert(name) {
                let twice = format!("{} twice", quoted(name));
                return Err(Problem::new(place, twice).allowed("names that differ"));
            }
        }
        if names.is_empty() {
            return Err(Problem::new(place, "none").allowed("one or more"));
        }
        Ok(Self(names.iter().map(|name| name.as_ref().to_owned()).collect()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of a name.
    ///
    /// # Errors
    /// If there is no such name: the nearest one.
    pub fn find(&self, name: &str) -> Result<usize, String> {
        self.0.iter().position(|known| known == name).ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
            let hint = nearest(name, &names).map(|near| format!("; did you mean \"{near}\"?"));
            let shown = &names[..names.len().min(20)];
            let more = if shown.len() < names.len() { ", ..." } else { "" };
            let message = refused(quoted(name), format!("{}{more}", shown.join(", ")));
            message + &hint.unwrap_or_default()
        })
    }

    /// All names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Index<usize> for Names {
    type Output = str;

    fn index(&self, i: usize) -> &str {
        &self.0[i]
    }
}
