//! Further rows of a model: a file that is read as the one that it was trained on.

use std::path::Path;

use super::Rows;
use super::rows::{binarise, check_levels, of_target};
use crate::data::{self, Column, Discrete, Summary, Table};
use crate::error::{Problem, Result, quoted};

/// The conditions of further rows, as a file tells them.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadGiven {
    /// None.
    Nothing,
    /// The class of each row, as a person says it.
    Classes(Vec<String>),
    /// Some numbers for each row, in the units of the file.
    Numbers(Table),
}

/// Reads a file of further rows for a model of `dimension` columns that was trained on `target`, of which `summary` is what is kept.
///
/// Columns are found by their names where both the file and the data have names. A file without may be laid out as
/// the target's own, with the columns to drop, or have the model's columns (and those of their conditions) alone. Answers the condition
/// of each row, where the model is conditioned on one.
pub(super) fn read(
    target: Option<&dyn Rows>,
    path: &Path,
    summary: Option<&Summary>,
    dimension: usize,
) -> Result<(Table, ReadGiven)> {
    let labels = summary.map_or(&[][..], |summary| &summary.labels);
    let words = target.map_or(&[][..], |target| target.words());
    let drop = target.map_or(&[][..], |target| target.dropped());
    let label = target.and_then(|target| target.label());
    let given = target.map_or(Vec::new(), |target| target.given());
    let read =
        |drop: &[Column], label: Option<&Column>, given: &[Column], words: &[Column]| match (label, given) {
            (None, []) => Ok((data::read_words(path, drop, words)?, ReadGiven::Nothing)),
            (None, given) => {
                let found = data::read_conditioned(path, given, drop, words).map_err(of_target)?;
                Ok((found.table, ReadGiven::Numbers(found.given)))
            }
            (Some(label), _) => {
                let found = data::read_labelled(path, label, drop, words).map_err(of_target)?;
                let said =
                    |class: &usize| found.words.get(*class).cloned().unwrap_or_else(|| class.to_string());
                Ok((found.table, ReadGiven::Classes(found.classes.iter().map(said).collect())))
            }
        };
    let checked = |mut table: Table, given: ReadGiven| {
        let place = path.display().to_string();
        binarise(&place, &mut table, target.and_then(|target| target.binary()))?;
        check_levels(&place, &table, target.map_or(0, |target| target.levels()))?;
        summary
            .iter()
            .flat_map(|summary| &summary.discrete)
            .try_for_each(|found| code(&place, &mut table, found))?;
        Ok((table, given))
    };
    let fits = |read: &Result<(Table, _)>| read.as_ref().is_ok_and(|(table, _)| table.columns == dimension);
    if let Some(others) = others(path, labels, label.iter().chain(&given))? {
        let (table, given) = read(&others, label.as_ref(), &given, words)?;
        return checked(ordered(table, labels), given);
    }
    let mut found = read(drop, label.as_ref(), &given, words);
    if !fits(&found) && !drop.is_empty() {
        let label = label.as_ref().map(|label| without(drop, label));
        let given: Vec<Column> = given.iter().map(|column| without(drop, column)).collect();
        let words: Vec<Column> = words.iter().map(|column| without(drop, column)).collect();
        found = Some(read(&[], label.as_ref(), &given, &words)).filter(fits).unwrap_or(found);
    }
    let (table, given) = found?;
    if table.columns != dimension {
        return Err(Problem::new(path.display().to_string(), format!("{} columns", table.columns))
            .allowed(format!("{dimension} columns, as the model has"))
            .into());
    }
    checked(table, given)
}

/// Gives the values of a column of few the codes that the model knows them by, and checks that it knows them.
fn code(place: &str, table: &mut Table, known: &Discrete) -> Result<()> {
    let alphabet = table.alphabets.iter().find(|alphabet| alphabet.column == known.column);
    let columns = table.columns;
    for (row, value) in table.values.iter_mut().skip(known.column).step_by(columns).enumerate() {
        let problem = |found: String| {
            Problem::new(format!("{place}, row {}, {}", row + 1, table.labels[known.column]), found)
        };
        match alphabet {
            Some(alphabet) => {
                let word = &alphabet.words[*value as usize];
                let code = known.words.iter().position(|other| other == word);
                *value = code.ok_or_else(|| problem(quoted(word)).choices(&known.words))? as f32;
            }
            None if known.index(*value).is_none() => {
                let last = i64::from(known.first) + known.shares.len() as i64 - 1;
                let allowed = format!("a whole number from {} to {last}, which training saw", known.first);
                return Err(problem(value.to_string()).allowed(allowed).into());
            }
            None => {}
        }
    }
    Ok(())
}

/// The columns of a file that are neither a model's, which are called `labels`, nor those of its conditions, where all of these have names
/// and the file has, too.
fn others<'a>(
    path: &Path,
    labels: &[String],
    conditions: impl Iterator<Item = &'a Column>,
) -> Result<Option<Vec<Column>>> {
    let own: Option<Vec<&str>> = labels.iter().map(|label| data::name_of(label)).collect();
    let conditions: Option<Vec<&str>> = conditions
        .map(|column| match column {
            Column::Name(name) => Some(name.as_str()),
            Column::Index(_) => None,
        })
        .collect();
    let (Some(own), Some(conditions)) = (own, conditions) else { return Ok(None) };
    let unlike = |k: usize| !own[..k].contains(&own[k]);
    if own.is_empty() || !(0..own.len()).all(unlike) {
        return Ok(None);
    }
    let Some(names) = data::names(path)? else { return Ok(None) };
    let wanted: Vec<&str> = own.into_iter().chain(conditions).collect();
    for name in &wanted {
        let place = path.display().to_string();
        match names.iter().filter(|other| other == name).count() {
            1 => {}
            0 => {
                let found = format!("no column {}, which the model was trained on", quoted(name));
                return Err(Problem::new(place, found)
                    .allowed(format!("the columns {} in any order", wanted.join(", ")))
                    .into());
            }
            count => {
                let found = format!("{count} columns {}", quoted(name));
                return Err(Problem::new(place, found).allowed("one of each name").into());
            }
        }
    }
    let rest = (0..names.len()).filter(|index| !wanted.contains(&names[*index].as_str()));
    Ok(Some(rest.map(Column::Index).collect()))
}

/// A table's columns in the order of `labels`, which are all there.
fn ordered(table: Table, labels: &[String]) -> Table {
    let places: Vec<usize> =
        labels.iter().filter_map(|label| table.labels.iter().position(|other| other == label)).collect();
    let rows = table.values.chunks_exact(table.columns);
    let values = rows.flat_map(|row| places.iter().map(|place| row[*place])).collect();
    let mut alphabets = table.alphabets;
    for alphabet in &mut alphabets {
        alphabet.column =
            places.iter().position(|place| *place == alphabet.column).unwrap_or(alphabet.column);
    }
    Table { columns: labels.len(), values, labels: labels.to_vec(), alphabets }
}

/// A column where those to drop are not there: an index counts those that are left.
fn without(drop: &[Column], column: &Column) -> Column {
    match column {
        Column::Name(_) => column.clone(),
        Column::Index(index) => {
            let before = (0..*index).filter(|before| drop.contains(&Column::Index(*before)));
            Column::Index(index - before.count())
        }
    }
}
