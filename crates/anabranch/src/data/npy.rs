//! NumPy's NPY files, versions 1 to 3: a magic string, a header that is a Python dictionary, and the numbers.
//!
//! The format is described in NumPy's enhancement proposal 1 and in `numpy.lib.format`.

use std::io::Write;

use super::Table;
use super::array::{Array, Element, Kind};
use super::columns::Wanted;
use crate::error::{Problem, Result};

/// What a file begins with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

const TYPES: &str = "b1, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4 or f8 numbers";

/// Reads an array as a table.
///
/// # Errors
/// If the header is damaged, the numbers are of another type than the plain ones, too few or too many, or not finite.
pub(super) fn read(place: &str, bytes: &[u8], wanted: Wanted<'_>) -> Result<Table> {
    let damaged = |found: &str| Problem::new(place, found).allowed("a whole NPY file");
    let (version, rest) = match bytes.strip_prefix(MAGIC) {
        Some([major, _, rest @ ..]) => (*major, rest),
        _ => return Err(damaged("a file that ends within its NPY header").into()),
    };
    let (length, rest) = match (version, rest) {
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        (1..=3, _) => return Err(damaged("a file that ends within its NPY header").into()),
        _ => {
            return Err(Problem::new(place, format!("NPY version {version}"))
                .allowed("version 1, 2 or 3")
                .into());
        }
    };
    let Some((header, bytes)) = rest.split_at_checked(length) else {
        return Err(damaged("a file that ends within its NPY header").into());
    };
    let header = std::str::from_utf8(header).ok().and_then(Header::parse);
    let header = header.ok_or_else(|| damaged("a damaged NPY header"))?;
    let element = element(header.descr)
        .ok_or_else(|| Problem::new(place, format!("numbers of type {}", header.descr)).allowed(TYPES))?;
    Array { element, shape: header.shape, fortran: header.fortran, bytes }.table(place, wanted)
}

/// What a type string such as `'<f4'` stands for, if it is a plain number.
fn element(descr: &str) -> Option<Element> {
    let descr = descr.trim_matches(['\'', '"']);
    let kind_and_size = descr.strip_prefix(['<', '>', '|', '=']).unwrap_or(descr);
    let (kind, size) = match kind_and_size {
        "b1" => (Kind::Boolean, 1),
        "i1" => (Kind::Signed, 1),
        "i2" => (Kind::Signed, 2),
        "i4" => (Kind::Signed, 4),
        "i8" => (Kind::Signed, 8),
        "u1" => (Kind::Unsigned, 1),
        "u2" => (Kind::Unsigned, 2),
        "u4" => (Kind::Unsigned, 4),
        "u8" => (Kind::Unsigned, 8),
        "f2" => (Kind::Float, 2),
        "f4" => (Kind::Float, 4),
        "f8" => (Kind::Float, 8),
        _ => return None,
    };
    Some(Element { kind, size, big_endian: descr.starts_with('>') })
}

