//! The report of one run: what each section shows, and which series its charts draw.

use crate::latency::{Latencies, LatencySummary, Percentile};
use crate::result::html::chart::{Band, Chart, Look, Mark, Series};
use crate::result::html::page::{Page, card, escape};
use crate::result::html::scale::{Axis, Scale, Unit, grouped, micros};
use crate::result::html::{facts, tables};
use crate::result::model::{RunResult, TimelinePoint};
use crate::result::text;

const OPEN_HOW: &str = "Counted from the moment the schedule meant to send. A stalled server shows here \
    with all the requests that had to wait behind the stall.";

/// One number of a summary.
type Stated = fn(&LatencySummary) -> Percentile;
/// One count of an interval.
type Counted = fn(&TimelinePoint) -> u64;
/// Name, colour, and where its values come from.
type Curve<F> = (&'static str, &'static str, F);

pub(super) fn page(run: &RunResult) -> Page {
    let mut page = Page::new(format!("{}: {}", run.provenance.scenario.name, run.verdict.verdict.word()));
    page.lead(&head(run));
    page.section("goals", "Goals", "", &tables::goals(&run.stages));
    let how = "How many requests were slower than how much. Each step to the right is a tenth of the \
        requests of the step before; the faint end of a curve rests on fewer than 100 requests and proves \
        nothing. The gap between latency and service time is what a closed loop would have hidden.";
    page.section("spectrum", "Latency by percentile", how, &spectrum(run).html());
    let how = format!("{} {}", from(run), "A gap is an interval with too few samples for that percentile.");
    page.section("latency-over-time", "Latency over time", &how, &latency_over_time(run).html());
    let how = "What the schedule intended, what was sent, and what came back whole, a second.";
    page.section("rate", "Rate", how, &(rate(run).html() + &failures(run)));
    let how = "The client's own delay: from the moment a request was due to the moment it was sent, as \
        far as the client caused it. Waiting for a connection or a full socket is the server's \
        latency and is not in here.";
    page.section("lateness", "Lateness of the client", how, &lateness(run).html());
    let how = format!(
        "{} Where they are far below a latency that was missed, the server lost the time; where they are of its \
         size, no program got its core in time: look at what else ran, and whether the server itself filled the cores. A \
         calmer machine has to show what it can do.",
        text::STALLS_ARE
    );
    page.section("machine-stalls", "Stalls of the machine", &how, &machine_stalls(run));
    if let Some(says) = &run.server_says {
        let how = format!("{} Asked for at {}.", text::SERVER_SAYS, escape(&says.url));
        page.section("server-says", "What the server says of itself", &how, &tables::server_says(says));
    }
    page.section("latencies", "Latency and service time", "", &tables::latencies(run));
    page.section("stages", "Stages", "", &tables::stages(&run.stages));
    page.section("answers", "Answers", "", &tables::answers(run));
    page.section("connections", "Connections", "", &tables::connections(run));
    page.section("client", "Client", "", &tables::client(run));
    page
}

fn from(run: &RunResult) -> &str {
    run.mode_caveat.as_deref().map_or(OPEN_HOW, |_| "A closed loop: see the note at the top.")
}

fn head(run: &RunResult) -> String {
    let latency = run.total.latency_us.summary();
    let mut cards = card("answers a second", &grouped(run.answers_per_s), &intended(run));
    for (name, value) in
        [("p50", latency.p50), ("p99", latency.p99), ("p99.9", latency.p99_9), ("max", latency.max)]
    {
        cards += &card(&format!("latency {name}"), &tables::stated(value), run.mode.code());
    }
    let share = |n: u64| format!("of {} sent", tables::count(run.total.requests.max(n)));
    let (wrong, errors) = (run.total.wrong_answers, run.total.errors);
    cards += &card("wrong answers", &tables::count(wrong), &share(wrong));
    cards += &card("errors", &tables::count(errors), &share(errors));
    cards += &card("own lateness p99", &tables::stated(run.lateness_us.summary().p99), "the client's part");
    let busiest = run.client.busy_share_by_thread.iter().copied().fold(0.0, f64::max);
    cards += &card(
        "machine stalls p99",
        &tables::stated(run.machine_stalls_us.summary().p99),
        "of threads that only sleep",
    );
    cards += &card("busiest thread", &format!("{:.0} %", busiest * 100.0), "spinning excluded");
    let shards = match run.shard.numbers.len() {
        n if n > 1 => format!(", {n} of {} shards merged", run.shard.count),
        _ if run.shard.count > 1 => format!(", shard {:?} of {}", run.shard.numbers, run.shard.count),
        _ => String::new(),
    };
    let sub = format!(
        "{} against {}, {} connections, {:.1} s, ended by {}{shards}",
        run.mode.code(),
        run.url,
        run.connections_configured,
        run.elapsed_ms as f64 / 1_000.0,
        run.ended_by
    );
    let meaning = facts::meaning(run.verdict.verdict);
    let caveat = run.mode_caveat.as_deref();
    facts::head(&run.provenance.scenario.name, &sub, meaning, caveat, &run.verdict, &cards)
}

