//! What a key press asks of the live screen. In raw mode Ctrl-C is a key like any other.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Whether a press of `q` or Ctrl-C is waiting. Everything else that waits is dropped.
pub(super) fn stop_pressed() -> io::Result<bool> {
    let mut stop = false;
    while event::poll(Duration::ZERO)? {
        stop |= matches!(event::read()?, Event::Key(key) if asks_to_stop(key));
    }
    Ok(stop)
}

fn asks_to_stop(key: KeyEvent) -> bool {
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (key.code == KeyCode::Char('q') || ctrl_c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_ctrl_c_stop_and_nothing_else() {
        let plain = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        assert!(asks_to_stop(plain('q')));
        assert!(asks_to_stop(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!asks_to_stop(plain('c')) && !asks_to_stop(plain('x')));
        let released = KeyEventKind::Release;
        assert!(!asks_to_stop(KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, released)));
    }
}
