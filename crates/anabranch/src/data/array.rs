//! Numbers of a fixed type and shape, as NPY and IDX files hold them.
//!
//! The element with indices `i_0, i_1, ...` of an array of shape `n_0, n_1, ...` stands at the position
//! `sum_k i_k prod_{l > k} n_l` in C order, where the last index runs fastest, and at `sum_k i_k prod_{l < k} n_l` in
//! Fortran order, where the first does. Rows are the first index; all others, in C order, make the columns.

use super::Table;
use super::columns::{Columns, Wanted, no_rows};
use crate::error::{Problem, Result};

/// A kind of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 0 or not.
    Boolean,
    /// Integers in two's complement.
    Signed,
    /// Natural numbers.
    Unsigned,
    /// IEEE 754 numbers of 2, 4 or 8 bytes.
    Float,
}

/// How one number is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    /// What it is.
    pub kind: Kind,
    /// How many bytes it takes: 1, 2, 4 or 8.
    pub size: usize,
    /// Whether its highest byte comes first.
    pub big_endian: bool,
}

impl Element {
    /// The number in `bytes`, of which there are `size`.
    fn value(self, bytes: &[u8]) -> f64 {
        let mut little = [0; 8];
        little[..self.size].copy_from_slice(bytes);
        if self.big_endian {
            little[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(little);
        match (self.kind, self.size) {
            (Kind::Boolean, _) => f64::from(bits != 0),
            (Kind::Unsigned, _) => bits as f64,
            (Kind::Signed, size) => {
                let unused = 64 - 8 * size;
                ((bits << unused) as i64 >> unused) as f64
            }
            (Kind::Float, 2) => half(bits as u16),
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
        }
    }
}

/// The half-precision number of these bits: a sign, 5 bits of exponent, 10 of fraction.
pub(super) fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3FF);
    sign * match i32::from(bits >> 10 & 0x1F) {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

/// An array in a file.
#[derive(Debug)]
pub(super) struct Array<'a> {
    /// How its numbers are stored.
    pub element: Element,
    /// Its lengths.
    pub shape: Vec<usize>,
    /// Whether it is in Fortran order.
    pub fortran: bool,
    /// All that follows the file's header.
    pub bytes: &'a [u8],
}

impl Array<'_> {
    /// The array as a table: a vector is one column, and what has more indices than two is flattened to rows.
    ///
    /// # Errors
    /// If the shape has no rows or no columns, does not agree with the number of bytes, or a number is not finite.
    pub fn table(&self, place: &str, wanted: Wanted<'_>) -> Result<Table> {
        let Some((&rows, lengths)) = self.shape.split_first() else {
            return Err(Problem::new(place, "a single number").allowed("an array of rows").into());
        };
        let size = self.element.size;
        let bytes = self.shape.iter().try_fold(size, |product, length| product.checked_mul(*length));
        if bytes != Some(self.bytes.len()) {
            let lengths = self.shape.iter().take(8).map(usize::to_string).collect::<Vec<_>>().join(" x ");
            let more = if self.shape.len() > 8 { " x ..." } else { "" };
            let needed =
                bytes.map_or("too many bytes for any file".to_owned(), |bytes| format!("{bytes} bytes"));
            return Err(Problem::new(place, format!("{} bytes of numbers", self.bytes.len()))
                .allowed(format!("{needed}, as the header says: {lengths}{more} numbers of {size} bytes"))
                .into());
        }
        if rows == 0 {
            return Err(no_rows(place));
        }
        let count = self.bytes.len() / size / rows;
        let columns = Columns::new(place, count, Vec::new(), wanted)?;
        let (row_stride, positions) = if self.fortran {
            (1, columns.kept().iter().map(|column| fortran_position(*column, rows, lengths)).collect())
        } else {
            (count, columns.kept().to_vec())
        };
        let mut values = Vec::with_capacity(rows * positions.len());
        for row in 0..rows {
            for (&column, position) in columns.kept().iter().zip(&positions) {
                let start = (row * row_stride + position) * size;
                let value = self.element.value(&self.bytes[start..start + size]);
                values.push(columns.finite(row, column, value)?);
            }
        }
        columns.table(values)
    }
}

/// Where, in Fortran order, the first row's number stands that has the index `column` in C order over `lengths`.
fn fortran_position(column: usize, rows: usize, lengths: &[usize]) -> usize {
    let (mut column, mut position) = (column, 0);
    // The last index runs fastest in `column`, and has the largest stride in the file.
    let mut stride = rows * lengths.iter().product::<usize>();
    for length in lengths.iter().rev() {
        stride /= length;
        position += column % length * stride;
        column /= length;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(kind: Kind, size: usize, big_endian: bool) -> Element {
        Element { kind, size, big_endian }
    }

    #[test]
    fn elements() {
        let value = |kind, bytes: &[u8]| element(kind, bytes.len(), true).value(bytes);
        assert_eq!(value(Kind::Signed, &[0x80]), -128.0);
        assert_eq!(value(Kind::Signed, &[0xFF, 0xFE]), -2.0);
        assert_eq!(value(Kind::Signed, &i64::MIN.to_be_bytes()), i64::MIN as f64);
        assert_eq!(value(Kind::Unsigned, &[0x80, 1]), 32769.0);
        assert_eq!(value(Kind::Unsigned, &u64::MAX.to_be_bytes()), u64::MAX as f64);
        assert_eq!(value(Kind::Boolean, &[2]), 1.0);
        assert_eq!(value(Kind::Float, &1.5f32.to_be_bytes()), 1.5);
        assert_eq!(element(Kind::Float, 8, false).value(&0.1f64.to_le_bytes()), 0.1);
    }

    /// Against the values of the standard's text.
    #[test]
    fn halves() {
        let known = [
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0400, 2f64.powi(-14)),
            (0x0001, 2f64.powi(-24)),
            (0x3555, 0.333_251_953_125),
            (0x7C00, f64::INFINITY),
            (0xFC00, f64::NEG_INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert!(half(0x7C01).is_nan());
        assert!(half(0x8000).is_sign_negative() && half(0x8000) == 0.0);
    }

    #[test]
    fn orders_agree() {
        let (n, a, b) = (3, 2, 5);
        let element = element(Kind::Unsigned, 1, false);
        let c: Vec<u8> = (0..30).collect();
        let mut f = vec![0; 30];
        for i in 0..n {
            for j in 0..a {
                for k in 0..b {
                    f[i + n * (j + a * k)] = c[k + b * (j + a * i)];
                }
            }
        }
        let drop = [super::super::Column::Index(7)];
        let wanted = Wanted { drop: &drop, ..Wanted::default() };
        let table = |fortran, bytes: &[u8], wanted: Wanted<'_>| {
            Array { element, shape: vec![n, a, b], fortran, bytes }.table("t", wanted).unwrap()
        };
        let whole = table(false, &c, Wanted::default());
        assert_eq!((whole.columns, whole.values.clone()), (10, (0u8..30).map(f32::from).collect()));
        assert_eq!(whole, table(true, &f, Wanted::default()));
        assert_eq!(table(false, &c, wanted), table(true, &f, wanted));
    }
}
