//! What every cell of the extract and every ID, mobile number and date over HTTP goes through first: the
//! marks at its ends go, and digits of the two Arabic scripts become ASCII. Never rejects anything.

use std::borrow::Cow;

/// The marks that spreadsheets and Persian keyboards leave at the ends of a cell: space, tab, NBSP, ZWNJ,
/// LRM, RLM and BOM (PRODUCT.md section 2).
const MARKS: [char; 7] = [' ', '\t', '\u{A0}', '\u{200C}', '\u{200E}', '\u{200F}', '\u{FEFF}'];

/// Trims the marks at both ends and reads Persian (U+06F0..) and Arabic-Indic (U+0660..) digits as ASCII.
/// Borrows unless a digit has to change.
pub fn clean_cell(cell: &str) -> Cow<'_, str> {
    let trimmed = cell.trim_matches(MARKS);
    if trimmed.is_ascii() {
        return Cow::Borrowed(trimmed);
    }
    if trimmed.chars().all(|c| ascii_digit(c) == c) {
        return Cow::Borrowed(trimmed);
    }
    Cow::Owned(trimmed.chars().map(ascii_digit).collect())
}

fn ascii_digit(c: char) -> char {
    let value = match c {
        '\u{06F0}'..='\u{06F9}' => u32::from(c) - 0x06F0,
        '\u{0660}'..='\u{0669}' => u32::from(c) - 0x0660,
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
        assert_eq!(clean_cell(" \u{200C} "), "");
        assert_eq!(clean_cell("a\n"), "a\n", "a line break is content");
    }

    #[test]
    fn both_arabic_digit_rows_become_ascii() {
        assert_eq!(clean_cell("۰۱۲۳۴۵۶۷۸۹"), "0123456789");
        assert_eq!(clean_cell("٠١٢٣٤٥٦٧٨٩"), "0123456789");
        assert_eq!(clean_cell("سال ۱۴۰۵"), "سال 1405");
    }
}