fn intended(run: &RunResult) -> String {
    // Over the time in which they fell due: waiting for the last answers must not make them fewer a second.
    let measured = run.stages.iter().filter(|stage| !stage.warmup).map(|stage| stage.duration_ms);
    let seconds = measured.sum::<u64>().min(run.elapsed_ms) as f64 / 1_000.0;
    format!("{} a second intended", grouped((run.total.intended as f64 / seconds.max(1e-3)).round()))
}

fn spectrum(run: &RunResult) -> Chart {
    let curves = [
        ("latency from the intended send", "c0", &run.total.latency_us),
        ("service time from the actual send", "c1", &run.total.service_us),
        ("the client's own lateness", "c5", &run.lateness_us),
        ("stalls of the machine", "c4", &run.machine_stalls_us),
    ];
    let series: Vec<Series> = curves.into_iter().flat_map(|(name, c, l)| spectrum_of(name, c, l)).collect();
    let xs = series.iter().flat_map(|s| s.points.iter().map(|(x, _)| *x));
    let x = Axis::over("share of the requests that were faster", Scale::Linear, Unit::Nines, xs);
    let y = Axis::over("time", Scale::Log, Unit::Us, values(&series));
    Chart { x, y, series, horizontal: goal_marks(run), ..empty("chart-spectrum", 360.0) }
}

/// Two series: what may be stated, and the faint tail that rests on fewer than 100 samples.
fn spectrum_of(name: &str, colour: &'static str, latencies: &Latencies) -> Vec<Series> {
    let histogram = latencies.histogram();
    if histogram.is_empty() {
        return Vec::new();
    }
    let samples = histogram.len() as f64;
    let steps = (samples.log10() / 0.05).floor() as u32;
    let point = |step: u32| {
        let nines = f64::from(step) * 0.05;
        let value = histogram.value_at_quantile(1.0 - 10.0_f64.powf(-nines));
        (nines, Some(value.max(1) as f64))
    };
    let solid_to = ((samples / 100.0).max(1.0).log10() / 0.05).floor() as u32;
    let solid = (0..=solid_to).map(point).collect();
    let mut faint: Vec<_> = (solid_to..=steps).map(point).collect();
    faint.push((samples.log10(), Some(histogram.max().max(1) as f64)));
    let tail = format!("{name}, fewer than 100 beyond");
    vec![
        Series { name: name.to_owned(), colour, look: Look::Line, points: solid },
        Series { name: tail, colour, look: Look::Faint, points: faint },
    ]
}

fn latency_over_time(run: &RunResult) -> Chart {
    let pick: [Curve<Stated>; 5] = [
        ("p50", "c1", |l| l.p50),
        ("p90", "c0", |l| l.p90),
        ("p99", "c2", |l| l.p99),
        ("p99.9", "c3", |l| l.p99_9),
        ("max", "c5", |l| l.max),
    ];
    let series = pick.map(|(name, colour, of)| over_time(run, name, colour, |p| us(of(&p.latency_us))));
    timed(run, "chart-latency", "latency", Unit::Us, series.into(), goal_marks(run))
}

fn lateness(run: &RunResult) -> Chart {
    let pick: [Curve<Stated>; 3] =
        [("p50", "c1", |l| l.p50), ("p99", "c2", |l| l.p99), ("max", "c5", |l| l.max)];
    let series = pick.map(|(name, colour, of)| over_time(run, name, colour, |p| us(of(&p.lateness_us))));
    let limit = run.client.lateness_us_p99_max.map(|us| Mark {
        at: us as f64,
        label: format!("p99 above {} makes the run invalid", micros(us as f64)),
        class: "goal",
    });
    timed(run, "chart-lateness", "lateness", Unit::Us, series.into(), limit.into_iter().collect())
}

/// Results of before stalls were watched have none.
fn machine_stalls(run: &RunResult) -> String {
    if run.machine_stalls_us.histogram().is_empty() {
        return "<p class=\"none\">They were not watched.</p>".to_owned();
    }
    let pick: [Curve<Stated>; 3] =
        [("p90", "c1", |l| l.p90), ("p99", "c2", |l| l.p99), ("max", "c5", |l| l.max)];
    let series =
        pick.map(|(name, colour, of)| over_time(run, name, colour, |p| us(of(&p.machine_stalls_us))));
    let priority = format!("<p class=\"how\">{}</p>", run.client.stalls_priority());
    timed(run, "chart-stalls", "woke too late by", Unit::Us, series.into(), Vec::new()).html() + &priority
}

fn rate(run: &RunResult) -> Chart {
    let pick: [Curve<Counted>; 3] =
        [("intended", "c5", |p| p.intended), ("sent", "c0", |p| p.sent), ("answered", "c1", |p| p.completed)];
    let series = pick.map(|(name, colour, of)| per_second(run, name, colour, of));
    timed(run, "chart-rate", "requests a second", Unit::PerSecond, series.into(), Vec::new())
}

