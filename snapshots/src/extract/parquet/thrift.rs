//! As much of Thrift's compact protocol as it takes to look at a page's header and at the schema in a footer before the
//! crate makes room for what they claim. A length that is claimed is read past, never made room for.

use std::io::{self, Read};

use parquet::errors::ParquetError;

/// Structs and lists within one another, at most: a header of a page has three.
const DEPTH_MAX: u32 = 16;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
pub(super) const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
pub(super) const LIST: u8 = 9;
const SET: u8 = 10;
pub(super) const STRUCT: u8 = 12;

/// Reads values one after the other.
pub(super) struct Thrift<R> {
    input: R,
    len: u64,
}

/// What stands before the value of a field.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) kind: u8,
    pub(super) id: i64,
}

impl<R: Read> Thrift<R> {
    pub(super) fn new(input: R) -> Thrift<R> {
        Thrift { input, len: 0 }
    }

    /// Bytes that were read.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn byte(&mut self) -> Result<u8, ParquetError> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.len += 1;
        Ok(byte[0])
    }

    /// Seven bits a byte, the lowest first.
    pub(super) fn unsigned(&mut self) -> Result<u64, ParquetError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number is longer than any can be"))
    }

    /// The same with the sign in the lowest bit.
    pub(super) fn signed(&mut self) -> Result<i64, ParquetError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next field of a struct, after the one with that number (0 before the first); none at its end.
    pub(super) fn field(&mut self, before: i64) -> Result<Option<Field>, ParquetError> {
        let byte = self.byte()?;
        let kind = byte & 0x0F;
        if kind == 0 {
            return Ok(None);
        }
        let id = match byte >> 4 {
            0 => self.signed()?,
            step => before.saturating_add(i64::from(step)),
        };
        Ok(Some(Field { kind, id }))
    }

    /// Kind and number of a list's elements.
    pub(super) fn list(&mut self) -> Result<(u8, u64), ParquetError> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.unsigned()?,
            count => u64::from(count),
        };
        Ok((byte & 0x0F, count))
    }

    /// Reads past the value of a field.
    pub(super) fn skip(&mut self, kind: u8) -> Result<(), ParquetError> {
        // The value of a field stands in its kind, where it is true or false.
        if matches!(kind, TRUE | FALSE) { Ok(()) } else { self.skip_value(kind, DEPTH_MAX) }
    }

    fn skip_value(&mut self, kind: u8, depth: u32) -> Result<(), ParquetError> {
        let depth =
            depth.checked_sub(1).ok_or_else(|| damaged("structs stand within one another without end"))?;
        match kind {
            TRUE | FALSE | BYTE => self.byte().map(drop),
            I16 | I32 | I64 => self.unsigned().map(drop),
            DOUBLE => self.skip_bytes(8),
            BINARY => {
                let len = self.unsigned()?;
                self.skip_bytes(len)
            }
            LIST | SET => {
                let (kind, count) = self.list()?;
                // Each takes a byte at least: a count that is too high comes to the end of the file.
                (0..count).try_for_each(|_| self.skip_value(kind, depth))
            }
            STRUCT => {
                let mut id = 0;
                while let Some(field) = self.field(id)? {
                    id = field.id;
                    if !matches!(field.kind, TRUE | FALSE) {
                        self.skip_value(field.kind, depth)?;
                    }
                }
                Ok(())
            }
            _ => Err(damaged("a value is of no known kind")),
        }
    }

    fn skip_bytes(&mut self, len: u64) -> Result<(), ParquetError> {
        let skipped = io::copy(&mut self.input.by_ref().take(len), &mut io::sink())?;
        self.len += skipped;
        if skipped == len { Ok(()) } else { Err(damaged("it ends too early")) }
    }
}

pub(super) fn damaged(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{I32, Thrift};

    #[test]
    fn fields_are_read_and_skipped() {
        // Field 1, -3; field 4, a list of two booleans; field 5, a struct with a binary and true; field 90, 300.
        let bytes = [
            0x15, 5, 0x39, 0x21, 1, 2, 0x1C, 0x18, 3, b'a', b'b', b'c', 0x11, 0, 0x05, 180, 1, 0xD8, 0x04, 0,
            9,
        ];
        let mut thrift = Thrift::new(&bytes[..]);
        let (mut id, mut seen) = (0, Vec::new());
        while let Some(field) = thrift.field(id).unwrap() {
            id = field.id;
            if field.kind == I32 {
                seen.push((id, thrift.signed().unwrap()));
            } else {
                thrift.skip(field.kind).unwrap();
            }
        }
        assert_eq!(seen, [(1, -3), (90, 300)]);
        assert_eq!(thrift.len(), bytes.len() as u64 - 1);
    }

    #[test]
    fn what_is_cut_off_or_claims_too_much_is_refused() {
        for (bytes, kind) in [
            (&[0xFF; 11][..], I32),
            // A string, a list and a struct that go on beyond the end, and structs without end.
            (&[0xFF, 0xFF, 0xFF, 0x7F, 1], super::BINARY),
            (&[0xF5, 0xFF, 0xFF, 0xFF, 0x7F, 1], super::LIST),
            (&[0x15], super::STRUCT),
            (&[0x1C; 64], super::STRUCT),
            (&[0x1F, 0], super::STRUCT),
        ] {
            assert!(Thrift::new(bytes).skip(kind).is_err(), "{bytes:?}");
        }
    }
}
