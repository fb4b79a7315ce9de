//! Progress on stderr, where that is a terminal; nothing elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use snapshots::Progress;

const BAR: &str = "{msg:>14} [{bar:40}] {percent:>3} %  {per_sec}  {eta} left";
/// Bytes tell how much is left; what is of interest are rows, and those stand in the message.
const READING_BAR: &str = "{msg:>30} [{bar:40}] {percent:>3} %  {eta} left";
const SPINNER: &str = "{msg:>14} {spinner} {elapsed}";

/// A bar over work of a known size.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(what: &'static str, total: u64) -> Bar {
        Bar(ProgressBar::new(total).with_style(style(BAR)).with_message(what))
    }

    /// The same, but hidden while results go to a terminal: there it would stand between their lines.
    pub(super) fn beside_results(what: &'static str, total: u64) -> Bar {
        let bar = Bar::new(what, total);
        if io::stdout().is_terminal() {
            bar.0.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar
    }

    pub(super) fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    pub(super) fn add(&self, done: u64) {
        self.0.inc(done);
    }

    /// The same where the size comes out later.
    pub(super) fn set_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.set(done);
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// The bars of a build, one for each of its stages.
#[derive(Default)]
pub(super) struct BuildBars(Mutex<Option<(&'static str, ProgressBar)>>);

impl BuildBars {
    pub(super) fn show(&self, progress: Progress) {
        match progress {
            Progress::Reading { bytes, bytes_total, rows } => {
                let bar = self.stage("reading", READING_BAR, Some(bytes_total));
                bar.set_position(bytes.max(bar.position()));
                let rows_per_s = rows as f64 / bar.elapsed().as_secs_f64().max(0.001);
                bar.set_message(format!("{rows} rows, {rows_per_s:.0}/s"));
            }
            Progress::Compiling { rows, rows_total } => {
                self.stage("compiling", BAR, Some(rows_total)).set_position(rows);
            }
            Progress::Verifying => self.tick("verifying"),
        }
    }

    pub(super) fn finish(&self) {
        if let Some((_, bar)) = self.0.lock().take() {
            bar.finish_and_clear();
        }
    }

    fn tick(&self, stage: &'static str) {
        self.stage(stage, SPINNER, None).tick();
    }

    /// The bar of a stage; a new stage replaces the one before.
    fn stage(&self, stage: &'static str, template: &str, total: Option<u64>) -> ProgressBar {
        let mut current = self.0.lock();
        if let Some((name, bar)) = &*current
            && *name == stage
        {
            return bar.clone();
        }
        if let Some((_, bar)) = current.take() {
            bar.finish_and_clear();
        }
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style(template));
        bar.set_message(stage);
        *current = Some((stage, bar.clone()));
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant that tests draw")
}

#[cfg(test)]
mod tests {
    #[test]
    fn templates_are_valid() {
        super::style(super::BAR);
        super::style(super::READING_BAR);
        super::style(super::SPINNER);
    }
}