/// Errors and wrong answers over time, where there are any.
fn failures(run: &RunResult) -> String {
    if run.timeline.points.iter().all(|p| p.errors + p.wrong_answers == 0) {
        return "<p class=\"how\">No error and no wrong answer in any interval.</p>".to_owned();
    }
    let series = vec![
        per_second(run, "errors", "c3", |p| p.errors),
        per_second(run, "wrong answers", "c4", |p| p.wrong_answers),
    ];
    let chart = timed(run, "chart-failures", "failures a second", Unit::PerSecond, series, Vec::new());
    "<h3>Errors and wrong answers</h3>".to_owned() + &Chart { height: 220.0, ..chart }.html()
}

/// A chart over the time of the run, with its stages and swaps.
fn timed(
    run: &RunResult,
    id: &'static str,
    title: &'static str,
    unit: Unit,
    series: Vec<Series>,
    horizontal: Vec<Mark>,
) -> Chart {
    let scale = if unit == Unit::Us { Scale::Log } else { Scale::Linear };
    let ends = run.stages.iter().map(|s| (s.starts_at_ms + s.duration_ms) as f64);
    let last = run.timeline.points.last().map_or(0.0, |p| span_ms(run, p).1);
    let limits = horizontal.iter().map(|mark| mark.at);
    let y = Axis::over(title, scale, unit, values(&series).chain(limits));
    let x = Axis::over("time since the start", Scale::Linear, Unit::SinceStartMs, ends.chain([last]));
    let swap = |t_ms: u64, to: &str| Mark { at: t_ms as f64, label: format!("swap to {to}"), class: "swap" };
    let vertical = run.swaps.iter().map(|s| swap(s.t_ms, &s.to)).collect();
    let band = |from: u64, length: u64, name: &str| Band {
        from: from as f64,
        to: (from + length) as f64,
        label: name.to_owned(),
    };
    let bands = run.stages.iter().map(|s| band(s.starts_at_ms, s.duration_ms, &s.name)).collect();
    Chart { x, y, series, vertical, horizontal, bands, ..empty(id, 320.0) }
}

pub(super) fn empty(id: &'static str, height: f64) -> Chart {
    let axis = || Axis::over("", Scale::Linear, Unit::PerSecond, std::iter::empty());
    let (x, y) = (axis(), axis());
    Chart {
        id,
        height,
        x,
        y,
        series: Vec::new(),
        vertical: Vec::new(),
        horizontal: Vec::new(),
        bands: Vec::new(),
    }
}

/// The middle of each interval against one of its values.
fn over_time(
    run: &RunResult,
    name: &str,
    colour: &'static str,
    of: impl Fn(&TimelinePoint) -> Option<f64>,
) -> Series {
    let middle = |p: &TimelinePoint| {
        let (from, to) = span_ms(run, p);
        f64::midpoint(from, to)
    };
    let points = run.timeline.points.iter().map(|p| (middle(p), of(p))).collect();
    Series { name: name.to_owned(), colour, look: Look::Line, points }
}

fn per_second(run: &RunResult, name: &str, colour: &'static str, of: fn(&TimelinePoint) -> u64) -> Series {
    over_time(run, name, colour, |p| Some(of(p) as f64 * 1_000.0 / length_ms(run, p)))
}

/// From when to when an interval was: its stage may begin or end within it. A retry may fall due after its stage.
fn span_ms(run: &RunResult, point: &TimelinePoint) -> (f64, f64) {
    let (from, to) = (point.t_ms, point.t_ms + run.timeline.interval_ms.max(1));
    let stage = run.stages.get(point.stage as usize);
    let within = stage.map(|s| (from.max(s.starts_at_ms), to.min(s.starts_at_ms + s.duration_ms)));
    let (from, to) = within.filter(|(from, to)| from < to).unwrap_or((from, to));
    (from as f64, to as f64)
}

fn length_ms(run: &RunResult, point: &TimelinePoint) -> f64 {
    let (from, to) = span_ms(run, point);
    to - from
}

fn us(percentile: Percentile) -> Option<f64> {
    percentile.us().map(|us| us.max(1) as f64)
}

fn values(series: &[Series]) -> impl Iterator<Item = f64> + '_ {
    series.iter().flat_map(|s| s.points.iter().filter_map(|(_, y)| *y))
}

/// A line for each limit on latency; goals with the same limit share one.
fn goal_marks(run: &RunResult) -> Vec<Mark> {
    let mut limits: Vec<(f64, Vec<String>)> = Vec::new();
    for goal in run.stages.iter().flat_map(|stage| &stage.goals).filter(|g| g.what.ends_with("_us")) {
        let what = goal.what.trim_end_matches("_us").replace("99_9", "99.9");
        match limits.iter_mut().find(|(limit, _)| *limit == goal.limit) {
            Some((_, names)) if names.contains(&what) => {}
            Some((_, names)) => names.push(what),
            None => limits.push((goal.limit, vec![what])),
        }
    }
    let mark = |(at, names): (f64, Vec<String>)| {
        let label = format!("goal: {} at most {}", names.join(", "), micros(at));
        Mark { at, label, class: "goal" }
    };
    limits.into_iter().map(mark).collect()
}
