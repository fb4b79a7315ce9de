//! Line and dot charts as inline SVG: axes with units, a legend, marks. Pure text; colours are CSS classes.
//!
//! Each series is one path with its number of points in `data-points`; the page's script reads values off
//! the path for its tooltip, so no number stands in the page twice.

use std::fmt::Write;

use crate::result::html::page::escape;
use crate::result::html::scale::{Axis, Scale, Unit};

const WIDTH: f64 = 1_040.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 1_024.0;
const TOP: f64 = 22.0;

/// One curve. A missing value is a gap, not a zero.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// Which of the page's colours, `c0` to `c6`, or a verdict's.
    pub(super) colour: &'static str,
    pub(super) look: Look,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// How the points of a series are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Line,
    /// For what rests on few samples.
    Faint,
    Dots,
}

/// A value worth a line across the chart.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) label: String,
    pub(super) class: &'static str,
}

/// A stretch of the x axis with a name.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) label: String,
}

/// Everything in one picture.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) height: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    pub(super) vertical: Vec<Mark>,
    pub(super) horizontal: Vec<Mark>,
    pub(super) bands: Vec<Band>,
}

impl Chart {
    /// Legend and picture.
    pub(super) fn html(&self) -> String {
        let (width, height) = (WIDTH, self.height);
        let mut out = self.legend();
        let _ = write!(
            out,
            "<svg class=\"chart\" id=\"{}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{} over {}\" data-plot=\"{LEFT} {RIGHT} {TOP} {}\" data-x=\"{}\" data-y=\"{}\">",
            self.id,
            self.y.title,
            self.x.title,
            self.bottom(),
            describe(&self.x),
            describe(&self.y)
        );
        self.draw_bands(&mut out);
        self.draw_axes(&mut out);
        for series in &self.series {
            self.draw_series(&mut out, series);
        }
        // Over the curves: their words are outlined, so both stay readable.
        self.draw_marks(&mut out);
        out + "<g class=\"hover\"></g></svg>"
    }

    fn bottom(&self) -> f64 {
        self.height - 46.0
    }

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (RIGHT - LEFT)
    }

    fn y_at(&self, value: f64) -> f64 {
        self.bottom() - self.y.place(value) * (self.bottom() - TOP)
    }

    fn legend(&self) -> String {
        let mut out = "<ul class=\"legend\">".to_owned();
        // A faint tail has its curve's colour; the sentence above the chart says what it is.
        for series in self.series.iter().filter(|series| series.look != Look::Faint) {
            let shape = if series.look == Look::Dots { "dot" } else { "dash" };
            let (colour, name) = (series.colour, escape(&series.name));
            let nothing = series.points.iter().all(|(_, y)| y.is_none());
            let none = if nothing { " <i>(too few samples)</i>" } else { "" };
            let _ = write!(out, "<li><span class=\"{shape} {colour}\"></span>{name}{none}</li>");
        }
        out + "</ul>"
    }

    fn draw_bands(&self, out: &mut String) {
        let (top, high) = (TOP, self.bottom() - TOP);
        for (at, band) in self.bands.iter().enumerate() {
            let (from, to) = (self.x_at(band.from), self.x_at(band.to));
            let (class, wide) = (if at % 2 == 0 { "band" } else { "band odd" }, (to - from).max(0.0));
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top}\" width=\"{wide:.1}\" height=\"{high}\"/>"
            );
            // About 7 units a letter; a name that does not fit would cover its neighbour's.
            let label = escape(&band.label);
            if wide > 7.0 * band.label.chars().count() as f64 + 8.0 {
                let _ = write!(out, "<text class=\"note\" x=\"{:.1}\" y=\"16\">{label}</text>", from + 4.0);
            }
        }
    }

    fn draw_axes(&self, out: &mut String) {
        let bottom = self.bottom();
        for tick in &self.y.ticks {
            let (y, label) = (self.y_at(*tick), self.y.label(*tick));
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\
                 <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        for tick in &self.x.ticks {
            let (x, label) = (self.x_at(*tick), self.x.label(*tick));
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>\
                 <text class=\"tick middle\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                bottom + 17.0
            );
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        let centre = f64::midpoint(TOP, bottom);
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{RIGHT}\"/>\
             <text class=\"title middle\" x=\"{middle}\" y=\"{:.1}\">{}</text>\
             <text class=\"title middle\" transform=\"translate(13 {centre:.1}) rotate(-90)\">{}</text>",
            self.height - 8.0,
            self.x.title,
            self.y.title
        );
    }

    fn draw_marks(&self, out: &mut String) {
        let bottom = self.bottom();
        for (line, mark) in self.vertical.iter().enumerate() {
            let (x, label, class) = (self.x_at(mark.at), escape(&mark.label), mark.class);
            // Near the right edge the words stand to the left of their line.
            let (side, at) = if x > 700.0 { ("end", x - 5.0) } else { ("start", x + 5.0) };
            let _ = write!(
                out,
                "<g class=\"mark {class}\"><path d=\"M{x:.1} {TOP}V{bottom}\"/>\
                 <text class=\"{side}\" x=\"{at:.1}\" y=\"{:.1}\">{label}</text></g>",
                TOP + 13.0 + 15.0 * (line % 4) as f64
            );
        }
        for (turn, mark) in self.horizontal.iter().enumerate() {
            let (y, label, class) = (self.y_at(mark.at), escape(&mark.label), mark.class);
            let _ = write!(
                out,
                "<g class=\"mark {class}\"><path d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\
                 <text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text></g>",
                RIGHT - 4.0 - 250.0 * (turn % 3) as f64,
                y - 5.0
            );
        }
    }

    fn draw_series(&self, out: &mut String, series: &Series) {
        let class = match series.look {
            Look::Line => "series",
            Look::Faint => "series faint",
            Look::Dots => "series dots",
        };
        let stated = series.points.iter().filter(|(_, y)| y.is_some()).count();
        let (name, path) = (escape(&series.name), self.path(series));
        let _ = write!(
            out,
            "<path class=\"{class} {}\" data-name=\"{name}\" data-points=\"{stated}\" d=\"{path}\"/>",
            series.colour
        );
    }

    /// `M` begins a stretch, `L` goes on, `Z` closes a stretch of one point into a dot.
    fn path(&self, series: &Series) -> String {
        let mut path = String::new();
        for stretch in series.points.split(|(_, y)| y.is_none()) {
            let alone = stretch.len() == 1 || series.look == Look::Dots;
            for (at, (x, y)) in stretch.iter().enumerate() {
                let y = y.expect("split cuts at every missing value");
                let command = if at == 0 || alone { 'M' } else { 'L' };
                let close = if alone { "Z" } else { "" };
                let _ = write!(path, "{command}{:.1} {:.1}{close}", self.x_at(*x), self.y_at(y));
            }
        }
        path
    }
}

