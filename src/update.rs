//! Messages to BIND and what its answers mean: RFC 2136 updates, the generation record that guards them, verdicts.
//!
//! Every update requires the generation record as it was last read and replaces it in the same message, so that a
//! message which arrives late, twice, or from a rival fails at BIND and changes nothing.

mod generation;
mod message;
mod occlusion;
mod question;
mod reading;
mod survey;
#[cfg(test)]
mod tests;
mod transfer;
mod verdict;

pub(crate) use self::verdict::rcode;
pub use self::{
    generation::{GenerationRecord, GenerationRrset, Txt},
    message::{Unencodable, Update, in_safe_order},
    occlusion::Occlusion,
    question::{Role, permission_query, role_of, role_query, time_signed, trial_query},
    reading::{Reading, Soa, Unusable, any_query, soa_of, soa_query},
    survey::{AnyAnswer, Findings, Survey, any_answer},
    transfer::{
        asks_for_all, is_transfer, is_whole, leave_out_subzone, possible_subzones, transfer_query, transferred,
    },
    verdict::{Answer, Garbage, TsigTrouble, Verdict, judge},
};
