//! Rows of an export as CSV (RFC 4180), with the names that they have as JSON: a member of a member is named with a point.
//!
//! A spreadsheet takes a cell that begins with one of `= + - @`, a tab or a carriage return for a formula, in quotes or not.
//! A provider's ID may begin so; such a text gets an apostrophe in front, as spreadsheets themselves write it. JSON has
//! every text as it is.

use serde_json::Value;

/// The columns in their order. New ones come at the end, so that who counts columns is not surprised.
pub(super) const COLUMNS: [&str; 30] = [
    "tracking_code",
    "sequence",
    "answered_at",
    "channel",
    "provider",
    "id_kind",
    "person_id",
    "care",
    "service_date",
    "language",
    "status",
    "reason",
    "notices",
    "end_date",
    "open_ended",
    "snapshot",
    "rules_version",
    "ledger",
    "segment",
    "entry",
    "month_key",
    "decided_by.category",
    "decided_by.relation",
    "decided_by.coverage_start",
    "decided_by.coverage_end",
    "decided_by.turns_19",
    "decided_by.student_until",
    "decided_by.document_due",
    "decided_by.other_insurer",
    "decided_by.branch",
];

/// The line of names, without its end.
pub(super) fn header() -> String {
    COLUMNS.join(",")
}

/// The line of a row, without its end.
pub(super) fn line(row: &Value) -> String {
    COLUMNS.map(|column| cell(column.split('.').fold(row, |value, name| &value[name]))).join(",")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text_cell(text),
        Value::Array(values) => {
            text_cell(&values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

fn text_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = format!("{}{text}", if is_formula { "'" } else { "" });
    let needs_quotes = text.contains([',', '"', '\r', '\n']) || text.trim() != text;
    if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{COLUMNS, line};

    fn of_provider(provider: &str) -> String {
        let place = COLUMNS.iter().position(|column| *column == "provider").unwrap();
        let line = line(&json!({ "provider": provider }));
        let (before, after) = (",".repeat(place), ",".repeat(COLUMNS.len() - 1 - place));
        line.strip_prefix(&before).unwrap().strip_suffix(&after).unwrap().to_owned()
    }

    #[test]
    fn what_needs_quotes_has_them_and_no_formula_comes_through() {
        for (provider, cell) in [
            ("clinic-1", "clinic-1"),
            ("a,b", "\"a,b\""),
            ("say \"a\"", "\"say \"\"a\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            (" a", "\" a\""),
            ("میز ۱۴۲۰", "میز ۱۴۲۰"),
            ("=1+1", "'=1+1"),
            ("-2+3", "'-2+3"),
            ("+98", "'+98"),
            ("@SUM(A1,B1)", "\"'@SUM(A1,B1)\""),
            ("\ta", "'\ta"),
            ("'a", "'a"),
        ] {
            assert_eq!(of_provider(provider), cell);
        }
    }

    #[test]
    fn members_lists_and_nothing() {
        let row = json!({
            "sequence": 7, "open_ended": true, "notices": ["a", "b"], "end_date": null,
            "decided_by": {"category": "insured", "branch": 12},
        });
        assert_eq!(line(&row), ",7,,,,,,,,,,,a b,,true,,,,,,,insured,,,,,,,,12");
        assert_eq!(line(&json!({"decided_by": null})), ",".repeat(COLUMNS.len() - 1));
    }
}
