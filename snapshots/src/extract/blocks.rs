//! Cuts the extract into blocks of whole rows, in one sequential pass that also digests the file. Rows end at
//! LF outside quotes (RFC 4180); everything else about a row is left to those who get the block.

use std::io::Read;
use std::path::PathBuf;

use engine::FileDigest;
use memchr::{memchr, memchr_iter, memchr2};

use super::error::ExtractError;

/// Bytes read before rows are cut: large enough to spread over cores, small enough for their caches.
const BLOCK_LEN: usize = 2 << 20;
/// A row longer than this refuses the file: the rest of it would be read into memory behind a lost quote.
const ROW_LEN_MAX: usize = 16 << 20;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Some whole rows, as bytes.
pub(crate) struct Block {
    /// Physical line on which the first row starts.
    first_line: u64,
    bytes: Vec<u8>,
    /// Where each row ends, its line break included.
    row_ends: Vec<u32>,
}

impl Block {
    /// The rows with the physical line on which each starts; empty lines are no rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let (mut line, mut start) = (self.first_line, 0);
        let rows = self.row_ends.iter().map(move |&end| {
            let row = &self.bytes[start..end as usize];
            let row_line = line;
            line += memchr_iter(b'\n', row).count() as u64;
            start = end as usize;
            (row_line, row)
        });
        rows.filter(|&(_, row)| !matches!(row, b"\n" | b"\r\n" | b"\r"))
    }

    /// Bytes of the extract in this block.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// An iterator of blocks. After an error, and at the end of the file, it ends.
pub(crate) struct BlockReader<R> {
    path: PathBuf,
    source: R,
    digest: blake3::Hasher,
    line: u64,
    /// The start of a row whose end was not read yet.
    carried: Vec<u8>,
    at_start: bool,
    finished: bool,
    /// Found behind the rows of the block that was handed out last.
    error: Option<ExtractError>,
}

impl<R: Read> BlockReader<R> {
    pub(crate) fn new(path: PathBuf, source: R) -> BlockReader<R> {
        let digest = blake3::Hasher::new();
        BlockReader {
            path,
            source,
            digest,
            line: 1,
            carried: Vec::new(),
            at_start: true,
            finished: false,
            error: None,
        }
    }

    /// Length and digest of what was read: of the whole file, once the iterator has ended without error.
    pub(crate) fn source_digest(&self) -> FileDigest {
        FileDigest { len: self.digest.count(), blake3: *self.digest.finalize().as_bytes() }
    }

    fn next_block(&mut self) -> Result<Option<Block>, ExtractError> {
        loop {
            let mut bytes = std::mem::take(&mut self.carried);
            bytes.reserve(BLOCK_LEN);
            self.fill(&mut bytes)?;
            let (mut row_ends, unfinished) = cut_rows(&bytes);
            let cut = row_ends.last().map_or(0, |&end| end as usize);
            let first_line = self.line;
            self.line += memchr_iter(b'\n', &bytes[..cut]).count() as u64;
            check_row_lengths(&bytes, &row_ends, first_line)?;
            self.error = self.check_unfinished(&bytes[cut..], unfinished);
            if self.error.is_some() {
                bytes.truncate(cut);
            } else if !self.finished {
                self.carried = bytes.split_off(cut);
            } else if bytes.len() > cut {
                row_ends.push(bytes.len() as u32);
            }
            if !row_ends.is_empty() {
                return Ok(Some(Block { first_line, bytes, row_ends }));
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            if self.finished {
                return Ok(None);
            }
        }
    }

    /// Reads until the block is full or the file ends.
    fn fill(&mut self, bytes: &mut Vec<u8>) -> Result<(), ExtractError> {
        let before = bytes.len();
        let read = (&mut self.source).take(BLOCK_LEN as u64).read_to_end(bytes);
        let read = read.map_err(|source| ExtractError::Io { path: self.path.clone(), source })?;
        self.digest.update(&bytes[before..]);
        self.finished = read < BLOCK_LEN;
        if std::mem::take(&mut self.at_start) && bytes.starts_with(BOM) {
            bytes.drain(..BOM.len());
        }
        Ok(())
    }

    /// What follows the last whole row may go on in the next block, unless it is too long or was the last.
    fn check_unfinished(&self, rest: &[u8], unfinished: Unfinished) -> Option<ExtractError> {
        if rest.len() > ROW_LEN_MAX {
            return Some(ExtractError::RowTooLong { line: self.line });
        }
        match unfinished {
            Unfinished::InQuotes { from_row_start } if self.finished => {
                let lines_before = memchr_iter(b'\n', &rest[..from_row_start]).count() as u64;
                Some(ExtractError::UnclosedQuote { line: self.line + lines_before })
            }
            _ => None,
        }
    }
}

impl<R: Read> Iterator for BlockReader<R> {
    type Item = Result<Block, ExtractError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            self.finished = true;
            return Some(Err(error));
        }
        if self.finished {
            return None;
        }
        let block = self.next_block();
        self.finished |= block.is_err();
        block.transpose()
    }
}

/// The same row is refused wherever it lies: only a block that was carried on can hold one so long.
fn check_row_lengths(bytes: &[u8], row_ends: &[u32], first_line: u64) -> Result<(), ExtractError> {
    if bytes.len() <= ROW_LEN_MAX {
        return Ok(());
    }
    let mut start = 0;
    for &end in row_ends {
        let end = end as usize;
        if end - start > ROW_LEN_MAX {
            let lines_before = memchr_iter(b'\n', &bytes[..start]).count() as u64;
            return Err(ExtractError::RowTooLong { line: first_line + lines_before });
        }
        start = end;
    }
    Ok(())
}

