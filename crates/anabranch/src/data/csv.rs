//! Comma-separated numbers, with or without a header line.
//!
//! The first line is a header if no cell of it is a number.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use super::atomic::atomic_write;
use super::columns::{Columns, FINITE, FINITE_OR_WORD, Wanted, no_rows};
use super::{Discrete, Table};
use crate::error::{Problem, Result, quoted};

/// Reads comma-separated numbers; `place` names them in errors.
///
/// # Errors
/// If the text is empty, ragged or no UTF-8, or has a cell that is no finite number.
pub(super) fn read(place: &str, text: &str, wanted: Wanted<'_>) -> Result<Table> {
    let mut columns: Option<Columns> = None;
    let (mut count, mut values) = (0, Vec::new());
    records(place, text, |line, record| {
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                count = record.len();
                let header = header(record);
                let named = header.is_some();
                let found = columns.insert(Columns::new(place, count, header.unwrap_or_default(), wanted)?);
                if named {
                    return Ok(());
                }
                found
            }
        };
        for &index in columns.kept() {
            let (at, cell) = (format_args!("line {line}"), &record[index]);
            if columns.is_words(index) {
                values.push(columns.word(at, index, cell)?);
                continue;
            }
            let problem =
                |found: &str, allowed: &str| Err(columns.problem(at, index, found).allowed(allowed).into());
            match cell.parse::<f32>() {
                Ok(value) if value.is_finite() => values.push(value),
                Ok(_) => return problem(&quoted(cell), FINITE),
                Err(_) if cell.is_empty() => return problem("an empty cell", FINITE),
                Err(_) => return problem(&quoted(cell), FINITE_OR_WORD),
            }
        }
        Ok(())
    })?;
    match columns {
        Some(columns) => columns.table(values),
        None => Err(no_rows(place)),
    }
}

