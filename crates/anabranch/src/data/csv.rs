//! Comma-separated numbers, plain or gzipped, with or without a header line.

use std::io::Read;
use std::path::Path;

use super::Table;
use crate::error::{Problem, Result};

/// Reads a file of comma-separated numbers.
///
/// # Errors
/// If the file cannot be read, is empty or ragged, or has a cell that is no finite number.
pub fn read_csv(path: &Path) -> Result<Table> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Problem::new(&*place, error.to_string()).allowed("a readable CSV file"))?;
    parse_csv(&place, &bytes)
}

/// Parses comma-separated numbers; `place` names them in errors.
///
/// # Errors
/// If the text is empty or ragged, or has a cell that is no finite number.
pub fn parse_csv(place: &str, bytes: &[u8]) -> Result<Table> {
    let mut text = Vec::new();
    if bytes.starts_with(&[0x1F, 0x8B]) {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text).map_err(|error| {
            Problem::new(place, format!("damaged gzip ({error})")).allowed("a whole gzip file")
        })?;
    } else {
        text.extend_from_slice(bytes);
    }
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(::csv::Trim::All)
        .from_reader(&text[..]);
    let mut table = Table { columns: 0, values: Vec::new() };
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| Problem::new(place, error.to_string()).allowed("UTF-8 text"))?;
        let line = record.position().map_or(index as u64 + 1, |position| position.line());
        let header = index == 0 && record.iter().all(|cell| cell.parse::<f32>().is_err());
        if header {
            continue;
        }
        if table.columns == 0 {
            table.columns = record.len();
        } else if record.len() != table.columns {
            return Err(Problem::new(format!("{place}, line {line}"), format!("{} cells", record.len()))
                .allowed(format!("{} cells, as in the lines before", table.columns))
                .into());
        }
        for (column, cell) in record.iter().enumerate() {
            match cell.parse::<f32>() {
                Ok(value) if value.is_finite() => table.values.push(value),
                _ => {
                    let found =
                        if cell.is_empty() { "an empty cell".to_owned() } else { format!("\"{cell}\"") };
                    return Err(Problem::new(format!("{place}, line {line}, column {}", column + 1), found)
                        .allowed("a finite number")
                        .into());
                }
            }
        }
    }
    if table.values.is_empty() {
        return Err(Problem::new(place, "no rows").allowed("at least one row of numbers").into());
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_blanks_and_numbers() {
        let table = parse_csv("t", b"a,b\n1, 2\n3,4.5\n").unwrap();
        assert_eq!((table.columns, table.values), (2, vec![1.0, 2.0, 3.0, 4.5]));
    }

    #[test]
    fn bad_tables_name_their_place() {
        let message = |text: &[u8]| parse_csv("t.csv", text).unwrap_err().to_string();
        assert_eq!(message(b""), "t.csv: found no rows; allowed: at least one row of numbers");
        assert!(message(b"1,2\n3\n").starts_with("t.csv, line 2: found 1 cells; allowed: 2 cells"));
        assert!(message(b"1,2\n3,NaN\n").starts_with("t.csv, line 2, column 2: found \"NaN\""));
        assert!(message(b"1,2\n3,\n").starts_with("t.csv, line 2, column 2: found an empty cell"));
        assert!(message(&[0x1F, 0x8B, 8, 0, 0]).contains("damaged gzip"));
    }
}
