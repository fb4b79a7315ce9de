//! The reports of capacity, compare and calibrate.

use crate::latency::{LatencySummary, Percentile};
use crate::result::beside::stalls_priority;
use crate::result::csv::phase;
use crate::result::html::chart::{Band, Chart, Look, Mark, Series};
use crate::result::html::page::{Page, card, escape, table, verdict_badge};
use crate::result::html::run::empty;
use crate::result::html::scale::{Axis, Scale, Unit, grouped, micros};
use crate::result::html::{facts, page, tables};
use crate::result::search::{
    CalibrationResult, CapacityResult, CapacityStep, CompareResult, CompareRound, Ratio, SearchSettings,
};
use crate::result::text::{STALLS_ARE, describe_capacity, number};
use crate::result::verdict::{Verdict, VerdictFacts};

const CAPACITY_MEANS: &str = "The highest rate up to which the goals were met in more than half of the repeats at \
    each level, and the interval: from the highest level up to which all were met, to the level from which on none was.";
const COMPARE_MEANS: &str = "b held against a. The verdict is the worse of the two on their own goals; the \
    ratios below hold one against the other.";
const CALIBRATION_MEANS: &str = "What this machine can send before the client itself becomes the limit, and \
    how little latency it can tell apart.";

pub(super) fn capacity_page(capacity: &CapacityResult) -> Page {
    let answer = describe_capacity(capacity);
    let mut page = Page::new(format!("capacity: {answer}"));
    let unknown = || "unknown".to_owned();
    let rate = capacity.capacity_per_s.map_or_else(unknown, grouped);
    let interval =
        capacity.interval_per_s.map(|[low, high]| format!("{} to {}", grouped(low), grouped(high)));
    let cards = card("capacity a second", &rate, &capacity.goals.join(", "))
        + &card("interval", &interval.unwrap_or_else(unknown), "always met up to, never from")
        + &card("tries", &capacity.steps.len().to_string(), "rates tried, repeats included");
    let sub = format!("open_loop against {}. {answer}.", capacity.url);
    page.lead(&facts::head("Capacity", &sub, CAPACITY_MEANS, None, &capacity.verdict, &cards));
    let percentile = capacity.goal_percentile.as_deref().unwrap_or("p99");
    let how = format!(
        "Each dot is one try at one rate, at its {} from the intended send. Repeats at a rate stand above \
         each other; the marked stretch is the interval in which the capacity lies.",
        escape(&spelled(percentile))
    );
    page.section("latency-over-rate", "Latency over rate", &how, &over_rate(capacity).html());
    page.section("steps", "Every try, in the order in which it ran", "", &steps(&capacity.steps));
    if let Some(settings) = &capacity.settings {
        page.section("settings", "What the search was told", "", &settings_facts(settings));
    }
    page
}

fn settings_facts(settings: &SearchSettings) -> String {
    let targets = &settings.targets;
    page::facts(&[
        ("search", escape(&settings.describe())),
        ("targets", format!("{}, {} lines", escape(&targets.path), tables::count(targets.lines))),
        ("targets digest", format!("<code>{}</code>", escape(&targets.blake3))),
    ])
}

pub(super) fn calibration_page(calibration: &CalibrationResult) -> Page {
    let mut page = Page::new("calibration".to_owned());
    let ceiling = calibration.ceiling_per_s.map_or_else(|| "none".to_owned(), grouped);
    let stated = tables::stated;
    let cards = card("ceiling a second", &ceiling, "beyond it the client is the limit")
        + &card("floor p50", &stated(calibration.floor_us.p50), "null server")
        + &card("floor p99", &stated(calibration.floor_us.p99), "null server")
        + &card("lateness p99", &stated(calibration.lateness_us.p99), "at the floor")
        + &card("machine stalls p99", &stated(calibration.machine_stalls_us.p99), "at the floor");
    let told = || {
        let met = calibration.ceiling_per_s.is_some();
        VerdictFacts { verdict: if met { Verdict::Met } else { Verdict::Invalid }, reasons: Vec::new() }
    };
    let verdict = calibration.verdict.clone().unwrap_or_else(told);
    page.lead(&facts::head(
        "Calibration",
        "against the built-in null server",
        CALIBRATION_MEANS,
        None,
        &verdict,
        &cards,
    ));
    let series = by_verdict(&calibration.steps, "p99");
    let chart = rate_chart("chart-calibration", "p99", series, None);
    page.section("latency-over-rate", "Latency over rate", "", &chart.html());
    page.section("floor", "The floor, and the machine's stalls meanwhile", "", &floor(calibration));
    page.section("steps", "Every try, in the order in which it ran", "", &steps(&calibration.steps));
    page
}

