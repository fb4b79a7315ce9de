//! Mobile numbers and the ways people write them.

use super::draw::Draw;

/// What stands in a person's mobile cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mobile {
    /// Nothing: the person may not ask for themself.
    None,
    /// Something that is no mobile number, stored as none.
    Unreadable,
    /// The nine digits after the leading 9.
    Number(u32),
}

/// How a number is written. All but the first need cleaning by whoever reads it.
#[derive(Clone, Copy)]
pub(super) enum Spelling {
    Plain,
    WithoutZero,
    Plus98,
    DoubleZero98,
    Only98,
    Spaces,
    Hyphens,
    Persian,
}

/// Spellings of the extract, where most numbers come from forms that check them.
pub(super) const IN_EXTRACT: [(u32, Spelling); 8] = [
    (800, Spelling::Plain),
    (80, Spelling::WithoutZero),
    (40, Spelling::Plus98),
    (15, Spelling::DoubleZero98),
    (25, Spelling::Only98),
    (15, Spelling::Spaces),
    (15, Spelling::Hyphens),
    (10, Spelling::Persian),
];

/// Spellings of inquiries, where people type.
pub(super) const IN_REQUESTS: [(u32, Spelling); 8] = [
    (400, Spelling::Plain),
    (100, Spelling::WithoutZero),
    (120, Spelling::Plus98),
    (60, Spelling::DoubleZero98),
    (60, Spelling::Only98),
    (80, Spelling::Spaces),
    (80, Spelling::Hyphens),
    (100, Spelling::Persian),
];

/// A number of one of the operators: 91x, 90x, 93x, 99x, 92x.
pub(super) fn number(draw: &mut Draw) -> u32 {
    let operator = draw.weighted(&[(45, 1), (15, 0), (25, 3), (8, 9), (7, 2)]);
    operator * 100_000_000 + draw.below(100_000_000)
}

/// Another number than this one.
pub(super) fn another(number: u32, draw: &mut Draw) -> u32 {
    let last = number % 10;
    number - last + (last + 1 + draw.below(9)) % 10
}

/// Writes a number as people do.
pub(super) fn write(out: &mut Vec<u8>, number: u32, spelling: Spelling) {
    let mut digits = *b"9000000000";
    let mut rest = number;
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    match spelling {
        Spelling::Plain => out.push(b'0'),
        Spelling::WithoutZero => {}
        Spelling::Plus98 => out.extend_from_slice(b"+98"),
        Spelling::DoubleZero98 => out.extend_from_slice(b"0098"),
        Spelling::Only98 => out.extend_from_slice(b"98"),
        Spelling::Spaces => return write_groups(out, &digits, b' '),
        Spelling::Hyphens => return write_groups(out, &digits, b'-'),
        Spelling::Persian => {
            write_persian(out, b"0");
            return write_persian(out, &digits);
        }
    }
    out.extend_from_slice(&digits);
}

fn write_groups(out: &mut Vec<u8>, digits: &[u8; 10], separator: u8) {
    out.push(b'0');
    out.extend_from_slice(&digits[..3]);
    out.push(separator);
    out.extend_from_slice(&digits[3..6]);
    out.push(separator);
    out.extend_from_slice(&digits[6..]);
}

/// Writes text with its ASCII digits as Persian ones (U+06F0 and on).
pub(super) fn write_persian(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'0'..=b'9' => out.extend_from_slice(&[0xdb, 0xb0 + (byte - b'0')]),
            _ => out.push(byte),
        }
    }
}

/// Writes text with its ASCII digits as Arabic-Indic ones (U+0660 and on).
pub(super) fn write_arabic_indic(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'0'..=b'9' => out.extend_from_slice(&[0xd9, 0xa0 + (byte - b'0')]),
            _ => out.push(byte),
        }
    }
}
