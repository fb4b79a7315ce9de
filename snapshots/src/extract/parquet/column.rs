//! Decodes one column of a row group into the text that a CSV would hold, some rows at a time.

use std::io::Write;
use std::sync::Arc;

use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::pages::CheckedPages;
use super::schema::{Form, Plan};
use super::source::Source;

/// Values that are decoded before they become text: each takes 32 bytes until then.
const VALUES_MAX: usize = 4096;
/// Text of one column in a batch, at most. A dictionary can make much of little.
const TEXT_LEN_MAX: usize = 16 << 20;

/// The cells of one column, one after the other.
#[derive(Default)]
pub(super) struct ColumnText {
    text: String,
    /// Where each cell ends; nothing at all when every cell is empty.
    ends: Vec<u32>,
}

impl ColumnText {
    pub(super) fn cell(&self, row: usize) -> &str {
        let start = if row == 0 { Some(0) } else { self.ends.get(row - 1).copied() };
        let range = start.zip(self.ends.get(row).copied());
        range.and_then(|(start, end)| self.text.get(start as usize..end as usize)).unwrap_or_default()
    }
}

/// Why a column could not be decoded.
pub(super) enum ColumnFault {
    Pages(ParquetError),
    /// In the row of the batch with that number.
    InvalidUtf8(usize),
    TooLong,
}

impl From<ParquetError> for ColumnFault {
    fn from(error: ParquetError) -> ColumnFault {
        ColumnFault::Pages(error)
    }
}

/// A column of a row group, from its first row on.
pub(super) enum ColumnDecoder {
    Text(Values<ByteArrayType>),
    Date(Values<Int32Type>),
    Int32(Values<Int32Type>),
    Int64(Values<Int64Type>),
    Null,
}

impl ColumnDecoder {
    pub(super) fn new(
        source: &Arc<Source>,
        group: &RowGroupMetaData,
        plan: &Plan,
    ) -> Result<ColumnDecoder, ParquetError> {
        let pages = Box::new(CheckedPages::new(source, group, plan)?);
        let reader = get_column_reader(Arc::clone(&plan.descriptor), pages);
        Ok(match (plan.form, plan.descriptor.physical_type()) {
            (Form::Null, _) => ColumnDecoder::Null,
            (Form::Text, _) => ColumnDecoder::Text(Values::new(get_typed_column_reader(reader))),
            (Form::Date, _) => ColumnDecoder::Date(Values::new(get_typed_column_reader(reader))),
            (Form::Integer, parquet::basic::Type::INT64) => {
                ColumnDecoder::Int64(Values::new(get_typed_column_reader(reader)))
            }
            (Form::Integer, _) => ColumnDecoder::Int32(Values::new(get_typed_column_reader(reader))),
        })
    }

    /// The next rows, exactly so many.
    pub(super) fn decode(&mut self, rows: usize) -> Result<ColumnText, ColumnFault> {
        match self {
            ColumnDecoder::Text(values) => values.decode(rows, |value, text| {
                text.extend_from_slice(value.data());
                Ok(())
            }),
            ColumnDecoder::Date(values) => values.decode(rows, |&days, text| write_date(days, text)),
            ColumnDecoder::Int32(values) => values.decode(rows, |value, text| write!(text, "{value}")),
            ColumnDecoder::Int64(values) => values.decode(rows, |value, text| write!(text, "{value}")),
            ColumnDecoder::Null => Ok(ColumnText::default()),
        }
    }
}

/// The values of one type, with room for those that are being decoded.
pub(super) struct Values<T: DataType> {
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
    /// For each row whether it has a value; unused where every row must have one.
    levels: Vec<i16>,
}

impl<T: DataType> Values<T> {
    fn new(reader: ColumnReaderImpl<T>) -> Values<T> {
        Values { reader, values: Vec::new(), levels: Vec::new() }
    }

