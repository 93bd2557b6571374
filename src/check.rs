//! What is asked of a node, and what came back.

use std::{borrow::Cow, collections::BTreeSet, fmt, net::IpAddr, sync::Arc, time::Duration};

use crate::cluster::{CheckName, Cluster, NodeName};

pub mod agent;
pub mod dns;
pub mod exec;
pub mod http;
pub mod imap;
pub mod pop3;
pub mod smtp;
#[cfg(test)]
pub(crate) mod tests;
pub mod text;
pub mod tls;

pub use self::{dns::Dns, exec::Exec, http::Http, tls::Tls};

/// One question, asked once per (check, node address), however many domains use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The protocol and what is special to it.
    pub kind: Kind,
    /// How the connection is secured; `None`: it is not.
    pub tls: Option<Tls>,
    /// When it is asked, and how many answers decide.
    pub timing: Timing,
}

impl Check {
    /// Whether the answers to one say what those to the other would: the same is asked, perhaps at other times. What a
    /// plugin is told of the node is a part of its question.
    #[must_use]
    pub fn asks_like(&self, other: &Self, of_one_node: bool) -> bool {
        (&self.kind, &self.tls) == (&other.kind, &other.tls) && (of_one_node || !matches!(self.kind, Kind::Exec(_)))
    }
}

/// When a check is asked, and how many answers in a row decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// From the start of one probe to the start of the next, in a steady state.
    pub interval: Duration,
    /// The same while in doubt: after the first contrary answer, and before the first decision.
    pub fast_interval: Duration,
    /// The same for a node that is down, and shows no sign of life.
    pub down_interval: Duration,
    /// One deadline for the whole probe, from connect to goodbye.
    pub timeout: Duration,
    /// Passes in a row that bring a node up.
    pub rise: u32,
    /// Failures in a row that take it down.
    pub fall: u32,
    /// Percent of the period by which a probe may come earlier than the fixed rate says, so that probes do not go in
    /// step.
    pub jitter: u8,
    /// What each flap adds to the wait before a return (see [`flap`](crate::flap)); `None`: nothing.
    pub flap_hold: Option<Duration>,
}

impl Timing {
    /// How long it may take until a node that is down and becomes well is seen to be up, however slow its answers are:
    /// the probe under way may be lost, and what was due meanwhile comes after it.
    #[must_use]
    pub fn longest_return(&self) -> Duration {
        let rise = self.fast_interval.max(self.timeout).saturating_mul(self.rise);
        self.down_interval.max(self.timeout).saturating_add(rise)
    }

    /// How long it may take until a node that does not answer is seen to be down, asked as one in doubt.
    #[must_use]
    pub fn longest_fall(&self) -> Duration {
        self.fast_interval.saturating_add(self.fast_interval.max(self.timeout).saturating_mul(self.fall))
    }
}

/// The protocol of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A connection is accepted.
    Tcp {
        /// Port of the node.
        port: u16,
    },
    /// 220 banner, EHLO 250, QUIT (RFC 5321).
    Smtp {
        /// Port of the node.
        port: u16,
        /// The name or address literal that we greet by; `None`: this host's.
        helo: Option<Arc<str>>,
    },
    /// The same with LHLO (RFC 2033).
    Lmtp {
        /// Port of the node.
        port: u16,
        /// As for SMTP.
        helo: Option<Arc<str>>,
    },
    /// `* OK` or `* PREAUTH` greeting, CAPABILITY, LOGOUT (RFC 9051).
    Imap {
        /// Port of the node.
        port: u16,
    },
    /// `+OK` greeting, CAPA, QUIT (RFC 1939, 2449).
    Pop3 {
        /// Port of the node.
        port: u16,
    },
    /// A request whose answer has an accepted status and text (RFC 9112).
    Http(Arc<Http>),
    /// A query that must be answered (RFC 1035).
    Dns(Dns),
    /// What the node says of itself, in the words of HAProxy's agent-check.
    Agent {
        /// Port of the node.
        port: u16,
    },
    /// A monitoring plugin, run here.
    Exec(Exec),
}

/// Who is asked what: the unit that health is kept for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The node.
    pub node: NodeName,
    /// The check.
    pub check: CheckName,
    /// The node's address.
    pub address: IpAddr,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.node, self.check, self.address)
    }
}

