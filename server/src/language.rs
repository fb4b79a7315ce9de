//! Which of the two languages a client asks for: `Accept-Language` with its weights (RFC 9110 section
//! 12.5.4). Persian unless English is asked for.

use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderMap};
use ledger::Language;

/// The language of the answer. English only when it is wanted, and more than Persian; of equals the first
/// named; `*` stands for Persian where Persian is not named.
pub(crate) fn negotiate(headers: &HeaderMap) -> Language {
    let mut wanted = Wanted::default();
    for value in headers.get_all(ACCEPT_LANGUAGE) {
        let Ok(text) = value.to_str() else { continue };
        text.split(',').for_each(|range| wanted.note(range));
    }
    wanted.language()
}

/// Weights in thousandths, by the order in which they were named.
#[derive(Default)]
struct Wanted {
    english: Option<u16>,
    persian: Option<u16>,
    any: Option<u16>,
    english_first: bool,
}

impl Wanted {
    /// One language range with its weight; what cannot be read is passed over.
    fn note(&mut self, range: &str) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let Some(weight) = weight(parts.next()) else { return };
        let primary = name.split('-').next().unwrap_or("");
        let slot = if primary.eq_ignore_ascii_case("en") {
            self.english_first |= self.persian.is_none();
            &mut self.english
        } else if primary.eq_ignore_ascii_case("fa") {
            &mut self.persian
        } else if name == "*" {
            &mut self.any
        } else {
            return;
        };
        *slot = Some(slot.map_or(weight, |before| before.max(weight)));
    }

    fn language(&self) -> Language {
        let english = self.english.unwrap_or(0);
        let persian = self.persian.or(self.any).unwrap_or(0);
        let preferred = english > persian || (english == persian && self.english_first);
        if english > 0 && preferred { Language::English } else { Language::Persian }
    }
}

/// `q=0.5` in thousandths, 1000 when there is none; none for anything that is no weight.
fn weight(parameter: Option<&str>) -> Option<u16> {
    let Some(parameter) = parameter else { return Some(1000) };
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};

    use super::negotiate;

    #[track_caller]
    fn check(headers: &[&'static str], expected: &str) {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(ACCEPT_LANGUAGE, HeaderValue::from_static(header));
        }
        assert_eq!(negotiate(&map).code(), expected, "{headers:?}");
    }

    #[test]
    fn persian_unless_english_is_asked_for() {
        check(&[], "fa");
        check(&["en"], "en");
        check(&["EN-gb"], "en");
        check(&["fa"], "fa");
        check(&["de"], "fa");
        check(&["de, en;q=0.1"], "en");
        check(&["*"], "fa");
        check(&["english"], "fa");
    }

    #[test]
    fn weights_decide_and_then_the_order() {
        check(&["en;q=0.8, fa"], "fa");
        check(&["en-US,en;q=0.9,fa;q=0.8"], "en");
        check(&["fa-IR, fa;q=0.9, en;q=0.8"], "fa");
        check(&["en, fa"], "en");
        check(&["fa, en"], "fa");
        check(&["fa", "en"], "fa");
        check(&["fa;q=0.2", "en;q=0.3"], "en");
        check(&["en;q=0"], "fa");
        check(&["en;q=0.000, de"], "fa");
        check(&["en;q=0.5, *;q=0.8"], "fa");
        check(&["en, *;q=0.1"], "en");
        check(&["en, *"], "en");
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        check(&["en;q=2"], "fa");
        check(&["en;q=0.12345"], "fa");
        check(&["en;level=1"], "fa");
        check(&["en ; q = 1.0"], "en");
        check(&[",;,=,en"], "en");
    }
}
