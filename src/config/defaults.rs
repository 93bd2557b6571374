//! What holds where the file says nothing, each with its reason, and the ranges of what it may say.
//!
//! `etc/cluster.yaml` shows every one of these; a test holds the two together.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use hickory_proto::{op::ResponseCode, rr::RecordType};

use crate::{
    check::http::Method,
    cluster::{AllDown, Bind, KeySource, LeftOvers, Safety, Share, WhenDown},
    dns::Ttl,
    flap,
};

/// rotad runs beside BIND.
pub(super) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT);
/// RFC 1035 section 4.2.
pub(super) const DNS_PORT: u16 = 53;
/// Far above what a loaded BIND takes (tens of milliseconds), well below a check's patience.
pub(super) const BIND_TIMEOUT: Duration = Duration::from_secs(5);
/// BIND serves one TCP connection strictly serially; four gave twice the updates of one, eight no more (measured).
pub(super) const CONNECTIONS: usize = 4;
/// More connections than this take BIND's `tcp-clients` (150) from others.
pub(super) const CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=64;
/// A third of BIND's `update-quota`, so that others can update too.
pub(super) const MAX_IN_FLIGHT: usize = 32;
/// BIND's `update-quota` is 100.
pub(super) const MAX_IN_FLIGHT_RANGE: RangeInclusive<usize> = 1..=90;
/// md5 and sha1 keys are for BINDs that know nothing better.
pub(super) const ALLOW_WEAK_KEYS: bool = false;

/// The primary, but for the key, which has no default.
pub(super) const BIND: Bind = Bind {
    server: SERVER,
    key: KeySource::Credential(String::new()),
    timeout: BIND_TIMEOUT,
    connections: CONNECTIONS,
    max_in_flight: MAX_IN_FLIGHT,
    allow_weak_keys: ALLOW_WEAK_KEYS,
};

/// One rota a primary is the ordinary case, and needs no name.
pub(super) const CLUSTER: &str = "rotad";
/// A minute: resolvers let go of a dead node about as fast as it is found.
pub(super) const TTL: Ttl = Ttl(60);
/// `StateDirectory=rotad` of the unit.
pub(super) const STATE_DIR: &str = "/var/lib/rotad";
/// `RuntimeDirectory=rotad` of the unit.
pub(super) const STATUS_SOCKET: &str = "/run/rotad/status.sock";

/// A dead node is found within half a minute, and a mail server hardly notices the question.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// In doubt the answer is worth more than the quiet.
pub(super) const FAST_INTERVAL: Duration = Duration::from_secs(2);
/// A loaded mail server may take seconds; longer is no service.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Postfix's postscreen lets a stranger wait for 6 s; who goes before that has to wait again the next time.
pub(super) const SMTP_TIMEOUT: Duration = Duration::from_secs(8);
/// Below this a probe is an attack, above this it is no watching.
pub(super) const INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(24);
/// A node that comes back has proved it a few times.
pub(super) const RISE: u32 = 3;
/// One lost packet is no death.
pub(super) const FALL: u32 = 3;
/// More would take hours to decide.
pub(super) const COUNT_RANGE: RangeInclusive<u32> = 1..=100;
/// Half of what Let's Encrypt's clients leave when they renew: so late, the renewal has failed.
pub(super) const TLS_MIN_DAYS: u16 = 14;
/// Ten years are for ever here; 0 never warns.
pub(super) const TLS_MIN_DAYS_RANGE: RangeInclusive<u16> = 0..=3_650;
/// Clients verify too.
pub(super) const TLS_VERIFY: bool = true;
/// What browsers send.
pub(super) const HTTP_METHOD: Method = Method::Get;
/// The question that servers are asked most.
pub(super) const DNS_RRTYPE: RecordType = RecordType::A;
/// With records or without: the server knows.
pub(super) const DNS_RCODE: ResponseCode = ResponseCode::NoError;
/// Enough for probes of one interval to drift apart.
pub(super) const JITTER: u8 = 10;
/// Above a half a probe could come nearer to the one before than to its own time.
pub(super) const JITTER_RANGE: RangeInclusive<u8> = 0..=50;
/// A flapping node is out for minutes after ten flaps, and hardly after one.
pub(super) const FLAP_HOLD: Duration = Duration::from_secs(30);
/// The longest wait ends the range: see [`flap`](crate::flap).
pub(super) const FLAP_HOLD_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=flap::LONGEST;
/// What a web server answers when it works.
pub(super) const HTTP_STATUS: u16 = 200;
/// The front page.
pub(super) const HTTP_PATH: &str = "/";

/// The preference of nearly every MX record in the world.
pub(super) const PREFERENCE: u16 = 10;

/// The rails.
pub(super) const SAFETY: Safety = Safety {
    // What was published is the last that worked.
    all_down: AllDown::Hold,
    // A fixed start for a file whose checks are slow: three default intervals and their timeouts, doubled.
    first_round: Duration::from_mins(1),
    // Every node at once is more likely our own network.
    blind_share: 100,
    // One default interval: the checks of all nodes come round once.
    blind_within: Duration::from_secs(10),
    references: Vec::new(),
    // A slip of the editor changes more, an ordinary edit less.
    max_change: 30,
    // It follows from the checks.
    settle: None,
    left_over: LeftOvers::Keep,
};
/// One healthy node is a service.
pub(super) const MIN_HEALTHY: Share = Share::Count(1);
/// Bookmarked host names keep working.
pub(super) const WHEN_DOWN: WhenDown = WhenDown::Repoint;