    fn decode(
        &mut self,
        rows: usize,
        write: impl Fn(&T::T, &mut Vec<u8>) -> std::io::Result<()>,
    ) -> Result<ColumnText, ColumnFault> {
        let (mut text, mut ends) = (Vec::with_capacity(8 * rows), Vec::with_capacity(rows));
        while ends.len() < rows {
            self.values.clear();
            self.levels.clear();
            let wanted = (rows - ends.len()).min(VALUES_MAX);
            let (read, _, _) =
                self.reader.read_records(wanted, Some(&mut self.levels), None, &mut self.values)?;
            if read == 0 {
                return Err(ParquetError::EOF("fewer rows than the row group has".to_owned()).into());
            }
            let mut values = self.values.iter();
            for row in 0..read {
                // Without levels every row has a value.
                if self.levels.get(row).is_none_or(|&level| level > 0) {
                    let value = values.next();
                    let value =
                        value.ok_or_else(|| ParquetError::EOF("fewer values than rows".to_owned()))?;
                    write(value, &mut text).map_err(|error| ParquetError::External(Box::new(error)))?;
                }
                // At each row: a dictionary's values may be long, and a batch has thousands of rows.
                if text.len() > TEXT_LEN_MAX {
                    return Err(ColumnFault::TooLong);
                }
                ends.push(u32::try_from(text.len()).map_err(|_| ColumnFault::TooLong)?);
            }
        }
        column_text(text, ends)
    }
}

/// Cells must be UTF-8 each for itself.
fn column_text(text: Vec<u8>, ends: Vec<u32>) -> Result<ColumnText, ColumnFault> {
    let invalid_at = match String::from_utf8(text) {
        Ok(text) => match ends.iter().position(|&end| !text.is_char_boundary(end as usize)) {
            None => return Ok(ColumnText { text, ends }),
            Some(row) => row,
        },
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let faulty = ends.partition_point(|&end| end as usize <= offset);
            // A character that goes on in the next cell is found by the cell in which it begins.
            faulty.min(ends.len().saturating_sub(1))
        }
    };
    Err(ColumnFault::InvalidUtf8(invalid_at))
}

/// Days since 1970-01-01 as the ISO 8601 text. The year alone says the calendar, as in a CSV. Years that do not have
/// four digits are as far out of range as the nearest that has.
fn write_date(days: i32, text: &mut Vec<u8>) -> std::io::Result<()> {
    let (year, month, day) = civil(i64::from(days));
    write!(text, "{:04}-{month:02}-{day:02}", year.clamp(0, 9999))
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar carried on without end (Neri and
/// Schneider's and Hinnant's way: years begin in March, so that the leap day is their last).
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::{Span, ToSpan};

    use super::{ColumnFault, column_text, write_date};

    #[test]
    fn days_are_written_as_another_calendar_writes_them() {
        let epoch = date(1970, 1, 1);
        let written = |days: i32| {
            let mut text = Vec::new();
            write_date(days, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        for days in (-719_000..2_900_000).step_by(97).chain(-800..800).chain(-25_600..-25_500) {
            let expected = epoch.checked_add(Span::new().days(days)).unwrap();
            assert_eq!(written(days), expected.to_string());
        }
        assert_eq!(epoch + 30_000.days(), date(2052, 2, 20));
        assert_eq!(&written(i32::MAX)[..4], "9999");
        assert_eq!(&written(i32::MIN)[..4], "0000");
    }

    #[track_caller]
    fn check_invalid(cells: &[&[u8]], row: usize) {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for cell in cells {
            text.extend_from_slice(cell);
            ends.push(text.len() as u32);
        }
        match column_text(text, ends) {
            Err(ColumnFault::InvalidUtf8(found)) => assert_eq!(found, row),
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn a_cell_that_is_no_utf_8_is_found() {
        check_invalid(&[b"a", b"\xFF", b"b"], 1);
        check_invalid(&[b"", b"", b"\xD9", b"\x85"], 2);
        check_invalid(&[b"", b"ab\xD9"], 1);
        check_invalid(&[b"\xDB\xB1", b"\xDB", b""], 1);
    }

    #[test]
    fn cells_are_found_again() {
        let text = column_text("aۼ".into(), vec![0, 1, 1, 3]).ok().unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(|row| text.cell(row)), ["", "a", "", "ۼ", ""]);
    }
}
