//! What an answer is worth, and what BIND decided.

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::rdata::tsig::TsigError,
    serialize::binary::DecodeError,
};

use crate::{
    dns::OwnerName,
    tsig::{FUDGE, Key, KeyLabel, Signed, Unverified},
};

/// An answer that may be used.
#[derive(Debug)]
pub enum Answer {
    /// Signed with our key, of the right question and time: it may change a belief about the zone.
    Signed(Message),
    /// BIND does not accept our signature. Only [`TsigTrouble::BadTime`] is itself signed: the others may start a
    /// retry, never a belief.
    Tsig(TsigTrouble),
}

/// Why BIND does not accept our signature (RFC 8945 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TsigTrouble {
    /// BADKEY: the name or the algorithm is unknown.
    #[error(
        "an unsigned answer says that named does not know {0} (BADKEY): put the same `key` clause into named.conf, with this name and algorithm, and run `rndc reconfig`"
    )]
    BadKey(KeyLabel),
    /// BADSIG: the secret differs.
    #[error(
        "an unsigned answer says that named holds another secret for {0} (BADSIG): copy the `key` clause from one side to the other"
    )]
    BadSig(KeyLabel),
    /// BADTIME: the clocks differ by more than the fudge.
    #[error("{} (BADTIME; up to {FUDGE} s are accepted): set the clocks by NTP", ahead(*our_time, *server_time))]
    BadTime {
        /// BIND's clock, in seconds since 1970-01-01 UTC.
        server_time: u64,
        /// When we signed, by our clock.
        our_time: u64,
    },
}

fn ahead(ours: u64, servers: u64) -> String {
    let clock = if ours > servers { "our clock is" } else { "named's clock is" };
    let behind = if ours > servers { "named's" } else { "ours" };
    format!("{clock} {} s ahead of {behind}", ours.abs_diff(servers))
}

/// Bytes that are no answer to what was asked: the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum Garbage {
    /// Not a DNS message.
    #[error("the answer is not a DNS message")]
    Undecodable(#[source] DecodeError),
    /// A DNS message, but not an answer to this request.
    #[error("the answer belongs to another question")]
    OtherQuestion,
    /// No signature: anybody may have sent it. The connection is as good as before.
    #[error("the answer ({0}) is not signed")]
    Unsigned(String),
    /// A wrong signature.
    #[error("the answer's signature is not accepted")]
    Unverified(#[from] Unverified),
    /// Signed at a time too far from ours.
    #[error("the answer was signed {0} s away from our time")]
    Stale(u64),
}

/// Judges an answer. The TSIG error is read **before** the signature is verified: BADKEY and BADSIG answers carry none.
///
/// `asked` is the request, `signed` its signed form, and `now` our clock in seconds since 1970-01-01 UTC.
///
/// # Errors
/// [`Garbage`]: the bytes must change no belief.
pub fn judge(bytes: &[u8], asked: &Message, signed: &Signed, key: &Key, now: u64) -> Result<Answer, Garbage> {
    let answer = Message::from_vec(bytes).map_err(Garbage::Undecodable)?;
    // BIND leaves the question out of some refusals, never puts a wrong one in.
    let other_question = !answer.queries.is_empty() && answer.queries != asked.queries;
    if answer.message_type != MessageType::Response || answer.op_code != asked.op_code || other_question {
        return Err(Garbage::OtherQuestion);
    }
    let Some(signature) = answer.signature() else { return Err(Garbage::Unsigned(rcode(answer.response_code))) };
    match signature.data.error {
        Some(TsigError::BadKey) => return Ok(Answer::Tsig(TsigTrouble::BadKey(key.label().clone()))),
        Some(TsigError::BadSig) => return Ok(Answer::Tsig(TsigTrouble::BadSig(key.label().clone()))),
        _ => key.verify(bytes, &signed.mac)?,
    }
    if signature.data.error == Some(TsigError::BadTime) {
        let server_time = signature.data.other.iter().fold(0, |time: u64, byte| time << 8 | u64::from(*byte));
        return Ok(Answer::Tsig(TsigTrouble::BadTime { server_time, our_time: signed.time }));
    }
    let away = signature.data.time.abs_diff(now);
    if away > u64::from(FUDGE) {
        return Err(Garbage::Stale(away));
    }
    Ok(Answer::Signed(answer))
}

/// What BIND decided about an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// NOERROR. The record and whatever BIND did not silently drop are in the zone: read it back.
    Applied,
    /// A prerequisite does not hold: the zone is not as it was read. Nothing was changed.
    GuardFailed,
    /// REFUSED, nothing applied.
    Refused,
    /// NOTAUTH without a TSIG error: the zone is not served here.
    NotAuth,
    /// NOTZONE: a name outside the zone.
    NotZone,
    /// SERVFAIL, the message rolled back.
    ServFail,
    /// Any other code, by its mnemonic.
    Other(String),
    /// BIND does not accept our signature.
    Tsig(TsigTrouble),
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Tsig(trouble) => Self::Tsig(trouble),
            Answer::Signed(message) => match message.response_code {
                ResponseCode::NoError => Self::Applied,
                ResponseCode::NXDomain | ResponseCode::YXDomain | ResponseCode::NXRRSet | ResponseCode::YXRRSet => {
                    Self::GuardFailed
                }
                ResponseCode::Refused => Self::Refused,
                ResponseCode::NotAuth => Self::NotAuth,
                ResponseCode::NotZone => Self::NotZone,
                ResponseCode::ServFail => Self::ServFail,
                other => Self::Other(rcode(other)),
            },
        }
    }
}