/// How the bytes after the last whole row end.
enum Unfinished {
    OutsideQuotes,
    /// Inside a quoted cell that begins so many bytes after the row's start.
    InQuotes {
        from_row_start: usize,
    },
}

/// The ends of all rows that end in `bytes`, which begins with a row.
fn cut_rows(bytes: &[u8]) -> (Vec<u32>, Unfinished) {
    let mut row_ends = Vec::with_capacity(bytes.len() / 64);
    let (mut row_start, mut at) = (0, 0);
    while let Some(found) = memchr2(b'"', b'\n', &bytes[at..]) {
        let place = at + found;
        at = place + 1;
        if bytes[place] == b'\n' {
            row_start = at;
            row_ends.push(at as u32);
        } else if place == row_start || bytes[place - 1] == b',' {
            // Only a quote at the start of a cell opens one; elsewhere it is an ordinary character.
            match closing_quote(bytes, at) {
                Some(closing) => at = closing + 1,
                None => return (row_ends, Unfinished::InQuotes { from_row_start: place - row_start }),
            }
        }
    }
    (row_ends, Unfinished::OutsideQuotes)
}

/// The next quote that is not one of two in a row.
fn closing_quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let quote = at + memchr(b'"', &bytes[at..])?;
        if bytes.get(quote + 1) != Some(&b'"') {
            return Some(quote);
        }
        at = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{BLOCK_LEN, BlockReader, ROW_LEN_MAX};
    use crate::extract::ExtractError;

    fn rows(source: impl Read) -> Result<Vec<(u64, String)>, ExtractError> {
        let mut rows = Vec::new();
        for block in BlockReader::new("x.csv".into(), source) {
            let block = block?;
            rows.extend(block.rows().map(|(line, row)| (line, String::from_utf8(row.to_vec()).unwrap())));
        }
        Ok(rows)
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &str)]) {
        let expected: Vec<_> = expected.iter().map(|&(line, row)| (line, row.to_owned())).collect();
        assert_eq!(rows(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn rows_carry_the_physical_line_on_which_they_start() {
        check("a\nb\n", &[(1, "a\n"), (2, "b\n")]);
        check("\u{FEFF}a\r\n\r\n\nb", &[(1, "a\r\n"), (4, "b")]);
        check("a,\"x\ny\n\"\nb\n", &[(1, "a,\"x\ny\n\"\n"), (4, "b\n")]);
        check("a,\"x\"\"\ny\"\nb\n", &[(1, "a,\"x\"\"\ny\"\n"), (3, "b\n")]);
        check("a\"b\nc\"d\n", &[(1, "a\"b\n"), (2, "c\"d\n")]);
        check("", &[]);
    }

    #[test]
    fn an_unclosed_quote_is_found_with_its_line() {
        let error = rows("h\n\na,\"x\n\"\"\n".as_bytes()).unwrap_err();
        assert!(matches!(error, ExtractError::UnclosedQuote { line: 3 }), "{error}");
        let error = rows("h\n\"a\nb\",\"x\n".as_bytes()).unwrap_err();
        assert!(matches!(error, ExtractError::UnclosedQuote { line: 3 }), "{error}");
        assert!(error.to_string().contains("line 3: a quoted cell begins here and is not closed"));
    }

    #[test]
    fn a_row_without_end_is_refused_before_it_fills_the_memory() {
        let text = format!("h\n\"{}", "x".repeat(BLOCK_LEN + ROW_LEN_MAX));
        let error = rows(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ExtractError::RowTooLong { line: 2 }), "{error}");
    }

    #[test]
    fn a_long_row_is_taken_or_refused_wherever_it_lies() {
        for (len, refused) in [(ROW_LEN_MAX - 1, false), (ROW_LEN_MAX, true)] {
            for before in [0, 3, BLOCK_LEN - 5, BLOCK_LEN + 5] {
                for after in ["\n", "\nb\n"] {
                    let text = format!("{}{}{after}", "a\n".repeat(before / 2), "x".repeat(len));
                    let outcome = rows(text.as_bytes());
                    assert_eq!(outcome.is_err(), refused, "{len} bytes after {before}");
                }
            }
        }
    }

    #[test]
    fn rows_before_a_fault_are_handed_out_first() {
        let mut reader = BlockReader::new("x.csv".into(), "a\nb\n\"c".as_bytes());
        assert_eq!(reader.next().unwrap().unwrap().rows().count(), 2);
        assert!(matches!(reader.next(), Some(Err(ExtractError::UnclosedQuote { line: 3 }))));
        assert!(reader.next().is_none());
    }

    #[test]
    fn block_borders_do_not_show() {
        let row = "0123456789,\"a\"\"b\nc\",\u{6F1}\r\n";
        let count = 3 * BLOCK_LEN / row.len();
        let text = row.repeat(count);
        let found = rows(text.as_bytes()).unwrap();
        assert_eq!(found.len(), count);
        for (number, (line, found)) in found.iter().enumerate() {
            assert_eq!((*line, found.as_str()), (2 * number as u64 + 1, row));
        }
    }
}
