//! Parquet files of flat numeric columns.
//!
//! A file ends with its metadata: the columns, and where in each group of rows the pages of each column are. The
//! `parquet` crate decodes the pages; the sizes that it takes on trust are checked here first, for a damaged file must not
//! make it reserve memory for numbers that are not there.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};

use ::parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{AsBytes, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::{ChunkReader, Length};
use ::parquet::file::serialized_reader::SerializedPageReader;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{ColumnDescriptor, Type};
use bytes::Bytes;

use super::array::half;
use super::columns::{Columns, Wanted};
use super::thrift::{DEPTH, Thrift};
use super::{Discrete, Table};
use crate::error::{Problem, Result};

/// What a file begins with.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// How many numbers a file may hold: repeated ones take next to no room in it.
const MOST_NUMBERS: usize = 1 << 30;

/// How many numbers are decoded at a time.
const BATCH: usize = 8192;

/// Reads the columns of a file as a table.
///
/// # Errors
/// If the file is damaged, or a column that is kept is in lists, no number or boolean (of words no text either), compressed in another way than
/// snappy, gzip or zstd, or has a null or a number that is not finite, or there are more than 2^30 numbers.
pub(super) fn read(place: &str, bytes: Bytes, wanted: Wanted<'_>) -> Result<Table> {
    // The crate reports most damage; some of its decoders assert that there is none within a page.
    without_panic(|| read_columns(place, bytes, wanted)).unwrap_or_else(|| {
        Err(Problem::new(place, "damaged Parquet (a page that cannot be decoded)")
            .allowed("a whole Parquet file")
            .into())
    })
}

/// The names of the columns.
///
/// # Errors
/// If the file is damaged.
pub(super) fn names(place: &str, bytes: Bytes) -> Result<Vec<String>> {
    let damaged = |error: ParquetError| {
        Problem::new(place, format!("damaged Parquet ({error})")).allowed("a whole Parquet file")
    };
    check_schema(&bytes).map_err(damaged)?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).map_err(damaged)?;
    Ok(metadata
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .map(|column| column.path().string())
        .collect())
}

thread_local! {
    /// Whether a panic on this thread is expected, and not worth a line on stderr.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` answers; `None` where it panics, of which the process' panic hook does not hear.
fn without_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                hook(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let answer = std::panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(false);
    answer.ok()
}

fn read_columns(place: &str, bytes: Bytes, wanted: Wanted<'_>) -> Result<Table> {
    let damaged = |error: ParquetError| {
        Problem::new(place, format!("damaged Parquet ({error})")).allowed("a whole Parquet file")
    };
    check_schema(&bytes).map_err(damaged)?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).map_err(damaged)?;
    let schema = metadata.file_metadata().schema_descr();
    let names = schema.columns().iter().map(|column| column.path().string()).collect();
    let columns = Columns::new(place, schema.num_columns(), names, wanted)?;
    for &index in columns.kept() {
        let column = schema.column(index);
        let readable = is_numeric(&column) || (columns.is_words(index) && is_text(&column));
        if !readable {
            let allowed = match is_text(&column) {
                true => "integers, floats or booleans; or target.categories with the column's name, of words",
                false => "integers, floats or booleans, not in lists; target.drop leaves a column out",
            };
            return Err(columns.problem("in the schema", index, describe(&column)).allowed(allowed).into());
        }
    }
    let source = Arc::new(Source(bytes));
    let mut values = Vec::new();
    for group in metadata.row_groups() {
        let rows = usize::try_from(group.num_rows()).map_err(|error| damaged(error.into()))?;
        let first = values.len() / columns.kept().len();
        check_rows(place, first, rows, columns.kept().len())?;
        let mut gathered: Vec<Vec<f32>> = Vec::new();
        for &index in columns.kept() {
            let chunk = group
                .columns()
                .get(index)
                .ok_or_else(|| damaged(ParquetError::EOF("a group of rows lacks a column".to_owned())))?;
            check_compression(&columns, index, chunk.compression())?;
            let column = schema.column(index);
            let unsigned = is_unsigned(&column);
            let pages = Pages::new(&source, chunk, rows).map_err(damaged)?;
            let reader = get_column_reader(column, Box::new(pages));
            let (mut numbers, mut texts) = (Vec::new(), Vec::new());
            let read = match reader {
                ColumnReader::ByteArrayColumnReader(reader) => {
                    decode(reader, rows, &mut texts, ByteArray::clone)
                }
                reader => read_column(reader, unsigned, rows, &mut numbers),
            };
            match read {
                Ok(()) if numbers.len() + texts.len() == rows => {}
                Ok(()) => {
                    return Err(columns
                        .problem("in the data", index, format!("{} rows", numbers.len() + texts.len()))
                        .allowed(format!("{rows}, as the metadata say"))
                        .into());
                }
                Err(Broken::Null(row)) => {
                    return Err(columns
                        .problem(format_args!("row {}", first + row + 1), index, "a null")
                        .allowed("a value in every row")
                        .into());
                }
                Err(Broken::Damaged(error)) => return Err(damaged(error).into()),
            }
            let rounded =
                numbers.iter().enumerate().map(|(row, number)| columns.finite(first + row, index, *number));
            let words = texts.iter().enumerate().map(|(row, text)| {
                let at = format!("row {}", first + row + 1);
                match std::str::from_utf8(text.data()) {
                    Ok(word) => columns.word(at, index, word.trim()),
                    Err(_) => {
                        Err(columns.problem(at, index, "bytes that are no UTF-8").allowed("text").into())
                    }
                }
            });
            gathered.push(rounded.chain(words).collect::<Result<_>>()?);
        }
        values.reserve(rows * gathered.len());
        (0..rows).for_each(|row| values.extend(gathered.iter().map(|column| column[row])));
    }
    columns.table(values)
}

