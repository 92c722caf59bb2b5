//! IDX files, as MNIST comes in: two zero bytes, the type, the rank, the lengths as big-endian u32, the numbers.

use super::Table;
use super::array::{Array, Element, Kind};
use super::columns::Wanted;
use crate::error::{Problem, Result};

/// What a file begins with.
pub(super) const MAGIC: &[u8] = &[0, 0];

/// Reads an array as a table.
///
/// # Errors
/// If the file is no IDX file, has too few or too many bytes, or a number that is not finite.
pub(super) fn read(place: &str, bytes: &[u8], wanted: Wanted<'_>) -> Result<Table> {
    let whole = |found: &str| Problem::new(place, found).allowed("a whole IDX file");
    let [0, 0, kind, rank, rest @ ..] = bytes else {
        return Err(whole("a file that ends within its IDX header").into());
    };
    let (kind, size) = match kind {
        0x08 => (Kind::Unsigned, 1),
        0x09 => (Kind::Signed, 1),
        0x0B => (Kind::Signed, 2),
        0x0C => (Kind::Signed, 4),
        0x0D => (Kind::Float, 4),
        0x0E => (Kind::Float, 8),
        _ => {
            return Err(Problem::new(place, format!("zeros and the IDX type {kind:#04x}"))
                .allowed("0x08 (u8), 0x09 (i8), 0x0b (i16), 0x0c (i32), 0x0d (f32) or 0x0e (f64)")
                .into());
        }
    };
    let Some((lengths, bytes)) = rest.split_at_checked(4 * usize::from(*rank)) else {
        return Err(whole("a file that ends within its IDX header").into());
    };
    let lengths = lengths.chunks_exact(4);
    let shape = lengths.map(|l| u32::from_be_bytes([l[0], l[1], l[2], l[3]]) as usize).collect();
    let element = Element { kind, size, big_endian: true };
    Array { element, shape, fortran: false, bytes }.table(place, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: u8, shape: &[u32], numbers: &[u8]) -> Vec<u8> {
        let lengths: Vec<u8> = shape.iter().flat_map(|length| length.to_be_bytes()).collect();
        [&[0, 0, kind, shape.len() as u8], &lengths[..], numbers].concat()
    }

    #[test]
    fn every_type() {
        let ints = [-3i32, 70_000, 5].map(i32::to_be_bytes).concat();
        let shorts = [-3i16, 7000, 5].map(i16::to_be_bytes).concat();
        let floats = [-0.5f32, 1e30, 5.0].map(f32::to_be_bytes).concat();
        let doubles = [-0.5f64, 1e30, 5.0].map(f64::to_be_bytes).concat();
        let read = |kind, numbers: &[u8]| {
            read("t", &file(kind, &[3, 1], numbers), Wanted::default()).unwrap().values
        };
        assert_eq!(read(0x08, &[0, 200, 255]), [0.0, 200.0, 255.0]);
        assert_eq!(read(0x09, &[0, 200, 255]), [0.0, -56.0, -1.0]);
        assert_eq!(read(0x0B, &shorts), [-3.0, 7000.0, 5.0]);
        assert_eq!(read(0x0C, &ints), [-3.0, 70_000.0, 5.0]);
        assert_eq!(read(0x0D, &floats), [-0.5, 1e30, 5.0]);
        assert_eq!(read(0x0E, &doubles), [-0.5, 1e30, 5.0]);
    }

    #[test]
    fn images_are_rows_and_labels_one_column() {
        let images =
            read("t", &file(8, &[2, 2, 3], &(0..12).collect::<Vec<u8>>()), Wanted::default()).unwrap();
        assert_eq!((images.columns, images.rows(), images.values[7]), (6, 2, 7.0));
        let labels = read("t", &file(8, &[3], &[7, 0, 9]), Wanted::default()).unwrap();
        assert_eq!((labels.columns, labels.values), (1, vec![7.0, 0.0, 9.0]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |bytes: &[u8]| read("t", bytes, Wanted::default()).unwrap_err().to_string();
        assert!(message(&[0, 0, 8]).contains("ends within its IDX header"));
        assert!(message(&[0, 0, 8, 255, 0]).contains("ends within its IDX header"));
        assert!(message(&file(7, &[1], &[1])).contains("zeros and the IDX type 0x07"));
        assert!(message(&file(8, &[], &[1])).contains("a single number"));
        let absurd = message(&file(8, &[u32::MAX, u32::MAX, u32::MAX], &[1]));
        assert!(absurd.contains("too many bytes for any file"), "{absurd}");
        let long = message(&file(8, &[1; 200], &[1, 2]));
        assert!(
            long.ends_with("header says: 1 x 1 x 1 x 1 x 1 x 1 x 1 x 1 x ... numbers of 1 bytes"),
            "{long}"
        );
        assert!(message(&file(8, &[2, 2], &[1])).contains("found 1 bytes of numbers; allowed: 4 bytes"));
    }
}
