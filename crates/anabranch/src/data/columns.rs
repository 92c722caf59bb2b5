//! The columns of a file: their names where it gives any, and which of them are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;
use crate::error::{Error, Problem, Result, quoted};

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "another type, expected a column's name or its index from 0")]
pub enum Column {
    /// Its index, counted from 0.
    Index(usize),
    /// Its name: in the header line of a CSV file, or in the schema of a Parquet file.
    Name(String),
}

/// The columns of the file `place`, of which some are kept.
pub(super) struct Columns<'a> {
    place: &'a str,
    names: Vec<String>,
    kept: Vec<usize>,
}

impl<'a> Columns<'a> {
    /// All `count` columns but those to `drop`; `names` is empty where the file names none.
    ///
    /// # Errors
    /// If a column to drop is not there, or none would be left.
    pub fn new(place: &'a str, count: usize, names: Vec<String>, drop: &[Column]) -> Result<Self> {
        let mut kept = vec![true; count];
        for column in drop {
            match column {
                Column::Index(index) => match kept.get_mut(*index) {
                    Some(keep) => *keep = false,
                    None => {
                        return Err(Problem::new("target.drop", index.to_string())
                            .allowed(format!("an index below {count}, the number of columns of {place}"))
                            .into());
                    }
                },
                Column::Name(name) if names.contains(name) => {
                    let same = names.iter().zip(&mut kept).filter(|(other, _)| *other == name);
                    same.for_each(|(_, keep)| *keep = false);
                }
                Column::Name(name) => {
                    let problem = Problem::new("target.drop", format!("\"{name}\""));
                    return Err(if names.is_empty() {
                        problem
                            .allowed(format!("an index below {count}: the columns of {place} have no names"))
                    } else {
                        problem.choices(&names)
                    }
                    .into());
                }
            }
        }
        let kept: Vec<usize> = (0..count).filter(|index| kept[*index]).collect();
        if kept.is_empty() {
            let found = if count == 0 { "no columns" } else { "no columns left by target.drop" };
            return Err(Problem::new(place, found).allowed("at least one column of numbers").into());
        }
        Ok(Self { place, names, kept })
    }

    /// The indices of the columns that are kept, ascending.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// A column in a message: its name, or its number from 1, as lines are counted.
    fn describe(&self, index: usize) -> String {
        match self.names.get(index) {
            Some(name) => by_name(name),
            None => format!("column {}", index + 1),
        }
    }

    /// A problem in the column `index` of the row or line `at`.
    pub fn problem(&self, at: impl std::fmt::Display, index: usize, found: impl Into<String>) -> Problem {
        Problem::new(format!("{}, {at}, {}", self.place, self.describe(index)), found)
    }

    /// `value` as the nearest f32.
    ///
    /// # Errors
    /// If that is not finite; the row `row`, counted from 0, and the column `index` are named.
    pub fn finite(&self, row: usize, index: usize, value: f64) -> Result<f32> {
        let rounded = value as f32;
        if rounded.is_finite() {
            return Ok(rounded);
        }
        Err(self.problem(format_args!("row {}", row + 1), index, format!("{value:?}")).allowed(FINITE).into())
    }

    /// The table of `values`, row by row and of the kept columns alone.
    ///
    /// # Errors
    /// If there is no row.
    pub fn table(&self, values: Vec<f32>) -> Result<Table> {
        if values.is_empty() {
            return Err(no_rows(self.place));
        }
        let labels = self.kept.iter().map(|index| self.describe(*index)).collect();
        Ok(Table { columns: self.kept.len(), values, labels })
    }
}

/// A column that has a name in a message.
/// The name that a file gives a column, of what messages call it: `None` of one without, or whose name a message does not hold as it is.
pub fn name_of(label: &str) -> Option<&str> {
    let name = label.strip_prefix("column \"")?.strip_suffix('"')?;
    (by_name(name) == label).then_some(name)
}

/// What messages call a column of a name.
pub fn by_name(name: &str) -> String {
    format!("column {}", quoted(name))
}

/// The error of a file without rows.
pub(super) fn no_rows(place: &str) -> Error {
    Problem::new(place, "no rows").allowed("at least one row of numbers").into()
}

/// What a cell may hold.
pub(super) const FINITE: &str = "a finite number, at most 3.4e38 in size";

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(count: usize, names: &[&str], drop: &[Column]) -> Result<Vec<usize>> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Columns::new("t", count, names, drop).map(|columns| columns.kept().to_vec())
    }

    #[test]
    fn columns_are_dropped_by_index_and_by_name() {
        let (index, name) = (Column::Index, |name: &str| Column::Name(name.to_owned()));
        assert_eq!(kept(3, &[], &[]).unwrap(), [0, 1, 2]);
        assert_eq!(kept(3, &[], &[index(1), index(1)]).unwrap(), [0, 2]);
        assert_eq!(kept(4, &["a", "b", "a", "c"], &[name("a"), index(3)]).unwrap(), [1]);
        let message = |names: &[&str], drop: Column| kept(2, names, &[drop]).unwrap_err().to_string();
        assert_eq!(
            message(&[], index(2)),
            "target.drop: found 2; allowed: an index below 2, the number of columns of t"
        );
        assert!(message(&[], name("a")).contains("have no names"));
        assert_eq!(
            message(&["x", "label"], name("lable")),
            "target.drop: found \"lable\"; allowed: x, label; did you mean \"label\"?"
        );
        assert!(kept(1, &[], &[index(0)]).unwrap_err().to_string().starts_with("t: found no columns left"));
        assert!(kept(0, &[], &[]).unwrap_err().to_string().starts_with("t: found no columns;"));
    }

    #[test]
    fn f32_is_the_range() {
        let columns = Columns::new("t", 2, Vec::new(), &[]).unwrap();
        assert_eq!(columns.finite(0, 0, 0.1).unwrap(), 0.1);
        assert_eq!(columns.finite(0, 0, f64::from(f32::MAX)).unwrap(), f32::MAX);
        let message = columns.finite(2, 1, 1e39).unwrap_err().to_string();
        assert!(message.starts_with("t, row 3, column 2: found 1e39; allowed: a finite number"), "{message}");
        assert!(columns.finite(0, 0, f64::NAN).unwrap_err().to_string().contains("found NaN"));
    }
}
