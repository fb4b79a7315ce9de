//! Where a TOML file is wrong, without the parser's own text: that quotes the file, which may hold a key.

/// The line, from 1, at which the parser stopped.
pub(crate) fn line_of(error: &toml::de::Error, text: &str) -> usize {
    let before = error.span().map_or(0, |span| span.start.min(text.len()));
    text.as_bytes()[..before].iter().filter(|&&byte| byte == b'\n').count() + 1
}
