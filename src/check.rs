//! What is asked of a node, and what came back.

use std::{collections::BTreeSet, fmt, net::IpAddr, time::Duration};

use crate::cluster::{CheckName, Cluster, NodeName};

pub mod http;
pub mod imap;
pub mod pop3;
pub mod smtp;
#[cfg(test)]
pub(crate) mod tests;
pub mod text;

/// One question, asked once per (check, node address), however many domains use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The protocol and what is special to it.
    pub kind: Kind,
    /// When it is asked, and how many answers decide.
    pub timing: Timing,
}

/// When a check is asked, and how many answers in a row decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// From the start of one probe to the start of the next, in a steady state.
    pub interval: Duration,
    /// The same while in doubt: after the first contrary answer, and before the first decision.
    pub fast_interval: Duration,
    /// One deadline for the whole probe, from connect to goodbye.
    pub timeout: Duration,
    /// Passes in a row that bring a node up.
    pub rise: u32,
    /// Failures in a row that take it down.
    pub fall: u32,
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
    },
    /// `* OK` or `* PREAUTH` greeting, LOGOUT (RFC 9051).
    Imap {
        /// Port of the node.
        port: u16,
    },
    /// `+OK` greeting, QUIT (RFC 1939).
    Pop3 {
        /// Port of the node.
        port: u16,
    },
    /// A request whose answer has an accepted status and text (RFC 9112).
    Http(Http),
}

/// An HTTP check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Port of the node.
    pub port: u16,
    /// Path and query, starting with `/`.
    pub path: String,
    /// The Host header; `None`: the node's address.
    pub host: Option<String>,
    /// Accepted status codes; never empty.
    pub status: Vec<u16>,
    /// Text that the first 8 KiB of the body must contain.
    pub body: Option<String>,
}

impl Kind {
    /// The word of the file.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Smtp { .. } => "smtp",
            Self::Imap { .. } => "imap",
            Self::Pop3 { .. } => "pop3",
            Self::Http(_) => "http",
        }
    }

    /// The node's port that is asked.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self {
            Self::Tcp { port } | Self::Smtp { port } | Self::Imap { port } | Self::Pop3 { port } => *port,
            Self::Http(http) => http.port,
        }
    }
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

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The node does its work; the text says what was seen ("220 mx ESMTP", "status 200").
    Pass(String),
    /// It does not: the cause in HAProxy's spirit ("connection refused", "no banner in 5s", "banner \"554 ...\"").
    Fail(String),
    /// We could not ask (no route, no descriptors, no permission): says nothing of the node.
    Unknown(String),
}

impl Outcome {
    /// The word for the finding.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail(_) => "fail",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The text, whatever the finding.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass(text) | Self::Fail(text) | Self::Unknown(text) => text,
        }
    }
}