/// Reads comma-separated text record by record: `each` is told the line, from 1, and the cells, which are as many as in
/// the first record.
///
/// # Errors
/// If the text is ragged or no CSV, and those of `each`.
pub fn records(
    place: &str,
    text: &str,
    mut each: impl FnMut(u64, &::csv::StringRecord) -> Result<()>,
) -> Result<()> {
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(::csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut record = ::csv::StringRecord::new();
    let mut count = None;
    let broken = |error: ::csv::Error| Problem::new(place, error.to_string()).allowed("CSV");
    while reader.read_record(&mut record).map_err(broken)? {
        let line = record.position().map_or(1, |start| line_of(text, start));
        let count = *count.get_or_insert(record.len());
        if record.len() != count {
            return Err(Problem::new(format!("{place}, line {line}"), format!("{} cells", record.len()))
                .allowed(format!("{count} cells, as in the lines before"))
                .into());
        }
        each(line, &record)?;
    }
    Ok(())
}

/// The line, from 1, of the record that a reader found from `start` on: it passes over blank lines without a word.
fn line_of(text: &str, start: &::csv::Position) -> u64 {
    let rest = text.as_bytes().get(start.byte() as usize..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n');
    start.line() + blank.count() as u64
}

/// The names of the columns, if the first line is a header.
fn header(record: &::csv::StringRecord) -> Option<Vec<String>> {
    let text = record.iter().all(|cell| cell.parse::<f32>().is_err());
    text.then(|| record.iter().map(str::to_owned).collect())
}

/// The names that the first line gives the columns, if it is a header.
pub(super) fn names(place: &str, text: &str) -> Result<Option<Vec<String>>> {
    let mut reader =
        ::csv::ReaderBuilder::new().has_headers(false).trim(::csv::Trim::All).from_reader(text.as_bytes());
    let mut record = ::csv::StringRecord::new();
    let broken = |error: ::csv::Error| Problem::new(place, error.to_string()).allowed("CSV");
    Ok(reader.read_record(&mut record).map_err(broken)?.then(|| header(&record)).flatten())
}

/// Writes row-major numbers, one row a line, each with as many digits as tell it from its neighbours, or as the word that it stands for.
pub(super) fn write(
    out: &mut dyn Write,
    values: &[f32],
    columns: usize,
    names: Option<&[String]>,
    discrete: &[Discrete],
) -> std::io::Result<()> {
    let mut words = vec![None; columns];
    for found in discrete.iter().filter(|found| !found.words.is_empty()) {
        words[found.column] = Some(found);
    }
    if let Some(names) = names {
        let mut line = ::csv::Writer::from_writer(Vec::new());
        line.write_record(names)?;
        out.write_all(&line.into_inner().map_err(|error| error.into_error())?)?;
    }
    for row in values.chunks_exact(columns) {
        for (index, value) in row.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match words[index] {
                None => write!(out, "{separator}{value}")?,
                Some(found) => write!(out, "{separator}{}", quoted_cell(found.word(*value)))?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A cell in quotation marks, where it needs them.
fn quoted_cell(word: &str) -> Cow<'_, str> {
    match word.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", word.replace('"', "\"\"")).into(),
        false => word.into(),
    }
}

/// A column `object` of words and, where it is known, one of log-rewards.
pub(super) fn write_objects(
    out: &mut dyn Write,
    texts: &[String],
    log_rewards: Option<&[f64]>,
) -> std::io::Result<()> {
    let mut lines = ::csv::Writer::from_writer(out);
    lines.write_record(["object"].into_iter().chain(log_rewards.map(|_| "log_reward")))?;
    for (row, text) in texts.iter().enumerate() {
        let log_reward = log_rewards.map(|all| all[row].to_string());
        lines.write_record([text.as_str()].into_iter().chain(log_reward.as_deref()))?;
    }
    lines.flush()
}

/// Writes a table of text whose header is `header`, whole or not at all; cells are put in quotation marks where they need them.
///
/// # Errors
/// If it cannot be written.
pub fn write_records(path: &Path, header: &str, rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    atomic_write(path, |out| {
        writeln!(out, "{header}")?;
        let mut writer = ::csv::Writer::from_writer(out);
        for row in rows {
            writer.write_record(row)?;
        }
        writer.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Column;
    use super::*;

    #[test]
    fn headers_blanks_and_numbers() {
        let table = read("t", "a,b\n1, 2\n3,4.5\n", Wanted::default()).unwrap();
        assert_eq!((table.columns, table.values), (2, vec![1.0, 2.0, 3.0, 4.5]));
        let marked = read("t", "\u{feff}1,2\r\n\r\n-3,.5", Wanted::default()).unwrap();
        assert_eq!((marked.columns, marked.values), (2, vec![1.0, 2.0, -3.0, 0.5]));
    }

    fn dropped(drop: &[Column]) -> Wanted<'_> {
        Wanted { drop, ..Wanted::default() }
    }

    #[test]
    fn a_column_of_words_has_codes() {
        let words = |words| Wanted { words, ..Wanted::default() };
        let text = "size,kind,year\n1.5,pear,10\n2,\"a, b\",9\n3,pear,10\n";
        let columns = [Column::Name("kind".to_owned()), Column::Index(2)];
        let table = read("t", text, words(&columns)).unwrap();
        assert_eq!(table.values, [1.5, 1.0, 1.0, 2.0, 0.0, 0.0, 3.0, 1.0, 1.0]);
        let alphabets: Vec<_> =
            table.alphabets.iter().map(|found| (found.column, found.words.join("|"))).collect();
        assert_eq!(alphabets, [(1, "a, b|pear".to_owned()), (2, "9|10".to_owned())]);
        let message = |text: &str| read("t", text, words(&columns[..1])).unwrap_err().to_string();
        assert!(
            message("size,kind\n1,pear\n2,\n").starts_with("t, line 3, column \"kind\": found an empty cell")
        );
        assert!(
            message("size,kinds\n1,pear\n")
                .contains("target.categories: found \"kind\"; allowed: size, kinds")
        );
        let many: String = (0..1001).map(|row| format!("{row},w{row}\n")).collect();
        let many = message(&format!("size,kind\n{many}"));
        assert!(
            many.starts_with("t, line 1002, column \"kind\": found \"w1000\" after 1000 different"),
            "{many}"
        );
    }

    #[test]
    fn a_column_of_text_can_be_dropped() {
        let text = "width,species,height\n1,setosa,2\n3,virginica,4\n";
        let named = read("t", text, dropped(&[Column::Name("species".to_owned())])).unwrap();
        assert_eq!((named.columns, named.values), (2, vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(read("t", "1,setosa\n2,\n", dropped(&[Column::Index(1)])).unwrap().values, [1.0, 2.0]);
        let message = read("t", text, Wanted::default()).unwrap_err().to_string();
        assert!(
            message.starts_with("t, line 2, column \"species\": found \"setosa\"; allowed: a finite"),
            "{message}"
        );
    }

    #[test]
    fn bad_tables_name_their_place() {
        let message = |text: &str| read("t.csv", text, Wanted::default()).unwrap_err().to_string();
        assert_eq!(message(""), "t.csv: found no rows; allowed: at least one row of numbers");
        assert_eq!(message("a,b\n"), "t.csv: found no rows; allowed: at least one row of numbers");
        assert!(message("1,2\n3\n").starts_with("t.csv, line 2: found 1 cells; allowed: 2 cells"));
        assert!(message("a,b\n1,2,3\n").starts_with("t.csv, line 2: found 3 cells; allowed: 2 cells"));
        assert!(message("1,2\n\n\r\n\n3,x\n").starts_with("t.csv, line 5, column 2: found \"x\""));
        assert!(message("\u{feff}1,2\n\n3,4\n\n5\n").starts_with("t.csv, line 5: found 1 cells"));
        assert!(message("\n\n1,x\n2,y").starts_with("t.csv, line 3, column 2: found \"x\""));
        assert!(message("1,2\n3,NaN\n").starts_with("t.csv, line 2, column 2: found \"NaN\""));
        assert!(message("1,2\n3,\n").starts_with("t.csv, line 2, column 2: found an empty cell"));
        assert!(message("1e39\n").contains("found \"1e39\"; allowed: a finite number, at most 3.4e38"));
        assert!(message(&format!("1,\"{}", "é".repeat(99))).contains(&format!("\"{}...\"", "é".repeat(60))));
    }
}
