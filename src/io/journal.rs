//! Writes events to the journal.

use crate::event::Event;

/// Writes one event.
pub fn emit(event: &Event) {
    tracing::info!("{}", event.message);
}
