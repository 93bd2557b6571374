//! What a zone is given for its turn, and what it gives back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{
    checker::Checked,
    cluster::Cluster,
    control::Selection,
    desired::{self, Recipe},
    dns::{OwnerName, RdataSet, RrsetId, Ttl},
    layout::ZoneLayout,
    plan::Plan,
    standings::Standings,
    status::{Clocks, ZoneState},
    update::{GenerationRecord, Reading, Verdict},
};

/// Who we are in a generation record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// This instance.
    pub owner: String,
}

impl Identity {
    /// Our record at a generation.
    pub(super) fn record(&self, generation: u64) -> GenerationRecord {
        GenerationRecord { cluster: self.cluster.clone(), owner: self.owner.clone(), generation }
    }
}

/// The newest snapshot of everything that a step is worked out from.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// Now.
    pub now: Instant,
    /// One moment on both clocks, for what is stamped.
    pub clocks: Clocks,
    /// The file in force.
    pub cluster: &'a Cluster,
    /// What the file puts into this zone; `None`: nothing any more.
    pub layout: Option<&'a ZoneLayout>,
    /// Health.
    pub standings: &'a Standings,
    /// Who we are.
    pub me: &'a Identity,
    /// What may be written.
    pub scope: &'a Scope,
    /// Whether anything may be written yet.
    pub may_write: bool,
    /// Whether changes that come from an edit wait for `rotad accept`.
    pub hold_edits: bool,
    /// Whether the file was judged and let through.
    pub is_let_through: bool,
    /// Whether an MX of another zone points to a name.
    pub is_target_elsewhere: &'a dyn Fn(&OwnerName) -> bool,
}

impl Turn<'_> {
    /// What the file lists in the zone.
    pub(super) fn recipes(&self) -> BTreeMap<RrsetId, Recipe> {
        self.layout.map(|layout| desired::recipes(self.cluster, layout, self.standings)).unwrap_or_default()
    }
}

/// What may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that is wanted.
    Everything,
    /// What operators want of what is left over.
    Wishes,
    /// The same, and what makes these sets whole.
    Restore(Vec<Selection>),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before [`Zone::wake_at`](super::Zone::wake_at).
    Rest,
    /// Read these names, the generation record and the SOA.
    Read(BTreeSet<OwnerName>),
    /// The same of a zone that this run has not read yet: a transfer may tell it sooner than a question for each name.
    FirstRead {
        /// The names.
        names: BTreeSet<OwnerName>,
        /// Those of them below the zone that are domains of the file: they may well be zones of their own.
        domains: Vec<OwnerName>,
    },
    /// Read the SOA's serial.
    Serial,
    /// Send this.
    Write(Box<Checked>),
}

/// What became of a step.
#[derive(Debug)]
pub enum Done {
    /// Of [`Step::Read`] and [`Step::FirstRead`].
    Read(Result<Reading, Failure>),
    /// Of [`Step::Serial`].
    Serial(Result<u32, Failure>),
    /// Of [`Step::Write`].
    Write(Result<Verdict, Failure>),
}

impl Done {
    /// The failure, if it is one.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Read(Err(failure)) | Self::Serial(Err(failure)) | Self::Write(Err(failure)) => Some(failure),
            Self::Read(Ok(_)) | Self::Serial(Ok(_)) | Self::Write(Ok(_)) => None,
        }
    }
}

/// Who gave no answer in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Silence {
    /// Nobody: there was an answer, or no way to the server.
    #[default]
    None,
    /// The server, as far as the step itself can tell.
    Server,
    /// This zone alone: the server answered for others meanwhile.
    Zone,
}

/// A step that brought no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The cause and the next step, for people.
    pub words: String,
    /// The mnemonic of BIND's answer, if it gave one; or [`UNSIGNED`].
    pub code: Option<String>,
    /// Whether the request may have reached BIND all the same.
    pub sent: bool,
    /// Whether it is time that ran out, and for whom.
    pub silence: Silence,
}

impl Failure {
    /// Whether BIND has answered for the zone: neither with silence, nor with an objection to our signature, and it was
    /// nobody else.
    pub(super) fn is_answer(&self) -> bool {
        self.code.as_deref().is_some_and(|code| !is_of_server(code))
    }

    /// Whether it was answered without a signature.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        self.code.as_deref() == Some(UNSIGNED)
    }

    /// Whether BIND does not accept our signature: that is the server's trouble, whatever zone was asked about.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        self.code.as_deref().is_some_and(is_of_key)
    }
}

/// The code of an update that somebody else answered: without a signature.
pub const UNSIGNED: &str = "UNSIGNED";

/// Whether a code says so: see [`Failure::is_of_key`].
fn is_of_key(code: &str) -> bool {
    matches!(code, "BADKEY" | "BADSIG" | "BADTIME")
}

/// Whether what a code says is told once, for all zones.
pub(super) fn is_of_server(code: &str) -> bool {
    is_of_key(code) || code == UNSIGNED
}

/// What a zone's plan comes to, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The zone.
    pub zone: OwnerName,
    /// What would be changed.
    pub plan: Plan,
    /// What is deleted later.
    pub later: Vec<Later>,
    /// Whether the zone's first generation record would be written.
    pub claim: bool,
    /// Whether the zone has no record of ours yet.
    pub is_first: bool,
    /// The generation that the next message would write.
    pub generation: u64,
    /// Why nothing would be written at all.
    pub not_ours: Option<(ZoneState, String)>,
}

/// An `RRset` that is to be deleted, and cannot be yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    /// Which one.
    pub id: RrsetId,
    /// Its TTL, where it is seen.
    pub ttl: Option<Ttl>,
    /// What it holds, or was published with.
    pub data: RdataSet,
    /// What it waits for, in words.
    pub waits: String,
}
