//! The live screen: rate against intended, percentiles, errors, lateness, the machine's stalls, the server's
//! generation, goals.
//!
//! Drawn on stderr's alternate screen, so that the terminal is afterwards as it was and stdout stays data.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};
use ratatui::{Frame, Terminal};

use crate::live::{LiveFeed, LiveSnapshot, keys, line};
use crate::result::{Goal, GoalVerdict, Mode};

const HISTORY_MAX: usize = 240;
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// What the table of latencies takes, and from which width on the rates have room beside it.
const LATENCY_WIDTH: u16 = 76;
const WIDE: u16 = 140;

/// Values of the last minute, for the sparklines.
#[derive(Debug, Default)]
struct History {
    sent_per_s: VecDeque<u64>,
    p99_us: VecDeque<u64>,
}

impl History {
    fn add(&mut self, snapshot: &LiveSnapshot) {
        // Below p99's sample minimum the maximum stands in: it is never the kinder number.
        let tail = snapshot.latency_us.p99.us().or(snapshot.latency_us.max.us());
        push(&mut self.sent_per_s, snapshot.sent_per_s.max(0.0) as u64);
        push(&mut self.p99_us, tail.unwrap_or(0));
    }
}

fn push(values: &mut VecDeque<u64>, value: u64) {
    if values.len() == HISTORY_MAX {
        values.pop_front();
    }
    values.push_back(value);
}

/// Draws until the run has ended; falls back to lines where the terminal cannot be taken over.
pub(super) fn run(feed: &LiveFeed, notes: Box<dyn Write + Send>) {
    let Ok(mut held) = HeldTerminal::take() else { return line::run(feed, notes) };
    let mut history = History::default();
    let mut shown: Option<LiveSnapshot> = None;
    while let Some(next) = feed.next(DRAW_EVERY) {
        if let Some(snapshot) = next {
            history.add(&snapshot);
            shown = Some(snapshot);
        }
        if let Some(snapshot) = &shown {
            // A terminal that stops taking output costs the picture, not the run.
            let _ = held.terminal.draw(|frame| draw(frame, snapshot, &history));
        }
        if keys::stop_pressed().unwrap_or(false) {
            feed.request_stop();
        }
    }
}

/// Gives the terminal back when dropped.
struct HeldTerminal {
    terminal: Terminal<CrosstermBackend<io::Stderr>>,
}

impl HeldTerminal {
    fn take() -> io::Result<HeldTerminal> {
        enable_raw_mode()?;
        let taken = execute!(io::stderr(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())));
        match taken {
            Ok(terminal) => Ok(HeldTerminal { terminal }),
            Err(error) => {
                let _ = disable_raw_mode();
                Err(error)
            }
        }
    }
}

impl Drop for HeldTerminal {
    fn drop(&mut self) {
        let _ = execute!(io::stderr(), LeaveAlternateScreen);
        let _ = self.terminal.show_cursor();
        let _ = disable_raw_mode();
    }
}

fn draw(frame: &mut Frame<'_>, s: &LiveSnapshot, history: &History) {
    let goals = u16::try_from(s.goals.len().max(1)).unwrap_or(u16::MAX).min(6) + 2;
    let wide = frame.area().width >= WIDE;
    let [rate_rows, latency_rows] = if wide { [0, 8] } else { [5, 8] };
    let [head, numbers, below] = [3, rate_rows + latency_rows, goals].map(Constraint::Length);
    let rows = [head, numbers, Constraint::Fill(1), below];
    let [head, numbers, curves, below] = Layout::vertical(rows).areas(frame.area());
    draw_head(frame, head, s);
    let (split, rates) = if wide {
        let columns = [Constraint::Fill(1), Constraint::Length(LATENCY_WIDTH)];
        (Layout::horizontal(columns), rate_lines(s))
    } else {
        (Layout::vertical([rate_rows, latency_rows].map(Constraint::Length)), short_rate_lines(s))
    };
    let [rate, latency] = split.areas(numbers);
    frame.render_widget(Paragraph::new(rates).block(block("rate and answers")), rate);
    let title = format!("latency of the last second, µs ({})", s.mode.code());
    frame.render_widget(Paragraph::new(latency_lines(s)).block(block(&title)), latency);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(curves);
    draw_curve(frame, left, "sent a second", &history.sent_per_s, Color::Cyan);
    draw_curve(frame, right, "p99 µs (else max)", &history.p99_us, Color::Yellow);
    frame.render_widget(
        Paragraph::new(goal_lines(&s.goals)).block(block("goals so far, q ends early")),
        below,
    );
}

