//! The frame of the report: head, style, script, and the small pieces that sections are made of.
//!
//! The page refers to nothing outside itself, and its own policy forbids it to: `default-src 'none'`.

use std::io::{self, Write};

use crate::result::verdict::{GoalVerdict, Verdict};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// A page under construction.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) title: String,
    lead: String,
    sections: String,
    contents: String,
}

impl Page {
    pub(super) fn new(title: String) -> Page {
        Page { title, ..Page::default() }
    }

    /// A section without a heading, before all others.
    pub(super) fn lead(&mut self, html: &str) {
        self.lead.push_str(html);
    }

    /// A section with a heading and a sentence on how to read it. `note` is HTML.
    pub(super) fn section(&mut self, id: &str, heading: &str, note: &str, html: &str) {
        let heading = escape(heading);
        let note = if note.is_empty() { String::new() } else { format!("<p class=\"how\">{note}</p>") };
        self.sections += &format!("<section id=\"{id}\"><h2>{heading}</h2>{note}{html}</section>\n");
        self.contents += &format!("<a href=\"#{id}\">{heading}</a>");
    }

    /// Writes the page; `data` is JSON for scripts of the reader's own.
    pub(super) fn write(&self, data: &str, out: &mut dyn Write) -> io::Result<()> {
        let title = escape(&self.title);
        // `<` cannot end the script element then, whatever stands in a name.
        let data = data.replace('<', "\\u003c");
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <link rel=\"icon\" href=\"data:,\"><title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body>\
             <main>\n{}<nav>{}</nav>\n{}</main>\n<div id=\"tip\" hidden></div>\n\
             <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\
             </body></html>\n",
            self.lead, self.contents, self.sections
        )
    }
}

/// Text made safe between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(letter),
        }
    }
    safe
}

/// A table; cells are HTML, those from column `numbers_from` on stand to the right.
pub(super) fn table(heads: &[&str], numbers_from: usize, rows: &[Vec<String>]) -> String {
    let cell = |tag: &str, at: usize, html: &str| {
        let class = if at >= numbers_from { " class=\"n\"" } else { "" };
        format!("<{tag}{class}>{html}</{tag}>")
    };
    let head: String = heads.iter().enumerate().map(|(at, head)| cell("th", at, &escape(head))).collect();
    let body: String = rows
        .iter()
        .map(|row| {
            let cells: String = row.iter().enumerate().map(|(at, html)| cell("td", at, html)).collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!("<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")
}

/// Names and values, one a line; values are HTML.
pub(super) fn facts(pairs: &[(&str, String)]) -> String {
    let rows: String =
        pairs.iter().map(|(name, value)| format!("<dt>{}</dt><dd>{value}</dd>", escape(name))).collect();
    format!("<dl>{rows}</dl>")
}

/// One number that matters, with what it is and a remark.
pub(super) fn card(name: &str, value: &str, remark: &str) -> String {
    format!(
        "<div class=\"card\"><span>{}</span><b>{}</b><small>{}</small></div>",
        escape(name),
        escape(value),
        escape(remark)
    )
}

pub(super) fn verdict_badge(verdict: Verdict) -> String {
    let class = verdict.word().to_ascii_lowercase();
    format!("<span class=\"badge {class}\">{}</span>", verdict.word())
}

pub(super) fn goal_badge(verdict: GoalVerdict) -> String {
    let class = match verdict {
        GoalVerdict::Met => "met",
        GoalVerdict::Missed => "missed",
        GoalVerdict::Insufficient => "invalid",
    };
    format!("<span class=\"badge {class}\">{}</span>", verdict.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_data_can_end_its_element() {
        let page = Page::new("a & b".to_owned());
        let mut bytes = Vec::new();
        page.write(r#"{"name":"</script><script>alert(1)"}"#, &mut bytes).unwrap();
        let html = String::from_utf8(bytes).unwrap();
        assert!(html.contains("<title>a &amp; b</title>"));
        assert_eq!(html.matches("</script>").count(), 2);
        assert!(html.contains(r#"{"name":"\u003c/script>\u003cscript>alert(1)"}"#));
    }
}