/// The dictionary of a header.
struct Header<'a> {
    /// The type as it is written there: a string in its quotes, or a list for records.
    descr: &'a str,
    fortran: bool,
    shape: Vec<usize>,
}

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let mut literal = Literal(text);
        literal.take("{")?;
        while literal.take("}").is_none() {
            let key = literal.string()?;
            literal.take(":")?;
            match key.trim_matches(['\'', '"']) {
                "descr" => descr = Some(literal.string().or_else(|| literal.list())?),
                "fortran_order" => fortran = Some(literal.boolean()?),
                "shape" => shape = Some(literal.lengths()?),
                _ => return None,
            }
            if literal.take(",").is_none() && !literal.0.trim_start().starts_with('}') {
                return None;
            }
        }
        Some(Self { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// The rest of a Python literal; every method passes over blanks first.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// Passes over `token`, if it comes next.
    fn take(&mut self, token: &str) -> Option<()> {
        self.0.trim_start().strip_prefix(token).map(|rest| self.0 = rest)
    }

    /// The next `length` bytes, passed over.
    fn split(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A string, in its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_start();
        let quote = self.0.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
        let end = self.0[1..].find(quote)? + 2;
        self.split(end)
    }

    fn boolean(&mut self) -> Option<bool> {
        let no = self.take("False").map(|()| false);
        no.or_else(|| self.take("True").map(|()| true))
    }

    /// A list, to be shown and not to be understood: all up to the bracket that closes it.
    fn list(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_start();
        let mut depth = 0usize;
        let end = self.0.char_indices().find_map(|(index, character)| {
            match character {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (depth == 0).then_some(index + 1)
        })?;
        self.split(end).filter(|list| list.starts_with('['))
    }

    /// A tuple of natural numbers.
    fn lengths(&mut self) -> Option<Vec<usize>> {
        self.take("(")?;
        let mut lengths = Vec::new();
        while self.take(")").is_none() {
            self.0 = self.0.trim_start();
            let digits = self.0.find(|c: char| !c.is_ascii_digit())?;
            lengths.push(self.split(digits)?.parse().ok()?);
            if self.take(",").is_none() && !self.0.trim_start().starts_with(')') {
                return None;
            }
        }
        Some(lengths)
    }
}

/// Writes row-major f32 numbers as an array of shape `[rows, columns]`.
pub(super) fn write(out: &mut dyn Write, values: &[f32], columns: usize) -> std::io::Result<()> {
    let shape = format!("({}, {columns})", values.len() / columns.max(1));
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // The preamble of ten bytes, the header and its newline fill a multiple of 64 bytes.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(padding % 64));
    header.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 1 with this header.
    fn file(header: &str, numbers: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), numbers].concat()
    }

    fn message(header: &str, numbers: &[u8]) -> String {
        read("t.npy", &file(header, numbers), Wanted::default()).unwrap_err().to_string()
    }

    #[test]
    fn headers_are_python() {
        let numbers = [1, 2, 3, 4, 5, 6];
        for header in [
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), }   \n",
            "{\"shape\":(3,2),\"fortran_order\":False,\"descr\":\"u1\"}",
            " { 'fortran_order' : False , 'shape' : ( 3 , 2 , ) , 'descr' : '=u1' }",
        ] {
            let table = read("t", &file(header, &numbers), Wanted::default()).unwrap();
            assert_eq!((table.columns, table.values), (2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), "{header}");
        }
        for header in [
            "",
            "{",
            "{'descr': '|u1', 'fortran_order': False}",
            "{'descr': '|u1', 'fortran_order': Maybe, 'shape': (3, 2)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3 2)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-3, 2)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), 'more': 1}",
            "{'descr': [[, 'fortran_order': False, 'shape': (3, 2)}",
            "{'descr': '|u1' 'fortran_order': False, 'shape': (3, 2)}",
        ] {
            let message = message(header, &numbers);
            assert_eq!(message, "t.npy: found a damaged NPY header; allowed: a whole NPY file", "{header}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let header = |descr: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
        };
        let of_type = message(&header("'<c8'", "(1,)"), &[0; 8]);
        assert!(of_type.starts_with("t.npy: found numbers of type '<c8'; allowed: b1, i1,"), "{of_type}");
        assert!(
            message(&header("[('a', '<f4'), ('b', '<i2', (2,))]", "(1,)"), &[0; 8])
                .contains("type [('a', '<f4')")
        );
        assert_eq!(
            message(&header("'<f4'", "(3, 2)"), &[0; 20]),
            "t.npy: found 20 bytes of numbers; allowed: 24 bytes, as the header says: 3 x 2 numbers of 4 bytes"
        );
        assert!(
            message(&header("'<f4'", "(1,)"), &[0; 5]).contains("found 5 bytes of numbers; allowed: 4 bytes")
        );
        let absurd = message(&header("'<f4'", "(1152921504606846976, 16)"), &[0; 20]);
        assert!(absurd.contains("too many bytes for any file"), "{absurd}");
        assert!(
            message(&header("'<f4'", "(1152921504606846976,)"), &[0; 20])
                .contains("4611686018427387904 bytes")
        );
        assert!(message(&header("'<f4'", "(0, 1152921504606846976)"), &[]).contains("found no rows"));
        assert!(message(&header("'<f4'", "(1152921504606846976, 0)"), &[]).contains("found no columns"));
        assert!(message(&header("'<f4'", "(0,)"), &[]).contains("found no rows"));
        assert!(message(&header("'<f4'", "()"), &[0; 4]).contains("found a single number"));
        let nan = [1f32, 2.0, 3.0, f32::NAN].map(f32::to_le_bytes).concat();
        assert!(message(&header("'<f4'", "(2, 2)"), &nan).starts_with("t.npy, row 2, column 2: found NaN"));
        let version = read("t", b"\x93NUMPY\x04\x00\x00\x00", Wanted::default()).unwrap_err().to_string();
        assert_eq!(version, "t: found NPY version 4; allowed: version 1, 2 or 3");
    }
}
