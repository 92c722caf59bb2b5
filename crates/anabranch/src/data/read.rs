//! Reading a file of numbers of any format, recognised by what it begins with.

use std::path::Path;

use super::columns::Wanted;
use super::unpack::{MOST_UNPACKED, too_large, unpack};
use super::{Column, Table, csv, idx, npy, npz, parquet};
use crate::error::{Problem, Result, reason};

const GZIP: &[u8] = &[0x1F, 0x8B];

/// Reads a file of numbers: CSV, NPY, NPZ, IDX or Parquet, each of them plain or gzipped.
///
/// The format is recognised by content, not by name. An NPZ file of several arrays is read as `FILE.npz:NAME`. An
/// array of more than two indices is flattened to rows by its first; a vector is one column. Numbers are rounded to the
/// nearest f32. A packed file may unpack to 4 GiB, a Parquet file to 2^30 numbers. The
/// columns to `drop` may hold anything, such as labels in words.
///
/// ```
/// use anabranch::data::{Column, read};
/// # let directory = std::env::temp_dir().join(format!("anabranch-read-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let path = directory.join("flowers.csv");
/// std::fs::write(&path, "width,height,species\n1.5,2,setosa\n3,4,virginica\n")?;
/// let table = read(&path, &[Column::Name("species".to_owned())])?;
/// assert_eq!((table.columns, table.values), (2, vec![1.5, 2.0, 3.0, 4.0]));
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be read, is empty, damaged or of another format, has columns of unequal length or a cell that is no
/// finite number, or a column to drop is not there.
pub fn read(path: &Path, drop: &[Column]) -> Result<Table> {
    read_words(path, drop, &[])
}

/// The same of a file in which some columns hold `words`, which become codes: see [`Table::alphabets`].
///
/// # Errors
/// As [`read`]; if there is no such column, or it has more than [`MOST_WORDS`](super::MOST_WORDS) different words or an empty cell.
pub fn read_words(path: &Path, drop: &[Column], words: &[Column]) -> Result<Table> {
    read_wanted(path, Wanted { drop, words, label: None })
}

/// The same, told what is wanted.
pub(super) fn read_wanted(path: &Path, wanted: Wanted<'_>) -> Result<Table> {
    let (path, member) = split_member(path);
    let place = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Problem::new(&*place, reason(&error)).allowed("a readable file of numbers"))?;
    parse_member(&place, bytes.into(), member, wanted)
}

/// Reads a file of numbers from memory, as [`read`] does; `place` names it in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(place: &str, bytes: &[u8], drop: &[Column]) -> Result<Table> {
    parse_member(place, bytes::Bytes::copy_from_slice(bytes), None, Wanted { drop, ..Wanted::default() })
}

/// Splits `FILE.npz:NAME`.
fn split_member(path: &Path) -> (&Path, Option<&str>) {
    let parts = path.to_str().and_then(|text| text.rsplit_once(':'));
    match parts.filter(|(file, _)| file.to_ascii_lowercase().ends_with(".npz")) {
        Some((file, member)) => (Path::new(file), Some(member)),
        None => (path, None),
    }
}

/// What a file calls its columns, where it is one that can say so and does: a CSV with a header, or Parquet.
///
/// # Errors
/// If it cannot be read.
pub fn names(path: &Path) -> Result<Option<Vec<String>>> {
    let (path, _) = split_member(path);
    let place = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Problem::new(&*place, reason(&error)).allowed("a readable file of numbers"))?;
    let bytes = if bytes.starts_with(GZIP) { gunzip(&place, &bytes)? } else { bytes };
    if bytes.starts_with(parquet::MAGIC) {
        return parquet::names(&place, bytes.into()).map(Some);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => csv::names(&place, text),
        Err(_) => Ok(None),
    }
}

fn parse_member(place: &str, bytes: bytes::Bytes, member: Option<&str>, wanted: Wanted<'_>) -> Result<Table> {
    let bytes = if bytes.starts_with(GZIP) { gunzip(place, &bytes)?.into() } else { bytes };
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        return npz::read(place, &bytes, member, wanted);
    }
    if let Some(member) = member {
        return Err(Problem::new(place, format!("no ZIP archive, of which to read \"{member}\""))
            .allowed("an NPZ file")
            .into());
    }
    if starts(npy::MAGIC) {
        npy::read(place, &bytes, wanted)
    } else if starts(parquet::MAGIC) {
        parquet::read(place, bytes, wanted)
    } else if starts(idx::MAGIC) {
        idx::read(place, &bytes, wanted)
    } else {
        match std::str::from_utf8(&bytes) {
            Ok(text) => csv::read(place, text, wanted),
            Err(error) => {
                let found = "bytes that are neither UTF-8 nor a format that is known";
                Err(no_text(place, &bytes, error, found)
                    .allowed("CSV, NPY, NPZ, IDX or Parquet, plain or gzipped")
                    .into())
            }
        }
    }
}