impl Verdict {
    /// The mnemonic, for the journal's `RCODE`; for [`Verdict::Tsig`] the TSIG error.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Applied => "NOERROR",
            Self::GuardFailed => "NXRRSET",
            Self::Refused => "REFUSED",
            Self::NotAuth => "NOTAUTH",
            Self::NotZone => "NOTZONE",
            Self::ServFail => "SERVFAIL",
            Self::Other(code) => code,
            Self::Tsig(TsigTrouble::BadKey(_)) => "BADKEY",
            Self::Tsig(TsigTrouble::BadSig(_)) => "BADSIG",
            Self::Tsig(TsigTrouble::BadTime { .. }) => "BADTIME",
        }
    }

    /// The cause and the next step, for people.
    #[must_use]
    pub fn words(&self, zone: &OwnerName) -> String {
        match self {
            Self::Applied => "applied".into(),
            Self::GuardFailed => format!("another writer changed {zone} since it was read (NXRRSET); it is read again"),
            Self::Refused => format!(
                "named refuses the update (REFUSED) for one of seven causes: the key that signs (the first of the key file that named knows) is not allowed (`allow-update`), the \
                 zone has no `allow-update` or `update-policy`, the `update-policy` grants not all of the names and types, \
                 this server is a secondary of {zone}, the zone is frozen (`rndc thaw {zone}`), `check-names` refuses a \
                 name with addresses or MX that is no host name (\"_\"), or an exchange in the zone has no address \
                 (`check-integrity`) or lies below a DNAME; `rotad doctor` tells more, and named's log has the line"
            ),
            Self::NotAuth => format!(
                "named does not serve {zone} as primary (NOTAUTH): define the zone in named.conf, or correct `bind.server`"
            ),
            Self::NotZone => format!("a name lies outside {zone} (NOTZONE): correct the domain's `zone`"),
            Self::ServFail => {
                "named could not apply it (SERVFAIL) and changed nothing: its log has the cause, often a full disk, a \
                 directory in which it may not write the zone's journal (on Debian AppArmor lets it write below \
                 /var/lib/bind, not /etc/bind), or more records or types at a name than `max-records-per-type` or \
                 `max-types-per-name` allow"
                    .into()
            }
            Self::Other(code) => format!("named answers {code}; its log may have the cause"),
            Self::Tsig(trouble) => trouble.to_string(),
        }
    }
}

/// The mnemonic of RFC 1035 and RFC 2136.
pub(crate) fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::YXDomain => "YXDOMAIN".into(),
        ResponseCode::YXRRSet => "YXRRSET".into(),
        ResponseCode::NXRRSet => "NXRRSET".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        ResponseCode::NotZone => "NOTZONE".into(),
        other => format!("RCODE {}", u16::from(other)),
    }
}
