//! Messages to BIND and what its answers mean: RFC 2136 updates, the generation record that guards them, verdicts.
//!
//! Every update requires the generation record as it was last read and replaces it in the same message, so that a
//! message which arrives late, twice, or from a rival fails at BIND and changes nothing.

mod generation;
mod message;
mod question;
mod reading;
#[cfg(test)]
mod tests;
mod transfer;
mod verdict;

pub(crate) use self::verdict::rcode;
pub use self::{
    generation::{GenerationRecord, GenerationRrset, Txt},
    message::{Unencodable, Update, in_safe_order},
    question::{Role, permission_query, role_of, role_query, time_signed},
    reading::{
        Reading, Soa, Unusable, any_query, below, generation_of, generation_query, holds_anything, rrsets_of, soa_of,
        soa_query, wildcards,
    },
    transfer::{is_transfer, is_whole, transfer_query, transferred},
    verdict::{Answer, Garbage, TsigTrouble, Verdict, judge},
};