/// Reads a text file, plain or gzipped, as [`read`] reads one of numbers.
///
/// # Errors
/// If the file cannot be read, is damaged, or is no UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Problem::new(&*place, reason(&error)).allowed("a readable text file"))?;
    parse_text(&place, bytes)
}

/// [`read_text`] of a file that may have bytes which are no UTF-8: each stands as U+FFFD.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn read_lossy_text(path: &Path) -> Result<String> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Problem::new(&*place, reason(&error)).allowed("a readable text file"))?;
    let bytes = if bytes.starts_with(GZIP) { gunzip(&place, &bytes)? } else { bytes };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of bytes, plain or gzipped; `place` names them in errors.
///
/// # Errors
/// If they are damaged, too large or no text.
pub fn parse_text(place: &str, bytes: Vec<u8>) -> Result<String> {
    let bytes = if bytes.starts_with(GZIP) { gunzip(place, &bytes)? } else { bytes };
    String::from_utf8(bytes).map_err(|error| {
        let (error, bytes) = (error.utf8_error(), error.into_bytes());
        no_text(place, &bytes, error, "bytes that are no UTF-8").allowed("text, plain or gzipped").into()
    })
}

/// The problem of a file whose bytes stop being text.
fn no_text(place: &str, bytes: &[u8], error: std::str::Utf8Error, found: &str) -> Problem {
    let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
    Problem::new(format!("{place}, line {line}"), found)
}

fn gunzip(place: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let damaged = |error: std::io::Error| {
        Problem::new(place, format!("damaged gzip ({error})")).allowed("a whole gzip file")
    };
    let plain = unpack(flate2::read::MultiGzDecoder::new(bytes), MOST_UNPACKED).map_err(damaged)?;
    plain.ok_or_else(|| too_large(place))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn members_are_split_after_npz_alone() {
        let split = |text| split_member(Path::new(text));
        assert_eq!(split("a/b.npz:x_train"), (Path::new("a/b.npz"), Some("x_train")));
        assert_eq!(split("a/b.NPZ:x"), (Path::new("a/b.NPZ"), Some("x")));
        assert_eq!(split("C:/b.npz"), (Path::new("C:/b.npz"), None));
        assert_eq!(split("b.csv:x"), (Path::new("b.csv:x"), None));
    }

    #[test]
    fn foreign_files() {
        let message = |bytes: &[u8]| parse("t", bytes, &[]).unwrap_err().to_string();
        assert!(message(b"\x89PNG\r\n\x1a\n").starts_with("t, line 1: found bytes that are neither UTF-8"));
        assert!(message(b"1,2\n3,\xFF\n").starts_with("t, line 2: found bytes"));
        assert!(message(&[0x1F, 0x8B, 8, 0, 0]).contains("found damaged gzip"));
        assert!(message(b"PK\x03\x04....").contains("found a ZIP archive that cannot be read"));
        assert!(message(b"PAR1").contains("Parquet"));
        assert!(message(b"<html>\n<p>").starts_with("t, line 2, column \"<html>\": found \"<p>\""));
        assert!(message(b"").contains("found no rows"));
        let missing = read(Path::new("no-such-file.npz:x"), &[]).unwrap_err();
        assert!(missing.is_input() && missing.to_string().starts_with("no-such-file.npz: found "));
    }

    #[test]
    fn text_is_read_plain_or_packed() {
        let path = std::env::temp_dir().join(format!("anabranch-text-{}", std::process::id()));
        let read_back = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_text(&path)
        };
        assert_eq!(read_back("a,\u{e9}\n".as_bytes()).unwrap(), "a,\u{e9}\n");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"packed").unwrap();
        assert_eq!(read_back(&packer.finish().unwrap()).unwrap(), "packed");
        let message = read_back(b"a\nb\xFF").unwrap_err().to_string();
        assert!(message.contains(", line 2: found bytes that are no UTF-8; allowed: text"), "{message}");
        assert!(read_back(&[0x1F, 0x8B, 8, 0]).unwrap_err().to_string().contains("found damaged gzip"));
        std::fs::remove_file(&path).unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("allowed: a readable text file"));
    }
}