fn floor(calibration: &CalibrationResult) -> String {
    let row = |name: &str, summary: &LatencySummary| {
        let mut cells = vec![name.to_owned(), tables::count(summary.samples)];
        cells.extend(tables::summary_cells(summary));
        cells
    };
    let rows = [
        row("latency", &calibration.floor_us),
        row("lateness of the client", &calibration.lateness_us),
        row("stalls of the machine", &calibration.machine_stalls_us),
    ];
    let priority = stalls_priority(calibration.machine_stalls_raised_priority);
    table(&["what", "times", "p50", "p90", "p99", "p99.9", "max"], 1, &rows)
        + &format!("<p class=\"how\">{STALLS_ARE} {priority}</p>")
}

fn over_rate(capacity: &CapacityResult) -> Chart {
    let percentile = capacity.goal_percentile.as_deref().unwrap_or("p99");
    let series = by_verdict(&capacity.steps, percentile);
    let limit = capacity.goal_latency_us.map(|us| us as f64);
    let mut chart = rate_chart("chart-capacity", "latency", series, limit);
    if let Some(at) = capacity.capacity_per_s {
        let label = format!("capacity {} a second", grouped(at));
        chart.vertical.push(Mark { at, label, class: "found" });
    }
    if let Some([from, to]) = capacity.interval_per_s {
        let plain = Band { from: 0.0, to: from, label: String::new() };
        chart.bands = vec![plain, Band { from, to, label: String::new() }];
    }
    chart
}

/// One series for each verdict that occurs, so that a colour is never the only sign.
fn by_verdict(steps: &[CapacityStep], percentile: &str) -> Vec<Series> {
    let looks =
        [(Verdict::Met, "met-dot"), (Verdict::Missed, "missed-dot"), (Verdict::Invalid, "invalid-dot")];
    let series = |(verdict, colour): (Verdict, &'static str)| {
        let name = format!("{}, {}", spelled(percentile), verdict.word().to_ascii_lowercase());
        let of = steps.iter().filter(|step| step.verdict == verdict);
        let points = of.map(|step| (step.rate_per_s, pick(&step.latency_us, percentile))).collect();
        Series { name, colour, look: Look::Dots, points }
    };
    looks.map(series).into_iter().filter(|s| !s.points.is_empty()).collect()
}

/// `p99_9` as people write it.
fn spelled(percentile: &str) -> String {
    percentile.replace('_', ".")
}

fn pick(l: &LatencySummary, percentile: &str) -> Option<f64> {
    let value = match percentile {
        "p50" => l.p50,
        "p90" => l.p90,
        "p99.9" | "p99_9" => l.p99_9,
        "p99.99" | "p99_99" => l.p99_99,
        "max" => l.max,
        _ => l.p99,
    };
    value.us().map(|us| us.max(1) as f64)
}

fn rate_chart(id: &'static str, title: &'static str, series: Vec<Series>, limit: Option<f64>) -> Chart {
    let xs = series.iter().flat_map(|s| s.points.iter().map(|(x, _)| *x));
    let ys = series.iter().flat_map(|s| s.points.iter().filter_map(|(_, y)| *y));
    let x = Axis::over("intended rate, requests a second", Scale::Linear, Unit::PerSecond, xs);
    let y = Axis::over(title, Scale::Log, Unit::Us, ys.chain(limit));
    let goal = |at: f64| Mark { at, label: format!("goal: at most {}", micros(at)), class: "goal" };
    Chart { x, y, series, horizontal: limit.into_iter().map(goal).collect(), ..empty(id, 360.0) }
}

fn steps(steps: &[CapacityStep]) -> String {
    let row = |step: &CapacityStep| {
        let mut cells = vec![phase(step.phase).to_owned(), verdict_badge(step.verdict)];
        cells.push(step.reasons.iter().map(|r| escape(r)).collect::<Vec<_>>().join("<br>"));
        cells.extend([step.rate_per_s, step.answered_per_s].map(grouped));
        cells.extend(tables::summary_cells(&step.latency_us));
        cells.push(tables::stated(step.lateness_us.p99));
        cells.push(tables::stated(step.machine_stalls_us.max));
        cells
    };
    let heads = [
        "phase",
        "verdict",
        "reasons",
        "rate/s",
        "answered/s",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "late p99",
        "stalls max",
    ];
    table(&heads, 3, &steps.iter().map(row).collect::<Vec<_>>())
}