impl Check {
    /// As a target of this cluster is asked: a plugin's arguments are filled in.
    #[must_use]
    pub fn of_target(cluster: &Cluster, target: &Target) -> Option<Self> {
        let check = cluster.checks.get(&target.check)?;
        let index = &cluster.nodes.get(&target.node)?.index;
        let kind = match &check.kind {
            Kind::Exec(plugin) => Kind::Exec(plugin.filled_in(target, index)),
            other => other.clone(),
        };
        Some(Self { kind, ..check.clone() })
    }
}

/// Everything that is to be asked: each check of a service, of each address of each node that serves it, once,
/// however many domains use it.
#[must_use]
pub fn targets(cluster: &Cluster) -> BTreeSet<Target> {
    let mut targets = BTreeSet::new();
    for profile in &cluster.profiles {
        let checks = profile.services.iter().filter_map(|name| cluster.services.get(name)).flat_map(|s| &s.checks);
        for check in checks {
            for (node, of) in profile.nodes.iter().filter_map(|node| cluster.nodes.get_key_value(node)) {
                targets.extend(of.addresses.iter().map(|address| Target {
                    node: node.clone(),
                    check: check.clone(),
                    address: *address,
                }));
            }
        }
    }
    targets
}

/// Octets of an outcome's text.
const LONGEST_REASON: usize = 500;

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The node does its work; the text says what was seen ("220 mx ESMTP", "status 200").
    Pass(String),
    /// It does, and something deserves a look: the node stays in.
    Warn {
        /// What was seen, and the warning.
        reason: String,
        /// The warning alone.
        warning: Warning,
    },
    /// It does not: the cause in HAProxy's spirit ("connection refused", "no banner in 5s", "banner \"554 ...\"").
    Fail(String),
    /// It does not because it has too much to do, and says so itself (SMTP 421, HTTP 503).
    Busy(String),
    /// The node asks to be taken out of the shared sets (an agent's `drain`): nothing of that is in doubt.
    Out(String),
    /// The node asks to be taken out altogether (an agent's `maint`).
    Maint(String),
    /// We could not ask (no route, no descriptors, no permission): says nothing of the node.
    Unknown(String),
}

impl Outcome {
    /// A pass, with a warning if there is one.
    #[must_use]
    pub fn pass(seen: String, warning: Option<Warning>) -> Self {
        match warning {
            Some(warning) => Self::Warn { reason: format!("{seen}; {warning}"), warning },
            None => Self::Pass(seen),
        }
    }

    /// The word for the finding.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Warn { .. } => "warning",
            Self::Fail(_) => "fail",
            Self::Busy(_) => "busy",
            Self::Out(_) | Self::Maint(_) => "out",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether the node does its work.
    #[must_use]
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass(_) | Self::Warn { .. })
    }

    /// The same with texts that are no longer than a line: what a node says is cut where it is quoted, and what a library says
    /// of it may be long all the same.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let (reason, warning) = match &mut self {
            Self::Warn { reason, warning: Warning::Certificate(warning) | Warning::Plugin(warning) } => {
                (reason, Some(warning))
            }
            Self::Pass(reason)
            | Self::Fail(reason)
            | Self::Busy(reason)
            | Self::Out(reason)
            | Self::Maint(reason)
            | Self::Unknown(reason) => (reason, None),
        };
        for text in [Some(reason), warning].into_iter().flatten() {
            if let Cow::Owned(bounded) = crate::text::line(text, LONGEST_REASON) {
                *text = bounded;
            }
        }
        self
    }

    /// The text, whatever the finding.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass(text)
            | Self::Warn { reason: text, .. }
            | Self::Fail(text)
            | Self::Busy(text)
            | Self::Out(text)
            | Self::Maint(text)
            | Self::Unknown(text) => text,
        }
    }
}

/// What deserves a look although the node does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The certificate expires soon, or is not valid and `tls_verify: false` lets that pass.
    Certificate(String),
    /// What a monitoring plugin warns of.
    Plugin(String),
}

impl Warning {
    /// Whether this was told when `other` was. A plugin's words may hold a number that is another each time.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        self == other || matches!((self, other), (Self::Plugin(_), Self::Plugin(_)))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(text) | Self::Plugin(text) => f.write_str(text),
        }
    }
}