/// Refuses `more` rows of `columns` numbers after the `first` ones if all would be more than a table may hold.
fn check_rows(place: &str, first: usize, more: usize, columns: usize) -> Result<()> {
    if first.checked_add(more).is_some_and(|rows| rows <= MOST_NUMBERS / columns) {
        return Ok(());
    }
    Err(Problem::new(place, format!("{first} rows and {more} more"))
        .allowed(format!("at most {} rows of {columns} numbers", MOST_NUMBERS / columns))
        .into())
}

fn is_unsigned(column: &ColumnDescriptor) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    match column.logical_type_ref() {
        Some(LogicalType::Integer(integer)) => !integer.is_signed,
        _ => matches!(column.converted_type(), UINT_8 | UINT_16 | UINT_32 | UINT_64),
    }
}

fn is_numeric(column: &ColumnDescriptor) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64, NONE};
    let plain =
        matches!(column.converted_type(), NONE | INT_8 | INT_16 | INT_32 | INT_64) || is_unsigned(column);
    column.max_rep_level() == 0
        && match (column.physical_type(), column.logical_type_ref()) {
            (Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE, None) => plain,
            (Physical::INT32 | Physical::INT64, None | Some(LogicalType::Integer(_))) => plain,
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => column.type_length() == 2,
            _ => false,
        }
}

fn is_text(column: &ColumnDescriptor) -> bool {
    let plain =
        matches!(column.converted_type(), ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM);
    let text = matches!(column.logical_type_ref(), None | Some(LogicalType::String | LogicalType::Enum));
    column.max_rep_level() == 0 && column.physical_type() == Physical::BYTE_ARRAY && plain && text
}

/// A column's type, in the format's terms.
fn describe(column: &ColumnDescriptor) -> String {
    let list = if column.max_rep_level() > 0 { "lists of " } else { "" };
    let physical = column.physical_type();
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(logical), _) => format!("{list}{physical} that stands for {logical:?}"),
        (None, ConvertedType::NONE) => format!("{list}{physical}"),
        (None, converted) => format!("{list}{physical} that stands for {converted}"),
    }
}

fn check_compression(columns: &Columns, index: usize, compression: Compression) -> Result<()> {
    match compression {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_) => {
            Ok(())
        }
        other => Err(columns
            .problem("in the data", index, format!("{other} compression"))
            .allowed("none, or snappy, gzip or zstd")
            .into()),
    }
}