pub(super) fn compare_page(compare: &CompareResult) -> Page {
    let mut page = Page::new("compare: b over a".to_owned());
    let sides = [("a", &compare.a), ("b", &compare.b)];
    let cards: String = sides
        .into_iter()
        .map(|(name, side)| card(&format!("{name} p99"), &tables::stated(side.latency_us.p99), &side.label))
        .collect();
    let warnings = compare.warnings.iter().map(|what| format!("warning: the two differ in {what}"));
    let reasons = warnings.chain(compare.notes.iter().map(|note| format!("note: {note}"))).collect();
    let verdict = VerdictFacts { verdict: compare.a.verdict.max(compare.b.verdict), reasons };
    let sub = format!("a is {}, b is {}", compare.a.label, compare.b.label);
    page.lead(&facts::head("Compare", &sub, COMPARE_MEANS, None, &verdict, &cards));
    let how = format!(
        "b over a, each with its {:.0} % bootstrap interval of {} resamples. {}",
        compare.confidence * 100.0,
        compare.resamples,
        compare.reading()
    );
    page.section("ratios", "Ratios", &how, &(forest(compare) + &ratios(compare)));
    if !compare.rounds.is_empty() {
        let how = "The p99 of each turn, in the order in which the two took turns.";
        page.section("rounds", "Turns", how, &rounds(&compare.rounds).html());
    }
    page
}

fn ratios(compare: &CompareResult) -> String {
    let row = |r: &Ratio| {
        let (a, b) = (number(r.a), number(r.b));
        let interval = format!("{:.3} to {:.3}", r.low, r.high);
        vec![
            escape(&r.what),
            compare.shown(r).unwrap_or_default().to_owned(),
            a,
            b,
            format!("{:.3}", r.ratio),
            interval,
        ]
    };
    let rows: Vec<_> = compare.ratios.iter().map(row).collect();
    table(&["measure", "", "a", "b", "b/a", "interval"], 2, &rows)
}

/// A row for each ratio: its interval as a bar, itself as a dot, 1 as a line. The axis is logarithmic, so
/// that twice and half are equally far from 1.
fn forest(compare: &CompareResult) -> String {
    let ratios = &compare.ratios;
    let reach = ratios.iter().flat_map(|r| [r.low, r.high]).filter(|v| v.is_finite() && *v > 0.0);
    let reach = reach.map(|v| v.ln().abs()).fold(0.05_f64, f64::max) * 1.15;
    let x_at = |ratio: f64| 170.0 + (ratio.max(1e-9).ln() / reach).clamp(-1.0, 1.0).midpoint(1.0) * 840.0;
    let height = 30 * ratios.len() + 40;
    let bottom = height - 30;
    let mut out = format!(
        "<svg class=\"chart-static\" id=\"chart-ratios\" viewBox=\"0 0 1040 {height}\" role=\"img\" \
         aria-label=\"ratios with their intervals\">"
    );
    for place in [-1.0, -0.5, 0.0, 0.5, 1.0] {
        let ratio = f64::exp(reach * place / 1.15);
        let (x, class) = (x_at(ratio), if place == 0.0 { "axis" } else { "grid" });
        out += &format!("<path class=\"{class}\" d=\"M{x:.1} 4V{bottom}\"/>");
        out += &format!("<text class=\"middle\" x=\"{x:.1}\" y=\"{}\">{ratio:.3}</text>", height - 10);
    }
    for (at, r) in ratios.iter().enumerate() {
        let (y, colour) = (20 + 30 * at, if compare.shown(r) == Some("differs") { "c3" } else { "c0" });
        let (low, high, middle) = (x_at(r.low), x_at(r.high), x_at(r.ratio));
        out += &format!("<text class=\"end\" x=\"150\" y=\"{}\">{}</text>", y + 4, escape(&r.what));
        out += &format!("<g class=\"ratio {colour}\" data-name=\"{}\">", escape(&r.what));
        out += &format!("<path class=\"series\" d=\"M{low:.1} {y}H{high:.1}\"/>");
        out += &format!("<circle cx=\"{middle:.1}\" cy=\"{y}\" r=\"5\"/></g>");
    }
    out + "</svg>"
}

fn rounds(rounds: &[CompareRound]) -> Chart {
    let series = ["a", "b"].into_iter().zip(["c0", "c2"]).map(|(side, colour)| {
        let of = rounds.iter().enumerate().filter(|(_, round)| round.side == side);
        let p99 = |round: &CompareRound| match round.latency_us.p99 {
            Percentile::Us(us) => Some(us.max(1) as f64),
            Percentile::Insufficient => None,
        };
        let points = of.map(|(at, round)| (at as f64 + 1.0, p99(round))).collect();
        Series { name: format!("{side} p99"), colour, look: Look::Dots, points }
    });
    let series: Vec<Series> = series.collect();
    let ys = series.iter().flat_map(|s| s.points.iter().filter_map(|(_, y)| *y));
    let y = Axis::over("p99", Scale::Log, Unit::Us, ys);
    let x = Axis::over("turn", Scale::Linear, Unit::Round, std::iter::once(rounds.len() as f64));
    Chart { x, y, series, ..empty("chart-rounds", 280.0) }
}