fn block(title: &str) -> Block<'static> {
    Block::bordered().title(format!(" {title} "))
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, s: &LiveSnapshot) {
    let share = s.elapsed.as_secs_f64() / s.total.as_secs_f64().max(1e-9);
    let (elapsed, total) = (s.elapsed.as_secs(), s.total.as_secs());
    let stage = format!("stage {} ({} of {})", s.stage, s.stage_number, s.stages);
    let title = format!("loadgen, {}, {}, {stage}", s.mode.code(), s.scenario);
    let gauge = Gauge::default()
        .block(block(&title))
        .gauge_style(Style::new().fg(Color::Blue))
        .ratio(share.clamp(0.0, 1.0))
        .label(format!("{elapsed} of {total} s"));
    frame.render_widget(gauge, area);
}

fn rate_lines(s: &LiveSnapshot) -> Vec<Line<'static>> {
    let intended = match s.mode {
        Mode::OpenLoop => format!("{:.0}/s", s.intended_per_s),
        Mode::ClosedLoop => "as fast as answers come".to_owned(),
    };
    vec![
        row("intended", intended, Style::new()),
        row("sent", format!("{:.0}/s", s.sent_per_s), Style::new().add_modifier(Modifier::BOLD)),
        row("answered", format!("{:.0}/s, {} in all", s.answered_per_s, s.answered), Style::new()),
        answers_line(s),
        generation_line(s),
    ]
}

/// The same in three lines.
fn short_rate_lines(s: &LiveSnapshot) -> Vec<Line<'static>> {
    let intended = match s.mode {
        Mode::OpenLoop => format!("intended {:.0}/s   ", s.intended_per_s),
        Mode::ClosedLoop => String::new(),
    };
    let sent = format!("{:.0}/s", s.sent_per_s);
    let rates = Line::from(vec![
        Span::raw(format!("{intended}sent ")),
        Span::styled(sent, Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("   answered {:.0}/s, {} in all", s.answered_per_s, s.answered)),
    ]);
    vec![rates, answers_line(s), generation_line(s)]
}

fn answers_line(s: &LiveSnapshot) -> Line<'static> {
    Line::from(vec![
        Span::raw(format!("{:<11}", "wrong")),
        Span::styled(s.wrong_answers.to_string(), alarm(s.wrong_answers > 0)),
        Span::raw("   errors "),
        Span::styled(s.errors.to_string(), alarm(s.errors > 0)),
        Span::raw(format!("   waiting {}   in flight {}", s.waiting, s.in_flight)),
    ])
}

fn generation_line(s: &LiveSnapshot) -> Line<'static> {
    let generation = s.generation.clone().unwrap_or_else(|| "not named yet".to_owned());
    row("generation", format!("{generation}, {} swaps", s.swaps), Style::new())
}

fn latency_lines(s: &LiveSnapshot) -> Vec<Line<'static>> {
    let names = ["p50", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>13}")).concat();
    let mut lines = vec![Line::from(format!("{:<9}{names}", ""))];
    let rows = [
        ("latency", s.latency_us),
        ("service", s.service_us),
        ("lateness", s.lateness_us),
        ("stalls", s.stalls_us),
    ];
    for (name, l) in rows {
        let cells = [l.p50, l.p90, l.p99, l.p99_9, l.max].map(|p| format!("{p:>13}")).concat();
        lines.push(Line::from(format!("{name:<9}{cells}")));
    }
    let busy = format!("{:.0} % of its busiest thread's time", s.busy_share * 100.0);
    lines.push(row("client", busy, alarm(s.busy_share > 0.8)));
    lines
}

fn draw_curve(frame: &mut Frame<'_>, area: Rect, title: &str, values: &VecDeque<u64>, colour: Color) {
    let width = usize::from(area.width.saturating_sub(2));
    let newest: Vec<u64> = values.iter().skip(values.len().saturating_sub(width)).copied().collect();
    let top = newest.iter().max().copied().unwrap_or(0);
    let curve = Sparkline::default()
        .block(block(&format!("{title}, top {top}")))
        .data(&newest)
        .style(Style::new().fg(colour));
    frame.render_widget(curve, area);
}

fn goal_lines(goals: &[Goal]) -> Vec<Line<'static>> {
    if goals.is_empty() {
        return vec![Line::from("none")];
    }
    goals.iter().map(goal_line).collect()
}

fn goal_line(goal: &Goal) -> Line<'static> {
    let style = match goal.verdict {
        GoalVerdict::Met => Style::new().fg(Color::Green),
        GoalVerdict::Missed => alarm(true),
        GoalVerdict::Insufficient => Style::new().fg(Color::Yellow),
    };
    Line::from(Span::styled(crate::result::describe_goal(goal), style))
}