/// Why a column could not be read.
enum Broken {
    /// The row, in its group, that has no value.
    Null(usize),
    Damaged(ParquetError),
}

fn read_column(reader: ColumnReader, unsigned: bool, rows: usize, out: &mut Vec<f64>) -> Result<(), Broken> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => decode(reader, rows, out, |value| f64::from(*value)),
        ColumnReader::Int32ColumnReader(reader) if unsigned => {
            decode(reader, rows, out, |value| f64::from(*value as u32))
        }
        ColumnReader::Int32ColumnReader(reader) => decode(reader, rows, out, |value| f64::from(*value)),
        ColumnReader::Int64ColumnReader(reader) if unsigned => {
            decode(reader, rows, out, |value| *value as u64 as f64)
        }
        ColumnReader::Int64ColumnReader(reader) => decode(reader, rows, out, |value| *value as f64),
        ColumnReader::FloatColumnReader(reader) => decode(reader, rows, out, |value| f64::from(*value)),
        ColumnReader::DoubleColumnReader(reader) => decode(reader, rows, out, |value| *value),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            decode(reader, rows, out, |value| match value.as_bytes() {
                [low, high] => half(u16::from_le_bytes([*low, *high])),
                _ => f64::NAN,
            })
        }
        ColumnReader::Int96ColumnReader(_) | ColumnReader::ByteArrayColumnReader(_) => {
            Err(Broken::Damaged(ParquetError::General("a column that is no number".to_owned())))
        }
    }
}

/// Reads at most `rows` numbers.
fn decode<T: DataType, V>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    out: &mut Vec<V>,
    value: impl Fn(&T::T) -> V,
) -> Result<(), Broken> {
    let (mut levels, mut batch) = (Vec::new(), Vec::new());
    while out.len() < rows {
        levels.clear();
        batch.clear();
        let wanted = BATCH.min(rows - out.len());
        let (records, found, _) =
            reader.read_records(wanted, Some(&mut levels), None, &mut batch).map_err(Broken::Damaged)?;
        if found < records {
            let highest = levels.iter().max().copied().unwrap_or_default();
            // Where every level is the same, every value is a null.
            let missing = levels.iter().position(|level| *level < highest).unwrap_or_default();
            return Err(Broken::Null(out.len() + missing));
        }
        if records == 0 {
            break;
        }
        out.extend(batch.iter().map(&value));
    }
    Ok(())
}

/// The file, read page by page.
struct Source(Bytes);

impl Length for Source {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl ChunkReader for Source {
    type T = bytes::buf::Reader<Bytes>;

