//! Where a request's body ends. The edge passes bodies on as they are; it only needs to know which bytes behind a
//! body belong to the next request.

/// A body of which the end has not come yet.
pub(super) enum Body {
    /// So many bytes are missing.
    Length(u64),
    /// It comes in chunks (RFC 9112 section 7.1).
    Chunked(Chunk),
}

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy)]
pub(super) enum Chunk {
    /// Digits of a chunk's size, with the value of those before.
    Size { digits: u8, len: u64 },
    /// Blanks or an extension behind the size.
    Extension { len: u64 },
    /// The line feed behind the size.
    SizeEnd { len: u64 },
    /// Bytes of the chunk that are missing.
    Data(u64),
    /// The carriage return and the line feed behind the chunk.
    DataEnd { line_feed: bool },
    /// The first byte of a line behind the last chunk.
    TrailerStart,
    /// A trailer, which is passed over.
    Trailer,
    /// The line feed behind a trailer.
    TrailerEnd,
    /// The line feed of the empty line behind it all.
    LastLineFeed,
    /// The body is over.
    Over,
}

/// The chunks do not follow the rules; what comes behind them cannot be told from them.
pub(super) struct Malformed;

/// How much of some bytes belongs to a body.
pub(super) struct Part {
    pub(super) len: usize,
    pub(super) is_last: bool,
}

impl Body {
    /// A body of so many bytes.
    pub(super) fn of_len(len: u64) -> Body {
        Body::Length(len)
    }

    /// A body in chunks.
    pub(super) fn chunked() -> Body {
        Body::Chunked(Chunk::Size { digits: 0, len: 0 })
    }

    /// Goes on over `bytes` to the end of the body or of the bytes.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Part, Malformed> {
        match self {
            Body::Length(missing) => {
                let len = usize::try_from(*missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
                *missing -= len as u64;
                Ok(Part { len, is_last: *missing == 0 })
            }
            Body::Chunked(chunk) => chunk.advance(bytes),
        }
    }
}

impl Chunk {
    fn advance(&mut self, bytes: &[u8]) -> Result<Part, Malformed> {
        let mut len = 0;
        while let Some(&byte) = bytes.get(len) {
            if let Chunk::Data(missing) = self {
                let here = (bytes.len() - len).min(usize::try_from(*missing).unwrap_or(usize::MAX));
                len += here;
                *missing -= here as u64;
                if *missing == 0 {
                    *self = Chunk::DataEnd { line_feed: false };
                }
                continue;
            }
            *self = self.after(byte)?;
            len += 1;
            if matches!(self, Chunk::Over) {
                return Ok(Part { len, is_last: true });
            }
        }
        Ok(Part { len, is_last: false })
    }

    /// Where the byte behind this one stands.
    fn after(self, byte: u8) -> Result<Chunk, Malformed> {
        match (self, byte) {
            (Chunk::Size { digits, len }, _) if byte.is_ascii_hexdigit() && digits < 15 => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Ok(Chunk::Size { digits: digits + 1, len: len << 4 | digit })
            }
            (Chunk::Size { digits: 1.., len }, b'\t' | b' ' | b';') => Ok(Chunk::Extension { len }),
            (Chunk::Size { digits: 1.., len } | Chunk::Extension { len }, b'\r') => {
                Ok(Chunk::SizeEnd { len })
            }
            (Chunk::Extension { len }, b'\t' | b' '..=b'~' | 0x80..) => Ok(Chunk::Extension { len }),
            (Chunk::SizeEnd { len: 0 }, b'\n') => Ok(Chunk::TrailerStart),
            (Chunk::SizeEnd { len }, b'\n') => Ok(Chunk::Data(len)),
            (Chunk::DataEnd { line_feed: false }, b'\r') => Ok(Chunk::DataEnd { line_feed: true }),
            (Chunk::DataEnd { line_feed: true }, b'\n') => Ok(Chunk::Size { digits: 0, len: 0 }),
            (Chunk::TrailerStart, b'\r') => Ok(Chunk::LastLineFeed),
            (Chunk::Trailer, b'\r') => Ok(Chunk::TrailerEnd),
            (Chunk::TrailerStart | Chunk::Trailer, _) => Ok(Chunk::Trailer),
            (Chunk::TrailerEnd, b'\n') => Ok(Chunk::TrailerStart),
            (Chunk::LastLineFeed, b'\n') => Ok(Chunk::Over),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Body;

    /// The length of the body at the beginning of `bytes`, handed over in pieces of `step` bytes; none where it is
    /// malformed, and `usize::MAX` where its end is missing.
    fn end_of(mut body: Body, bytes: &[u8], step: usize) -> Option<usize> {
        let mut len = 0;
        for piece in bytes.chunks(step) {
            let part = body.advance(piece).ok()?;
            len += part.len;
            if part.is_last {
                return Some(len);
            }
        }
        Some(usize::MAX)
    }

    #[test]
    fn a_body_ends_at_the_same_byte_however_it_comes() {
        let chunked = b"4\r\nWiki\r\n6;name=value\r\npedia \r\n0A \r\nin chunks.\r\n0\r\nTrailer: x\r\n\r\n";
        let with_next = [&chunked[..], b"POST / HTTP/1.1\r\n"].concat();
        for step in 1..with_next.len() {
            assert_eq!(
                end_of(Body::chunked(), &with_next, step),
                Some(chunked.len()),
                "{step} bytes at a time"
            );
            assert_eq!(end_of(Body::of_len(5), &with_next, step), Some(5));
        }
        assert_eq!(end_of(Body::chunked(), &chunked[..chunked.len() - 1], 7), Some(usize::MAX));
        assert_eq!(end_of(Body::chunked(), b"0\r\n\r\n", 1), Some(5));
    }

    #[test]
    fn malformed_chunks_are_seen() {
        for chunks in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "4\nWiki",
            "4\r\nWikiX",
            "4\r\nWiki\rX",
            "1 1\u{0}\r\n",
            "fffffffffffffffff\r\n",
            "0\r\n\rX",
        ] {
            assert_eq!(end_of(Body::chunked(), chunks.as_bytes(), 3), None, "{chunks:?}");
        }
    }
}
