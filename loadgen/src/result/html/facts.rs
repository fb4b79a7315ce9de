//! What every report has: its head with the verdict, and the environment at its end.

use crate::result::document::Document;
use crate::result::html::page::{Page, escape, facts, verdict_badge};
use crate::result::model::Provenance;
use crate::result::verdict::{Verdict, VerdictFacts};

/// Name, verdict, reasons, and the numbers that matter.
pub(super) fn head(
    name: &str,
    sub: &str,
    meaning: &str,
    caveat: Option<&str>,
    verdict: &VerdictFacts,
    cards: &str,
) -> String {
    let class = verdict.verdict.word().to_ascii_lowercase();
    let caveat = caveat.map_or_else(String::new, |text| format!("<p class=\"caveat\">{}</p>", escape(text)));
    let reasons: String = verdict.reasons.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    let reasons = if reasons.is_empty() { reasons } else { format!("<ul class=\"reasons\">{reasons}</ul>") };
    format!(
        "<header id=\"verdict\" class=\"{class}\" data-verdict=\"{class}\"><h1>{} {}</h1>\
         <p class=\"sub\">{}</p><p>{}</p>{caveat}{reasons}<div class=\"cards\">{cards}</div></header>\n",
        escape(name),
        verdict_badge(verdict.verdict),
        escape(sub),
        escape(meaning)
    )
}

/// What a verdict on goals says, and what it does not.
pub(super) fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "Every goal was met, and the measurement can be trusted.",
        Verdict::Missed => "The server missed a goal. The measurement itself can be trusted.",
        Verdict::Invalid => {
            "The measurement cannot be trusted, whatever the numbers below say: it shows neither that the \
             goals were met nor that they were missed."
        }
    }
}

pub(super) fn add_environment(page: &mut Page, document: &Document) {
    let html = match document {
        Document::Compare(compare) => {
            let side = |name: &str, p: &Provenance| format!("<h3>{name}</h3>{}", environment(p));
            side("a", &compare.a.provenance) + &side("b", &compare.b.provenance)
        }
        _ => environment(document.provenance()),
    };
    page.section("environment", "Environment", "", &html);
}

fn environment(p: &Provenance) -> String {
    let pairs = [
        ("started", started(p.started_at_unix_ms)),
        ("loadgen", escape(&p.loadgen_version)),
        ("built from", escape(&p.built_from())),
        ("seed", p.seed.to_string()),
        ("scenario", escape(&p.scenario.name)),
        ("scenario digest", format!("<code>{}</code>", escape(&p.scenario.blake3))),
        ("host", escape(&p.machines())),
    ];
    let text = escape(&p.scenario.text);
    let scenario =
        format!("<details><summary>The scenario, word for word</summary><pre>{text}</pre></details>");
    facts(&pairs) + if p.scenario.text.is_empty() { "" } else { &scenario }
}

/// RFC 3339 in UTC. Dates as days since 1970-03-01 in eras of 400 years, so that leap days come last.
fn started(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000 + 719_468, unix_ms % 86_400_000);
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let s = ms / 1_000;
    format!("{year:04}-{month:02}-{date:02} {:02}:{:02}:{:02} UTC", s / 3_600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_dates_in_utc() {
        let cases = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_795_305_599_999, "2026-11-21 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ];
        for (ms, text) in cases {
            assert_eq!(started(ms), text);
        }
    }
}
