//! What every cell of the extract and every number that somebody typed goes through first: the marks at its ends go,
//! digits of the two Arabic scripts become ASCII, and non-breaking spaces and hyphens plain ones. Never rejects anything.

use std::borrow::Cow;

/// What spreadsheets, Persian keyboards, chat programs and scanners leave at the ends of a cell: blanks and line ends,
/// marks of direction and of joining, and the soft hyphen. None of them shows.
fn is_mark(c: char) -> bool {
    matches!(c,
        ' ' | '\t' | '\r' | '\n' | '\u{A0}' | '\u{202F}'    // blanks and line ends
        | '\u{61C}' | '\u{200E}' | '\u{200F}'               // ALM, LRM, RLM
        | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
        | '\u{200B}'..='\u{200D}' | '\u{2060}'              // zero-width space, ZWNJ, ZWJ, word joiner
        | '\u{AD}' | '\u{FEFF}'                             // soft hyphen, BOM
    )
}

/// Trims the marks at both ends; within, reads Persian (U+06F0..) and Arabic-Indic (U+0660..) digits as ASCII, and
/// non-breaking spaces and hyphens as plain ones. Borrows unless a character has to change.
pub fn clean_cell(cell: &str) -> Cow<'_, str> {
    let trimmed = cell.trim_matches(is_mark);
    if trimmed.is_ascii() || trimmed.chars().all(|c| plain(c) == c) {
        return Cow::Borrowed(trimmed);
    }
    Cow::Owned(trimmed.chars().map(plain).collect())
}

fn plain(c: char) -> char {
    let value = match c {
        '\u{6F0}'..='\u{6F9}' => u32::from(c) - 0x6F0,
        '\u{660}'..='\u{669}' => u32::from(c) - 0x660,
        '\u{A0}' | '\u{202F}' => return ' ',
        '\u{2010}' | '\u{2011}' => return '-',
        _ => return c,
    };
    char::from_digit(value, 10).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::clean_cell;

    #[test]
    fn marks_go_at_the_ends_only() {
        assert_eq!(clean_cell("\u{FEFF}\u{200F} \t1\u{200C}2\u{A0}\u{200E}"), "1\u{200C}2");
        assert_eq!(clean_cell("\u{202B}\u{2067}1\u{200D}2\u{2069}\u{202C}\u{AD}\r\n"), "1\u{200D}2");
        assert_eq!(clean_cell("\u{61C}\u{200D}1\n2\u{2060}\u{200B}"), "1\n2");
        assert_eq!(clean_cell(" \u{200C}\u{202A} "), "");
    }

    #[test]
    fn both_arabic_digit_rows_become_ascii() {
        assert_eq!(clean_cell("۰۱۲۳۴۵۶۷۸۹"), "0123456789");
        assert_eq!(clean_cell("٠١٢٣٤٥٦٧٨٩"), "0123456789");
        assert_eq!(clean_cell("سال ۱۴۰۵"), "سال 1405");
    }

    #[test]
    fn what_does_not_break_is_read_as_what_does() {
        assert_eq!(clean_cell("0912\u{A0}123\u{202F}45\u{2011}6\u{2010}7"), "0912 123 45-6-7");
    }
}
