//! What may happen.

use proptest::prelude::*;

/// Nodes of the file, the last of which never dies.
pub const NODES: usize = 5;

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A node stops to listen, on every port.
    Dies(usize),
    /// It listens again.
    Returns(usize),
    /// The file drains it, or makes it ready again.
    Drain(usize),
    /// It leaves the file, or comes back.
    Remove(usize),
    /// One more service in every domain.
    AddService,
    /// The file is no file of ours until the next edit.
    BreakFile,
    /// Somebody adds an address to a set that we manage.
    AddToManaged(usize),
    /// Somebody deletes a set that we manage.
    DeleteManaged(usize),
    /// Somebody changes the TTL of a set that we manage.
    TouchTtl(usize),
    /// Somebody adds what is theirs.
    AddForeign(usize),
    /// Somebody deletes what is theirs.
    DeleteForeign(usize),
    /// rotad is stopped for so many milliseconds.
    RotadPauses(u64),
    /// kill -9, and it is started again.
    RotadDies,
    /// kill -9, and it is started again a moment later.
    BindDies,
}

impl Event {
    /// Its row of the table.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dies(_) => "a node dies",
            Self::Returns(_) => "a node returns",
            Self::Drain(_) => "edit: a node is drained, or ready again",
            Self::Remove(_) => "edit: a node is removed, or added again",
            Self::AddService => "edit: a service is added",
            Self::BreakFile => "edit: a broken file",
            Self::AddToManaged(_) => "hand edit: an address added to a managed set",
            Self::DeleteManaged(_) => "hand edit: a managed set deleted",
            Self::TouchTtl(_) => "hand edit: the TTL of a managed set",
            Self::AddForeign(_) => "hand edit: a foreign set added",
            Self::DeleteForeign(_) => "hand edit: a foreign set deleted",
            Self::RotadPauses(_) => "rotad stopped for up to 8 s",
            Self::RotadDies => "rotad killed",
            Self::BindDies => "BIND killed",
        }
    }
}

/// Any event but the two deaths, which come by the clock.
pub fn any(zones: usize) -> impl Strategy<Value = Event> {
    let (node, zone) = (0..NODES - 1, 0..zones);
    prop_oneof![
        6 => node.clone().prop_map(Event::Dies),
        6 => node.clone().prop_map(Event::Returns),
        2 => node.clone().prop_map(Event::Drain),
        1 => node.prop_map(Event::Remove),
        1 => Just(Event::AddService),
        1 => Just(Event::BreakFile),
        2 => zone.clone().prop_map(Event::AddToManaged),
        1 => zone.clone().prop_map(Event::DeleteManaged),
        1 => zone.clone().prop_map(Event::TouchTtl),
        2 => zone.clone().prop_map(Event::AddForeign),
        1 => zone.prop_map(Event::DeleteForeign),
        1 => (0..8000_u64).prop_map(Event::RotadPauses),
    ]
}
