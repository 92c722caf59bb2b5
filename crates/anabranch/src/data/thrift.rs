//! Thrift's compact protocol, read as far as it takes to see what a Parquet file claims before memory is reserved for it.
//!
//! A structure is a row of fields up to a byte 0. A field is a byte, whose high half is the step from the last field's id
//! (or 0, and the id follows) and whose low half is the type, and a value. Numbers are varints, those with a sign
//! zigzagged: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...

const I32: u8 = 5;
const LIST: u8 = 9;

/// How deep structures may be nested.
pub(super) const DEPTH: usize = 64;

/// What is still to be read; every method is `None` where that does not make sense.
pub(super) struct Thrift<'a>(pub &'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    /// A number without a sign: seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The value of a field of type `kind`, if that is a natural number in an i32.
    pub fn natural(&mut self, kind: u8) -> Option<u32> {
        let value = self.integer().filter(|_| kind == I32)?;
        i32::try_from(value).ok()?.try_into().ok()
    }

    /// A number with a sign.
    fn integer(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The length of the list that is the value of a field of type `kind`.
    pub fn length(&mut self, kind: u8) -> Option<u64> {
        self.list().filter(|_| kind == LIST).map(|(length, _)| length)
    }

    /// A list's beginning: its length, and the type of its elements.
    fn list(&mut self) -> Option<(u64, u8)> {
        let header = self.byte()?;
        let length = if header >> 4 == 15 { self.varint()? } else { u64::from(header >> 4) };
        Some((length, header & 15))
    }

    /// A structure; `field` is given the id and the type of each field, and reads or skips its value.
    pub fn structure(&mut self, mut field: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0i64;
        loop {
            let header = self.byte()?;
            match (header >> 4, header & 15) {
                (_, 0) => return Some(()),
                (0, _) => id = self.integer()?,
                (step, _) => id = id.checked_add(i64::from(step))?,
            }
            field(self, id, header & 15)?;
        }
    }

    /// Passes over the value of a field of type `kind`, in which at most `depth` more are nested.
    pub fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        let element = |thrift: &mut Self, kind| match kind {
            // A boolean is in the type of a field, but takes a byte in a list.
            1 | 2 => thrift.pass(1),
            _ => thrift.skip(kind, deeper),
        };
        match kind {
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            8 => self.varint().and_then(|length| self.pass(length)),
            LIST | 10 => {
                let (length, kind) = self.list()?;
                (0..length).try_for_each(|_| element(self, kind))
            }
            11 => {
                let length = self.varint()?;
                let kinds = if length > 0 { self.byte()? } else { 0 };
                (0..length).try_for_each(|_| {
                    element(self, kinds >> 4)?;
                    element(self, kinds & 15)
                })
            }
            12 => self.structure(|thrift, _, kind| thrift.skip(kind, deeper)),
            13 => self.pass(16),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(Thrift(&[0xAC, 2]).varint(), Some(300));
        assert_eq!(Thrift(&[0xFF; 10]).varint(), None);
        assert_eq!(Thrift(&[0x80]).varint(), None);
        let integers = [0u8, 1, 2, 3].map(|byte| Thrift(&[byte]).integer().unwrap());
        assert_eq!(integers, [0, -1, 1, -2]);
        let lowest = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        assert_eq!(Thrift(&lowest).integer(), Some(i64::MIN));
        assert_eq!(Thrift(&[0xFE, 0xFF, 0xFF, 0xFF, 0x0F]).natural(I32), Some(i32::MAX as u32));
        // What is negative, or too large, or of another type, is none.
        assert_eq!(Thrift(&[1]).natural(I32), None);
        assert_eq!(Thrift(&[0xFE, 0xFF, 0xFF, 0xFF, 0x1F]).natural(I32), None);
        assert_eq!(Thrift(&[2]).natural(6), None);
    }

    /// One field of every type but structures, and between them one of id 200 in the long form.
    #[test]
    fn every_type_is_passed_over() {
        let text: &[&[u8]] = &[
            &[0x11],
            &[0x13, 9],
            &[0x15, 0x80, 1],
            &[0x17, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x18, 2, b'a', b'b'],
            &[0x19, 0x21, 1, 2],
            &[0x1A, 0xF3, 2, 7, 7],
            &[0x1B, 1, 0x38, 5, 1, b'c'],
            &[0x1B, 0],
            &[0x1C, 0x15, 4, 0],
            &[0x0D, 0x90, 3],
            &[0; 16],
            &[0x15, 0x54],
            &[0],
            b"rest",
        ];
        let text = text.concat();
        let mut thrift = Thrift(&text);
        let (mut ids, mut last) = (Vec::new(), 0);
        let read = thrift.structure(|thrift, id, kind| {
            ids.push(id);
            if id == 201 {
                last = thrift.integer()?;
                return Some(());
            }
            thrift.skip(kind, DEPTH)
        });
        assert_eq!((read, thrift.0, last), (Some(()), &b"rest"[..], 42));
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200, 201]);
    }

    #[test]
    fn hostile_text_ends() {
        // A list of 2^63 booleans of which two are there, and structures without end.
        assert_eq!(
            Thrift(&[0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1, 1]).skip(LIST, DEPTH),
            None
        );
        assert_eq!(Thrift(&[0x1C; 1 << 20]).skip(12, DEPTH), None);
        assert_eq!(Thrift(&[0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]).skip(12, DEPTH), None);
        assert_eq!(Thrift(&[0x1E, 0]).skip(12, DEPTH), None);
    }
}