/// For the tooltip: scale, unit and range.
fn describe(axis: &Axis) -> String {
    let scale = match axis.scale {
        Scale::Linear => "linear",
        Scale::Log => "log",
    };
    let unit = match axis.unit {
        Unit::Us => "us",
        Unit::PerSecond => "per_s",
        Unit::SinceStartMs => "ms",
        Unit::Nines => "nines",
        Unit::Round => "round",
    };
    format!("{scale} {unit} {} {}", axis.min, axis.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(look: Look, points: Vec<(f64, Option<f64>)>) -> Chart {
        let axis = |title| Axis::over(title, Scale::Linear, Unit::PerSecond, [0.0, 10.0].into_iter());
        let name = "a <b>".to_owned();
        Chart {
            id: "test",
            height: 300.0,
            x: axis("x"),
            y: axis("y"),
            series: vec![Series { name, colour: "c0", look, points }],
            vertical: Vec::new(),
            horizontal: Vec::new(),
            bands: Vec::new(),
        }
    }

    #[test]
    fn a_gap_is_no_line_and_a_lonely_point_is_a_dot() {
        let points = [(0.0, Some(1.0)), (1.0, None), (2.0, Some(2.0)), (3.0, Some(3.0)), (4.0, None)];
        let picture = chart(Look::Line, points.to_vec());
        let path = picture.path(&picture.series[0]);
        let commands: String = path.chars().filter(char::is_ascii_alphabetic).collect();
        assert_eq!(commands, "MZML");
        let picture = chart(Look::Dots, points.to_vec());
        let path = picture.path(&picture.series[0]);
        let commands: String = path.chars().filter(char::is_ascii_alphabetic).collect();
        assert_eq!(commands, "MZMZMZ");
        assert!(picture.html().contains("data-points=\"3\""));
    }

    #[test]
    fn names_are_escaped() {
        let html = chart(Look::Line, vec![(0.0, Some(1.0))]).html();
        assert!(html.contains("a &lt;b&gt;") && !html.contains("a <b>"));
    }
}
