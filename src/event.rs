//! What the journal tells: one value for each change of the outside world, with from, to and why.
//!
//! Those who decide return events; `io::journal` writes them. A kind of event keeps its `MESSAGE_ID` for ever:
//! people's alerts hang on it (`docs/journal.md` lists them, and a test holds the list and this file together).

pub mod fold;
pub mod wave;

use std::{borrow::Cow, net::IpAddr};

use crate::{
    check::Target,
    cluster::NodeName,
    dns::{OwnerName, RrsetId},
    text,
};

/// How loud an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Ordinary news.
    Info,
    /// Somebody should look.
    Warning,
    /// Something does not work.
    Error,
}

/// Kinds with their level and `MESSAGE_ID`.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $level:ident, $id:literal;)*) => {
        /// The kind of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The `MESSAGE_ID` (sd-id128, `systemd.journal-fields(7)`).
            #[must_use]
            pub const fn message_id(self) -> &'static str {
                match self {
                    $(Self::$kind => $id,)*
                }
            }

            /// The name in the documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)*
                }
            }

            /// How loud.
            #[must_use]
            pub const fn level(self) -> Level {
                match self {
                    $(Self::$kind => Level::$level,)*
                }
            }
        }
    };
}

kinds! {
    /// The daemon has begun.
    Started = Info, "7d2fe95ff9f64d2e893df1ecd41c987b";
    /// The daemon stops; DNS stays as it is.
    Stopping = Info, "4a8e607cdb8d4b78bb9bb4e4c686aed4";
    /// The first round of checks is over; writing may begin.
    FirstRound = Info, "439c6d58b6ac4816873b25acfa33edf6";
    /// A good file was read, an edit that waited was taken back, or other keys are in force.
    ConfigLoaded = Info, "f63452d3162e44ccbc1d6d2611b09eb3";
    /// A bad edit, or bad keys: the old ones stay in force.
    ConfigRefused = Error, "383e922192c642e696e9e63d4944a10d";
    /// Something in the file or around it deserves a look.
    ConfigWarning = Warning, "266e9558e21b43c5bb62efc9e6f83b90";
    /// A check of a node now passes.
    CheckUp = Info, "947f3d856f354b2aac0c8a79407385ae";
    /// A check of a node now fails.
    CheckDown = Warning, "b55bf1472f4941478fd7c4599ddb9aa6";
    /// A check of a node cannot be made; nothing changes in DNS.
    CheckUnknown = Warning, "eb65cb24561d4010846ecda56a525bac";
    /// A check of a node passes, and something deserves a look: the node stays in.
    CheckWarning = Warning, "8e00e29165704275a95c82303597dd4a";
    /// A warning of a check is over.
    CheckClear = Info, "689e501ae6a14d41ac4ff7984549bdf8";
    /// A check of a node passes again, but went down too often: it is held down for a while.
    CheckHeld = Info, "246e5c6ac85c4bb783e8bf0f1aec991a";
    /// Many nodes went down at once, which may be our own fault: nobody is taken out.
    Blind = Error, "6c452d2b2fcc45b395e596250ec6b1e5";
    /// The nodes are back, or are known to be down indeed: writing goes on.
    BlindOver = Info, "3285e86e64e345288e8eb6b5d6c7662f";
    /// An `RRset` was changed in BIND.
    Published = Info, "2c14269588904bc9a1da47ae69c75522";
    /// A zone cannot be written or read.
    ZoneFailing = Error, "81573f4a12b348cea9f56a995cee283f";
    /// A message did not pass the check before it is sent: a fault of rotad itself.
    MessageStopped = Error, "1049518b9c4642a099bbe559ea1af23a";
    /// A zone that failed is right again.
    ZoneRecovered = Info, "1d8b499f57604230a952f6166fe0b585";
    /// A zone holds data that is not ours: nothing is written.
    ZoneForeign = Error, "73a95ac3396346ee829e070416773a85";
    /// A set of the file holds data of strangers: it is left, and the rest of the zone goes on.
    RrsetForeign = Error, "33fad47538ab4bf39e47f44425c7ab47";
    /// BIND has acknowledged a change and does not show it: what it lets us read is behind.
    CopyBehind = Warning, "b1a7f22bb1934dffb28ddd34ad31e4e2";
    /// BIND lowers the TTLs of a zone: `max-zone-ttl`.
    TtlLimited = Warning, "da17a3f1e1df45e9896106042a154e84";
    /// Another instance owns a zone: nothing is written.
    ZoneStandby = Warning, "69b98f4cc9bb4bc6ae36aaa4a84bbf26";
    /// A managed `RRset` was changed by somebody else; it is put back unless it is right as it is now. Without an `RRset`: the
    /// zone's generation went back.
    Drift = Warning, "b16f4a81a888498ca50d1df82d5916fc";
    /// The set has too few healthy nodes: what `all_down` says is done.
    TooFewHealthy = Error, "e796e45adc8948dd984329a14050bc06";
    /// The set has enough healthy nodes again.
    EnoughHealthy = Info, "c7b80c87428f4a11980e2f8fec1d8b19";
    /// An edit would change too much and waits for `rotad accept`.
    TooMuchChange = Error, "18ce43c0c47843e5be56627d613678a4";
    /// An operator has let an edit through that waited.
    EditAccepted = Warning, "0837aab4ae2e0eb75bce298d6df4d094";
    /// BIND cannot be reached.
    PrimaryLost = Error, "a55528bb8f864d2288ee4d314aadc794";
    /// BIND does not accept our signature: no key, or the clocks differ.
    KeysRefused = Error, "6b3e64e6827c2343b16b940b390b63a4";
    /// BIND accepts our signature again.
    KeysAccepted = Info, "fcaf5562bc0293cb929dd582ac766762";
    /// Updates get answers without a signature: something before BIND gives them.
    UpdatesUnsigned = Error, "2056daad2c89ce2a1efc567528886032";
    /// Updates get signed answers again.
    UpdatesSigned = Info, "b8f1d573d3882da31c02514a718b31d9";
    /// BIND answers again.
    PrimaryBack = Info, "55727054e2b348c5a958a9c2c0f8fe3d";
    /// BIND does not accept a key any more and accepts another one of the file.
    KeyRefused = Warning, "7dcca4b10fae480586d8a38e6822ad60";
    /// BIND answers on fewer connections than the file says: these are used.
    FewerConnections = Warning, "9b4f38bba487952551937e71183c7a43";
    /// The state directory could not be read or written, or the machine has no id of its own.
    StateTrouble = Warning, "6c9a4b06fbb44723aa9a931a2c08b0be";
    /// The state is saved again, after trouble.
    StateSaved = Info, "dd61146032f145ffb691bd917494606e";
    /// The loop stood still (suspend, SIGSTOP): every observation is stale.
    Gap = Warning, "a1755a7aa3d945818772064273daced4";
    /// An operator holds: nothing is written.
    HoldBegun = Warning, "7bb4f5bdc7e649c48fbf39ac50f20da9";
    /// The hold is over, by time or by an operator; writing goes on.
    HoldEnded = Info, "874d81ab24a646698a87323f67cff416";
    /// An operator took over a set of strangers, or a zone that was foreign or on standby.
    ZoneAdopted = Warning, "0b651a2203ef4babad6f8124ca1a28b7";
    /// What the file no longer gives stays in DNS, or was withdrawn or restored.
    LeftOver = Warning, "6cca5389956d80303856fb4e1118dc39";
    /// The journal did not take lines in time: they are lost.
    LinesLost = Warning, "229b2204e5954149bc08856437c638a2";
}