fn row(name: &str, value: String, style: Style) -> Line<'static> {
    Line::from(vec![Span::raw(format!("{name:<11}")), Span::styled(value, style)])
}

fn alarm(on: bool) -> Style {
    if on { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() }
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::latency::Latencies;

    /// What the screen shows at this size, as text.
    fn shown(snapshot: &LiveSnapshot, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut history = History::default();
        (0..500).for_each(|_| history.add(snapshot));
        terminal.draw(|frame| draw(frame, snapshot, &history)).unwrap();
        let cells: Vec<&str> = terminal.backend().buffer().content().iter().map(|c| c.symbol()).collect();
        cells.chunks(usize::from(width)).map(|line| line.concat() + "\n").collect()
    }

    fn busy_snapshot() -> LiveSnapshot {
        let mut latencies = Latencies::new();
        (0..200_000_u64).for_each(|n| latencies.record(Duration::from_micros(100 + n / 1_000)));
        let mut stalls = Latencies::new();
        (0..2_000_u64).for_each(|n| stalls.record(Duration::from_micros(if n == 0 { 9_000 } else { 60 })));
        LiveSnapshot {
            scenario: "record-day".to_owned(),
            stage: "peak".to_owned(),
            stage_number: 2,
            stages: 3,
            elapsed: Duration::from_secs(30),
            total: Duration::from_secs(60),
            intended_per_s: 10_000.0,
            sent_per_s: 9_998.0,
            answered_per_s: 9_990.0,
            wrong_answers: 7,
            errors: 11,
            waiting: 5,
            latency_us: latencies.summary(),
            stalls_us: stalls.summary(),
            busy_share: 0.42,
            generation: Some("2026-11-22-3fa9c1d2e4b5".to_owned()),
            swaps: 1,
            goals: vec![Goal {
                what: "p99_9_us".to_owned(),
                endpoint: "all".to_owned(),
                limit: 5_000.0,
                value: Some(299.0),
                verdict: GoalVerdict::Met,
            }],
            ..LiveSnapshot::default()
        }
    }

    #[test]
    fn the_screen_names_everything_that_matters() {
        let text = shown(&busy_snapshot(), 160, 30);
        let parts = [
            "loadgen, open_loop, record-day, stage peak (2 of 3)",
            "30 of 60 s",
            "intended   10000/s",
            "sent       9998/s",
            "wrong      7   errors 11   waiting 5",
            "generation 2026-11-22-3fa9c1d2e4b5, 1 swaps",
            "p99.9",
            "lateness",
            "stalls",
            "insufficient",
            "42 % of its busiest",
            "sent a second, top 9998",
            "p99_9_us <= 5000 (all): 299, met",
            "q ends early",
        ];
        for part in parts {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    /// The usual terminal: every column of the table, and a curve as high as there is room.
    #[test]
    fn eighty_columns_show_every_percentile() {
        let mut snapshot = busy_snapshot();
        snapshot.goals = vec![snapshot.goals[0].clone(); 3];
        let text = shown(&snapshot, 80, 24);
        let head = text.lines().find(|line| line.contains("p50")).unwrap();
        assert!(["p90", "p99", "p99.9", "max"].iter().all(|name| head.contains(name)), "{text}");
        let latency = text.lines().find(|line| line.contains("latency  ")).unwrap();
        assert_eq!(
            latency.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).count(),
            5,
            "{text}"
        );
        let stalls = text.lines().find(|line| line.contains("stalls  ")).unwrap();
        let cells: Vec<&str> = stalls.trim_matches('│').split_whitespace().collect();
        assert_eq!(cells, ["stalls", "60", "60", "insufficient", "insufficient", "9007"], "{text}");
        for part in ["intended 10000/s   sent 9998/s   answered 9990/s", "waiting 5   in flight 0", "1 swaps"]
        {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(text.contains("sent a second, top 9998") && text.matches("299, met").count() == 3, "{text}");
        assert!(text.contains('█'), "{text}");
    }

    #[test]
    fn a_small_terminal_and_an_empty_run_are_drawn_too() {
        for (width, height) in [(1, 1), (20, 5), (80, 24)] {
            shown(&LiveSnapshot::default(), width, height);
            shown(&busy_snapshot(), width, height);
        }
        let closed = LiveSnapshot { mode: Mode::ClosedLoop, ..busy_snapshot() };
        let text = shown(&closed, 160, 30);
        assert!(text.contains("closed_loop") && text.contains("as fast as answers come"), "{text}");
    }
}