    /// The file from the beginning of a page on.
    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let reader = self.0.get_read(start)?;
        check_sizes(reader.get_ref())?;
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

fn implausible(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} that cannot be true"))
}

/// Refuses a schema of which a group has more columns than all of them, or that is nested too deeply.
///
/// The metadata stand before the last eight bytes, their length and the magic string. Their second field is the list of
/// the schema's elements in depth-first order, each with the number of its children in its fifth field.
fn check_schema(file: &[u8]) -> Result<(), ParquetError> {
    let metadata = file.split_last_chunk().and_then(|(rest, end): (_, &[u8; 8])| {
        let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
        rest.get(rest.len().checked_sub(length)?..)
    });
    let checked = Thrift(metadata.unwrap_or_default()).structure(|thrift, id, kind| {
        if id != 2 {
            return thrift.skip(kind, DEPTH);
        }
        let elements = thrift.length(kind)?;
        // How many children are to come of each group that is open.
        let mut open: Vec<u64> = Vec::new();
        for _ in 0..elements {
            let mut children = 0;
            thrift.structure(|thrift, id, kind| match id {
                5 => thrift.natural(kind).map(|count| children = u64::from(count)),
                _ => thrift.skip(kind, DEPTH),
            })?;
            if let Some(count) = open.last_mut() {
                *count -= 1;
            }
            open.push(children);
            while open.pop_if(|count| *count == 0).is_some() {}
            (children < elements && open.len() <= DEPTH).then_some(())?;
        }
        Some(())
    });
    checked.ok_or_else(|| implausible("metadata"))
}

/// Refuses a page that no codec can unpack to the size it claims: the header's second field, from the third.
fn check_sizes(header: &[u8]) -> Result<(), ParquetError> {
    let (mut unpacked, mut packed) = (0, 0);
    let read = Thrift(header).structure(|thrift, id, kind| match id {
        2 => thrift.natural(kind).map(|size| unpacked = u64::from(size)),
        3 => thrift.natural(kind).map(|size| packed = u64::from(size)),
        _ => thrift.skip(kind, DEPTH),
    });
    // Zstandard's blocks of one repeated byte are the most that any codec can do: 2^17 bytes from 4.
    let possible = read.is_some() && unpacked <= (packed + 1) << 15;
    if possible { Ok(()) } else { Err(implausible("a page header")) }
}

/// The pages of one column in one group of rows.
struct Pages(SerializedPageReader<Source>);

impl Pages {
    fn new(source: &Arc<Source>, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Self, ParquetError> {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        if start < 0 || chunk.compressed_size() < 0 {
            return Err(implausible("the place of a column"));
        }
        SerializedPageReader::new(Arc::clone(source), chunk, rows, None).map(Self)
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let page = self.0.get_next_page()?;
        match &page {
            Some(Page::DictionaryPage { buf, num_values, .. }) if *num_values as usize > buf.len() => {
                Err(implausible("a dictionary of more numbers than bytes"))
            }
            _ => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.skip_next_page()
    }
}

/// Packs row-major numbers into a file of columns of these names, or `x0`, `x1`, ...: of floats, where they are not `discrete` ones of
/// integers or words.
///
/// # Errors
/// If the crate refuses, which it has no reason to.
pub(super) fn write(
    values: &[f32],
    columns: usize,
    names: Option<&[String]>,
    discrete: &[Discrete],
) -> Result<Vec<u8>, ParquetError> {
    const ROWS_PER_GROUP: usize = 1 << 20;
    let of = |index: usize| discrete.iter().find(|found| found.column == index);
    let field = |index: usize| {
        let own = names.map_or_else(|| format!("x{index}"), |names| names[index].clone());
        let field = match of(index) {
            None => Type::primitive_type_builder(&own, Physical::FLOAT),
            Some(found) if found.words.is_empty() => Type::primitive_type_builder(&own, Physical::INT32),
            Some(_) => Type::primitive_type_builder(&own, Physical::BYTE_ARRAY)
                .with_logical_type(Some(LogicalType::String)),
        };
        field.with_repetition(Repetition::REQUIRED).build().map(Arc::new)
    };
    let fields = (0..columns).map(field).collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder("samples").with_fields(fields).build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    for rows in values.chunks(ROWS_PER_GROUP * columns) {
        let mut group = writer.next_row_group()?;
        for index in 0..columns {
            let numbers = rows.iter().skip(index).step_by(columns).copied();
            let Some(mut column) = group.next_column()? else { continue };
            match of(index) {
                None => {
                    let numbers: Vec<f32> = numbers.collect();
                    column.typed::<FloatType>().write_batch(&numbers, None, None)?;
                }
                Some(found) if found.words.is_empty() => {
                    let numbers: Vec<i32> = numbers.map(|number| number as i32).collect();
                    column.typed::<Int32Type>().write_batch(&numbers, None, None)?;
                }
                Some(found) => {
                    let words: Vec<ByteArray> = numbers.map(|code| found.word(code).into()).collect();
                    column.typed::<ByteArrayType>().write_batch(&words, None, None)?;
                }
            }
            column.close()?;
        }
        group.close()?;
    }
    writer.into_inner()
}

/// A file with a column `object` of words and, where it is known, one of log-rewards in double precision.
pub(super) fn write_objects(texts: &[String], log_rewards: Option<&[f64]>) -> Result<Vec<u8>, ParquetError> {
    let text = Type::primitive_type_builder("object", Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String))
        .build()?;
    let mut fields = vec![Arc::new(text)];
    if log_rewards.is_some() {
        let number = Type::primitive_type_builder("log_reward", Physical::DOUBLE);
        fields.push(Arc::new(number.with_repetition(Repetition::REQUIRED).build()?));
    }
    let schema = Type::group_type_builder("samples").with_fields(fields).build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    if let Some(mut column) = group.next_column()? {
        let texts: Vec<ByteArray> = texts.iter().map(|text| text.as_str().into()).collect();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
        column.close()?;
    }
    if let (Some(log_rewards), Some(mut column)) = (log_rewards, group.next_column()?) {
        column.typed::<DoubleType>().write_batch(log_rewards, None, None)?;
        column.close()?;
    }
    group.close()?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of nothing but metadata, with these elements of a schema.
    fn file(count: u32, elements: &[u8]) -> Vec<u8> {
        let [a, b, c, d] = [7, 14, 21, 28].map(|shift| (count >> shift & 0x7F) as u8 | 0x80);
        let length = [count as u8 | 0x80, a, b, c, d & 0x7F];
        let metadata = [&[0x15, 2, 0x19, 0xFC], &length[..], elements, &[0x16, 0, 0x19, 0x0C, 0]].concat();
        [MAGIC, &metadata, &(metadata.len() as u32).to_le_bytes(), MAGIC].concat()
    }

    fn message(count: u32, elements: &[u8]) -> String {
        read("t", file(count, elements).into(), Wanted::default()).unwrap_err().to_string()
    }

    #[test]
    fn hostile_schemas_reserve_nothing() {
        let leaf = [0x15, 8, 0x25, 0, 0x18, 1, b'x', 0];
        let root = |children: &[u8]| [&[0x48, 1, b's', 0x15], children, &[0], &leaf].concat();
        assert_eq!(message(2, &root(&[2])), "t: found no rows; allowed: at least one row of numbers");
        let many = message(2, &root(&[0xFE, 0xFF, 0xFF, 0xFF, 0x0F]));
        assert_eq!(
            many,
            "t: found damaged Parquet (Parquet error: metadata that cannot be true); allowed: a whole Parquet file"
        );
        let nested = [&[0x35, 0, 0x18, 1, b'g', 0x15, 2, 0].repeat(200_000), &leaf[..]].concat();
        assert_eq!(message(200_001, &nested), many);
        assert_eq!(message(u32::MAX, &root(&[2])), many);
    }

    #[test]
    fn repeated_numbers_fill_no_memory() {
        assert!(check_rows("t", 0, MOST_NUMBERS, 1).is_ok());
        assert!(check_rows("t", 5, MOST_NUMBERS / 3 - 5, 3).is_ok());
        let message = |first, more, columns| check_rows("t", first, more, columns).unwrap_err().to_string();
        assert_eq!(
            message(5, MOST_NUMBERS / 3 - 4, 3),
            "t: found 5 rows and 357913937 more; allowed: at most 357913941 rows of 3 numbers"
        );
        assert!(message(1, usize::MAX, 1).starts_with("t: found 1 rows and "));
    }

    #[test]
    fn expected_panics_are_caught_and_others_are_heard() {
        assert_eq!(without_panic(|| 7), Some(7));
        assert_eq!(without_panic(|| -> u8 { panic!("expected") }), None);
        assert!(!EXPECTED.get(), "the next panic is heard again");
    }

    #[test]
    fn no_codec_unpacks_a_byte_to_a_gigabyte() {
        let header =
            |unpacked: &[u8], packed: &[u8]| [&[0x15, 0, 0x15], unpacked, &[0x15], packed, &[0]].concat();
        assert!(check_sizes(&header(&[0xFE, 0x01], &[20])).is_ok());
        assert!(check_sizes(&header(&[0xFE, 0xFF, 0xFF, 0xFF, 0x0F], &[20])).is_err());
        assert!(check_sizes(&header(&[0xFE, 0xFF, 0xFF, 0xFF, 0x0F], &[0xFE, 0xFF, 0xFF, 0x0F])).is_ok());
        assert!(check_sizes(&[0x15, 0, 0x15]).is_err());
    }
}