/// How repetitions of a kind are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// It has happened: each time is news, for nothing happens twice without something in between. What people do is of this
    /// sort.
    Each,
    /// It lasts: it is told once and then counted, until one of these tells of the same object.
    Until(&'static [Kind]),
}

impl Kind {
    /// How its repetitions are told.
    #[must_use]
    pub const fn folding(self) -> Folding {
        use Kind::{
            Blind, BlindOver, CheckClear, CheckDown, CheckHeld, CheckUnknown, CheckUp, CheckWarning, ConfigLoaded,
            ConfigRefused, ConfigWarning, CopyBehind, Drift, EditAccepted, EnoughHealthy, FewerConnections, FirstRound,
            Gap, HoldBegun, HoldEnded, KeyRefused, KeysAccepted, KeysRefused, LeftOver, LinesLost, MessageStopped,
            PrimaryBack, PrimaryLost, Published, RrsetForeign, Started, StateSaved, StateTrouble, Stopping,
            TooFewHealthy, TooMuchChange, TtlLimited, UpdatesSigned, UpdatesUnsigned, ZoneAdopted, ZoneFailing,
            ZoneForeign, ZoneRecovered, ZoneStandby,
        };
        match self {
            Blind => Folding::Until(&[BlindOver]),
            PrimaryLost => Folding::Until(&[PrimaryBack]),
            KeysRefused => Folding::Until(&[KeysAccepted]),
            UpdatesUnsigned => Folding::Until(&[UpdatesSigned]),
            StateTrouble => Folding::Until(&[StateSaved]),
            // A zone is in one of these states at a time.
            ZoneFailing => Folding::Until(&[ZoneRecovered, ZoneAdopted, ZoneForeign, ZoneStandby]),
            ZoneForeign => Folding::Until(&[ZoneRecovered, ZoneAdopted, ZoneFailing, ZoneStandby]),
            ZoneStandby => Folding::Until(&[ZoneRecovered, ZoneAdopted, ZoneFailing, ZoneForeign]),
            CopyBehind | MessageStopped => Folding::Until(&[ZoneRecovered, ZoneAdopted]),
            Started | Stopping | FirstRound | ConfigLoaded | ConfigRefused | ConfigWarning | CheckUp | CheckDown
            | CheckUnknown | CheckWarning | CheckClear | CheckHeld | BlindOver | Published | ZoneRecovered
            | RrsetForeign | TtlLimited | Drift | TooFewHealthy | EnoughHealthy | TooMuchChange | EditAccepted
            | KeysAccepted | UpdatesSigned | PrimaryBack | KeyRefused | FewerConnections | StateSaved | Gap
            | HoldBegun | HoldEnded | ZoneAdopted | LeftOver | LinesLost => Folding::Each,
        }
    }
}

