//! Splits one row into its cells with the reader of the `csv` crate. Which bytes are a row is already known.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

/// Splits rows, reusing its buffers.
pub(crate) struct CellReader {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// The cells of one row.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    text: &'a str,
    ends: &'a [usize],
}

/// Where in the row the first byte stands that is no UTF-8.
#[derive(Debug)]
pub(crate) struct InvalidUtf8 {
    pub(crate) offset: usize,
}

impl CellReader {
    /// `cells_max`: a row with more cells is reported as having just one more.
    pub(crate) fn new(cells_max: usize) -> CellReader {
        CellReader { reader: fresh_reader(), text: Vec::new(), ends: vec![0; cells_max + 1] }
    }

    /// Splits a row that is not empty.
    pub(crate) fn split(&mut self, row: &[u8]) -> Result<Cells<'_>, InvalidUtf8> {
        std::str::from_utf8(row).map_err(|error| InvalidUtf8 { offset: error.valid_up_to() })?;
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        // One byte more than the row: the reader stops where its output is full.
        self.text.resize(self.text.len().max(row.len() + 1), 0);
        let (_, _, text_len, mut count) = self.reader.read_record(row, &mut self.text, &mut self.ends);
        let (end, _, _, last) =
            self.reader.read_record(b"\n", &mut self.text[text_len..], &mut self.ends[count..]);
        count += last;
        if !matches!(end, ReadRecordResult::Record) {
            // More cells than there is room for: the rest of the row is of no use, its state must not stay.
            self.reader = fresh_reader();
        }
        let text = std::str::from_utf8(&self.text[..self.ends[..count].last().copied().unwrap_or(0)]);
        let text = text.expect("the row is UTF-8, and only ASCII characters were taken out of it");
        Ok(Cells { text, ends: &self.ends[..count] })
    }
}

/// Built anew each time: a clone of a `csv_core::Reader` loses its states (csv-core 0.1.13).
fn fresh_reader() -> Reader {
    // Only LF ends a row; a CR before it is taken off by the caller, any other is content.
    let mut reader = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
    // The first row that a reader sees loses a BOM; the file's own is gone already, any other is content.
    reader.read_record(b"x\n", &mut [0; 2], &mut [0; 2]);
    reader
}

impl<'a> Cells<'a> {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell in that place, or an empty one beyond the last.
    pub(crate) fn get(&self, place: usize) -> &'a str {
        let start = if place == 0 { Some(0) } else { self.ends.get(place - 1).copied() };
        let end = self.ends.get(place).copied();
        start.zip(end).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(|place| self.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::CellReader;

    #[track_caller]
    fn check(reader: &mut CellReader, row: &str, expected: &[&str]) {
        let cells = reader.split(row.as_bytes()).unwrap();
        assert_eq!(cells.iter().collect::<Vec<_>>(), expected, "{row:?}");
    }

    #[test]
    fn rfc_4180() {
        let mut reader = CellReader::new(3);
        check(&mut reader, "a,b,c\n", &["a", "b", "c"]);
        check(&mut reader, "a,\"b,\"\"\n\"\"\",\r\n", &["a", "b,\"\n\"", ""]);
        check(&mut reader, ",,", &["", "", ""]);
        check(&mut reader, "a\"b,\"c\"d,e", &["a\"b", "cd", "e"]);
        check(&mut reader, "\"\"\n", &[""]);
        check(&mut reader, "a\rb,c\r\n", &["a\rb", "c"]);
        check(&mut reader, "۱۲,é,\u{FEFF}\n", &["۱۲", "é", "\u{FEFF}"]);
        check(&mut CellReader::new(2), "\u{FEFF}\"a,b\n", &["\u{FEFF}\"a", "b"]);
    }

    #[test]
    fn too_many_cells_count_as_one_more_and_leave_no_trace() {
        let mut reader = CellReader::new(2);
        assert_eq!(reader.split(b"a,b,c\n").unwrap().len(), 3);
        assert!(reader.split(b"a,b,c,d,e,\"f\n\"\n").unwrap().len() > 2);
        check(&mut reader, "a,b\n", &["a", "b"]);
        assert_eq!(reader.split(b"a\n").unwrap().len(), 1);
        assert_eq!(reader.split(b"a\n").unwrap().get(5), "");
    }

    #[test]
    fn a_character_split_by_a_comma_is_invalid() {
        let mut reader = CellReader::new(2);
        assert_eq!(reader.split(b"a\xD9,\x85\n").err().unwrap().offset, 1);
    }
}
