//! Whose fault an error is. What our own system says at once is about us; what comes later came over the network.
//!
//! The same number means both: EACCES from `connect` is a local firewall or sandbox, EACCES from `SO_ERROR` is an `ICMPv6`
//! message of a router that lets nobody through to the node. Only the moment tells them apart.

use std::io;

use rustix::io::Errno;

use crate::check::Outcome;

/// What a call says that found no time to ask anybody: `socket`, `bind`, `connect` itself, the first `send` of a
/// datagram. A refusal or a reset is the peer's all the same: on loopback the answer is there before the call returns.
pub(super) fn at_once(error: &io::Error) -> Outcome {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE | Errno::TIMEDOUT) => {
            from_network(error)
        }
        Some(Errno::NETUNREACH) => Outcome::Unknown("network unreachable from here".to_owned()),
        Some(Errno::HOSTUNREACH) => Outcome::Unknown("host unreachable from here; a local route forbids it".to_owned()),
        Some(Errno::ADDRNOTAVAIL) => Outcome::Unknown("no local address or port to ask from".to_owned()),
        Some(Errno::PERM | Errno::ACCESS) => {
            Outcome::Unknown("not permitted here; a local firewall or sandbox forbids it".to_owned())
        }
        _ => lack(error).unwrap_or_else(|| Outcome::Unknown(format!("cannot ask: {error}"))),
    }
}

/// What is told of a connection or a datagram that was under way: by the peer itself, or by an ICMP message of a
/// machine before it. What we lack here can still be the cause.
pub(super) fn from_network(error: &io::Error) -> Outcome {
    let cause = match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => "connection refused",
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => "connection reset",
        Some(Errno::TIMEDOUT) => "connection timed out",
        Some(Errno::HOSTUNREACH) => "no route to host",
        Some(Errno::NETUNREACH) => "network unreachable, says a router on the way",
        Some(Errno::PERM | Errno::ACCESS) => "prohibited, says a router or firewall on the way",
        Some(Errno::HOSTDOWN) => "host is down",
        Some(Errno::NONET) => "host is isolated, says a router on the way",
        Some(Errno::NOPROTOOPT | Errno::OPNOTSUPP) => "protocol unreachable, says the node or a router on the way",
        _ => return lack(error).unwrap_or_else(|| Outcome::Fail(format!("connection broken: {error}"))),
    };
    Outcome::Fail(cause.to_owned())
}

/// Something that this host has not got, whenever it turns out.
fn lack(error: &io::Error) -> Option<Outcome> {
    let words = match Errno::from_io_error(error)? {
        Errno::MFILE | Errno::NFILE => "too many open files here; raise LimitNOFILE",
        Errno::NOBUFS | Errno::NOMEM => "no memory for it here",
        _ => return None,
    };
    Some(Outcome::Unknown(words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LACKING: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];

    #[test]
    fn what_the_system_says_at_once_says_nothing_of_the_node() {
        let about_us = [
            Errno::NETUNREACH,
            Errno::HOSTUNREACH,
            Errno::ADDRNOTAVAIL,
            Errno::PERM,
            Errno::ACCESS,
            Errno::AFNOSUPPORT,
            Errno::INVAL,
        ];
        for errno in about_us.into_iter().chain(LACKING) {
            assert!(matches!(at_once(&errno.into()), Outcome::Unknown(_)), "{errno}");
        }
        assert_eq!(at_once(&Errno::NETUNREACH.into()), Outcome::Unknown("network unreachable from here".into()));
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::TIMEDOUT] {
            assert!(matches!(at_once(&errno.into()), Outcome::Fail(_)), "{errno}");
        }
    }

    #[test]
    fn what_the_network_brings_back_is_a_failure_of_the_node() {
        for (errno, words) in [
            (Errno::CONNREFUSED, "connection refused"),
            (Errno::CONNRESET, "connection reset"),
            (Errno::PIPE, "connection reset"),
            (Errno::TIMEDOUT, "connection timed out"),
            (Errno::HOSTUNREACH, "no route to host"),
            (Errno::NETUNREACH, "network unreachable, says a router on the way"),
            (Errno::ACCESS, "prohibited, says a router or firewall on the way"),
            (Errno::PERM, "prohibited, says a router or firewall on the way"),
            (Errno::HOSTDOWN, "host is down"),
            (Errno::NONET, "host is isolated, says a router on the way"),
            (Errno::NOPROTOOPT, "protocol unreachable, says the node or a router on the way"),
            (Errno::PROTO, "connection broken: Protocol error (os error 71)"),
            (Errno::MSGSIZE, "connection broken: Message too long (os error 90)"),
        ] {
            assert_eq!(from_network(&errno.into()), Outcome::Fail(words.to_owned()));
        }
        for errno in LACKING {
            assert!(matches!(from_network(&errno.into()), Outcome::Unknown(_)), "{errno}");
        }
    }
}