/// Octets of a field of the journal: the longest owner name with every octet escaped has 1,000.
const FIELD: usize = 1_024;

/// One line of the journal and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind.
    pub kind: Kind,
    /// The line for people.
    pub message: String,
    /// `NODE`.
    pub node: Option<String>,
    /// `ADDRESS`.
    pub address: Option<IpAddr>,
    /// `CHECK`.
    pub check: Option<String>,
    /// `ZONE`.
    pub zone: Option<String>,
    /// `OWNER`: the owner name of the `RRset`.
    pub owner: Option<String>,
    /// `RRTYPE`.
    pub rrtype: Option<&'static str>,
    /// `GENERATION` of the zone's record after the change.
    pub generation: Option<u64>,
    /// `RCODE` of BIND's answer.
    pub rcode: Option<String>,
    /// `REASON`: the cause alone.
    pub reason: Option<String>,
}

impl Event {
    /// The same with its message on one line and every text bounded: a journal that stands still keeps thousands of them, and what peers
    /// say may be in each.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Cow::Owned(bounded) = text::line(&self.message, text::LINE) {
            self.message = bounded;
        }
        // As they came: what is in a field of the journal ends nowhere else.
        let texts =
            [&mut self.node, &mut self.check, &mut self.zone, &mut self.owner, &mut self.rcode, &mut self.reason];
        for text in texts.into_iter().flatten() {
            text.truncate(text.floor_char_boundary(FIELD));
        }
        self
    }

    /// About how many octets of memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let texts = [&self.node, &self.check, &self.zone, &self.owner, &self.rcode, &self.reason];
        let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + self.message.len() + texts
    }

    /// An event with nothing but its line.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            node: None,
            address: None,
            check: None,
            zone: None,
            owner: None,
            rrtype: None,
            generation: None,
            rcode: None,
            reason: None,
        }
    }

    /// Sets `NODE`.
    #[must_use]
    pub fn node(mut self, node: &NodeName) -> Self {
        self.node = Some(node.as_str().to_owned());
        self
    }

    /// Sets `NODE`, `CHECK` and `ADDRESS`.
    #[must_use]
    pub fn target(mut self, target: &Target) -> Self {
        self.check = Some(target.check.as_str().to_owned());
        self.address = Some(target.address);
        self.node(&target.node)
    }

    /// Sets `ZONE`.
    #[must_use]
    pub fn zone(mut self, zone: &OwnerName) -> Self {
        self.zone = Some(zone.as_str().to_owned());
        self
    }

    /// Sets `OWNER` and `RRTYPE`.
    #[must_use]
    pub fn rrset(mut self, id: &RrsetId) -> Self {
        self.owner = Some(id.owner.as_str().to_owned());
        self.rrtype = Some(id.rtype.as_str());
        self
    }

    /// Sets `GENERATION`.
    #[must_use]
    pub const fn generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Sets `RCODE`.
    #[must_use]
    pub fn rcode(mut self, rcode: impl Into<String>) -> Self {
        self.rcode = Some(rcode.into());
        self
    }

    /// Sets `REASON`.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d3_an_event_is_bounded_whatever_is_in_it() {
        let long = "\u{1b}[2J ".repeat(1 << 20);
        let zone = OwnerName::from_presentation(&long);
        let event = Event::new(Kind::ZoneFailing, &*long).zone(&zone).reason(&*long).rcode(&*long).bounded();
        assert!(event.message.len() <= text::LINE && event.size() <= text::LINE + 6 * FIELD + size_of::<Event>());
        assert!(!event.message.contains('\u{1b}'));
        let short = Event::new(Kind::CheckUp, "node01 imap is up").reason("* OK");
        assert_eq!(short.clone().bounded(), short);
    }
}
