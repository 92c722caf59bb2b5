//! What the names of metrics mean: every name that a run or an evaluation writes, in the order in which the book lists them.

mod evidence;
mod law;
mod likelihood;
mod network;
mod objects;
mod samples;
mod time;

/// Which of two values of a metric is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// Neither: it says something else.
    Neither,
}

/// A metric in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name for people.
    pub label: String,
    /// Its unit; empty for none.
    pub unit: &'static str,
    /// What it means, in a line; empty where that is not known.
    pub meaning: &'static str,
    /// Which value is better.
    pub better: Better,
}

/// A metric: its name, label, unit, which value is better, and its meaning.
type Known = (&'static str, &'static str, &'static str, Better, &'static str);

/// The headings under which metrics stand, in the order of the book, each with its metrics.
const GROUPS: [(&str, &[Known]); 7] = [
    ("Likelihood", likelihood::KNOWN),
    ("log Z: bounds and weights", evidence::KNOWN),
    ("Samples against what they are to resemble", samples::KNOWN),
    ("The learned law against the exact one", law::KNOWN),
    ("What the network says of log Z and free energies", network::KNOWN),
    ("Objects, modes and counts", objects::KNOWN),
    ("Time", time::KNOWN),
];

fn known() -> impl Iterator<Item = &'static Known> {
    GROUPS.iter().flat_map(|(_, metrics)| metrics.iter())
}

/// The words for a metric; an unknown one is called by its name.
pub fn describe(name: &str) -> Description {
    if let Some((_, label, unit, better, meaning)) = known().find(|known| known.0 == name) {
        return Description { label: (*label).to_owned(), unit, meaning, better: *better };
    }
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    let label = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    Description { label, unit: "", meaning: "", better: Better::Neither }
}

/// The heading under which a metric stands.
pub(super) fn group(name: &str) -> &'static str {
    GROUPS
        .iter()
        .find(|(_, metrics)| metrics.iter().any(|known| known.0 == name))
        .map_or("Others", |(heading, _)| heading)
}

/// The names of all metrics.
pub fn known_metrics() -> impl Iterator<Item = &'static str> {
    known().map(|known| known.0)
}

#[cfg(test)]
mod tests;
