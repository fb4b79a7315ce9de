//! Strings that are stored as deltas: how many values they claim is held against the page before the crate makes room for
//! so many, and so is what the values share, of which a damaged page makes much from little.

use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::errors::ParquetError;

use super::page_size::PageTooLarge;
use super::thrift::{Thrift, damaged};

/// Values of such a page, at most: each has one or two lengths in memory while the page is decoded.
const VALUES_MAX: u32 = 1 << 24;
/// Bytes that a value shares with the one before it, at most: some thousand values are decoded at once.
const SHARED_LEN_MAX: i32 = 16 << 10;
/// What the crate counts in: the lengths are 32-bit numbers.
const WIDTH_MAX: u8 = 32;
/// In the specification: values of a part of a block.
const PART_MULTIPLE: u64 = 32;

/// Checks a page that needs it. `optional` tells whether its column may have nulls.
pub(super) fn check_delta(page: &Page, optional: bool) -> Result<(), ParquetError> {
    let strings = matches!(page.encoding(), Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY);
    if !strings || page.is_dictionary_page() {
        return Ok(());
    }
    if page.num_values() > VALUES_MAX {
        return Err(PageTooLarge::Values { found: page.num_values(), max: VALUES_MAX }.into());
    }
    let values = values_of(page, optional).ok_or_else(|| damaged("a page ends before its values begin"))?;
    if values.is_empty() {
        return Ok(());
    }
    let first = Lengths::of(values, page.num_values())?;
    if page.encoding() == Encoding::DELTA_BYTE_ARRAY {
        if first.largest > SHARED_LEN_MAX {
            return Err(damaged("a value shares more bytes with the one before it than are read"));
        }
        Lengths::of(values.get(first.end..).unwrap_or_default(), page.num_values())?;
    }
    Ok(())
}

/// The values of a page behind what tells which rows have one.
fn values_of(page: &Page, optional: bool) -> Option<&[u8]> {
    match page {
        Page::DataPage { buf, num_values, def_level_encoding, .. } if optional => match def_level_encoding {
            Encoding::RLE => {
                let (len, levels) = buf.split_first_chunk()?;
                levels.get(u32::from_le_bytes(*len) as usize..)
            }
            // One bit each.
            _ => buf.get(num_values.div_ceil(8) as usize..),
        },
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            buf.get(*def_levels_byte_len as usize + *rep_levels_byte_len as usize..)
        }
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => Some(buf),
    }
}

/// Lengths that are stored as DELTA_BINARY_PACKED.
struct Lengths {
    largest: i32,
    /// Where they end.
    end: usize,
}

impl Lengths {
    fn of(bytes: &[u8], count_max: u32) -> Result<Lengths, ParquetError> {
        let mut numbers = Thrift::new(bytes);
        let (block, parts, count) = (numbers.unsigned()?, numbers.unsigned()?, numbers.unsigned()?);
        if count > u64::from(count_max) {
            return Err(damaged("a page claims more lengths than it has values"));
        }
        let part = block.checked_div(parts).filter(|part| *part > 0 && part.is_multiple_of(PART_MULTIPLE));
        let part = part.ok_or_else(|| damaged("a page has blocks of lengths of no possible size"))?;
        let mut length = numbers.signed()? as i32;
        let mut lengths = Lengths { largest: length, end: numbers.len() as usize };
        let mut left = count.saturating_sub(1);
        while left > 0 {
            let mut numbers = Thrift::new(bytes.get(lengths.end..).unwrap_or_default());
            let delta_min = numbers.signed()? as i32;
            let widths_start = lengths.end + numbers.len() as usize;
            lengths.end = widths_start.checked_add(parts as usize).ok_or_else(cut_off)?;
            for &width in bytes.get(widths_start..lengths.end).ok_or_else(cut_off)? {
                if left == 0 {
                    break;
                }
                let packed = lengths.part(bytes, width, part)?;
                for delta in deltas(packed, width).take(left.min(part) as usize) {
                    length = length.wrapping_add(delta_min).wrapping_add(delta as i32);
                    lengths.largest = lengths.largest.max(length);
                }
                left = left.saturating_sub(part);
            }
        }
        Ok(lengths)
    }

    /// The bytes of the part that comes next, with so many values of so many bits.
    fn part<'a>(&mut self, bytes: &'a [u8], width: u8, values: u64) -> Result<&'a [u8], ParquetError> {
        if width > WIDTH_MAX {
            return Err(damaged("a page has lengths of more than 32 bits"));
        }
        let len = values.checked_mul(u64::from(width)).ok_or_else(cut_off)? / 8;
        let start = self.end;
        self.end = start.checked_add(usize::try_from(len)?).ok_or_else(cut_off)?;
        bytes.get(start..self.end).ok_or_else(cut_off)
    }
}

/// Numbers of so many bits each, the lowest first; zeros without end when they have none.
fn deltas(packed: &[u8], width: u8) -> impl Iterator<Item = u64> + '_ {
    let bit = |place: usize| packed.get(place / 8).map_or(0, |byte| u64::from(byte >> (place % 8) & 1));
    let width = usize::from(width);
    (0..).map(move |number: usize| {
        (0..width).fold(0, |value, place| value | bit(number * width + place) << place)
    })
}

fn cut_off() -> ParquetError {
    damaged("a page ends within its lengths")
}

#[cfg(test)]
mod tests {
    use super::{Lengths, deltas};

    /// 34 lengths from 5 on, in parts of 32: the first with deltas of -1, 0, 1 and 2 in two bits, the second in one.
    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0x80, 0x01, 4, 34, 10, 1, 2, 1, 0, 0];
        bytes.extend([0xE4; 8]);
        bytes.extend([1, 0, 0, 0]);
        bytes
    }

    #[test]
    fn lengths_are_read_to_their_end() {
        let read = |bytes: &[u8]| Lengths::of(bytes, 34).map(|lengths| (lengths.largest, lengths.end));
        assert_eq!(read(&bytes()).unwrap(), (21, 22));
        assert_eq!(read(&[bytes().as_slice(), b"abc"].concat()).unwrap(), (21, 22));
        for len in 0..22 {
            assert!(read(&bytes()[..len]).is_err(), "{len} bytes");
        }
        assert_eq!(deltas(&[0xE4, 0x1B], 3).take(5).collect::<Vec<_>>(), [4, 4, 7, 5, 1]);
    }

    #[test]
    fn what_they_claim_is_held_against_the_page() {
        let message = |bytes: &[u8]| Lengths::of(bytes, 33).err().unwrap().to_string();
        assert!(message(&bytes()).contains("more lengths than it has values"));
        // No parts, parts of 16 and of nothing, and 33 bits.
        for sizes in [[0x80, 0x01, 0], [0x80, 0x01, 8], [0x80, 0x00, 1]] {
            let text = message(&[&sizes[..], &[3, 10]].concat());
            assert!(text.contains("of no possible size"), "{text}");
        }
        let text = message(&[0x80, 0x01, 4, 3, 10, 1, 33, 0, 0, 0]);
        assert!(text.contains("more than 32 bits"), "{text}");
    }
}
