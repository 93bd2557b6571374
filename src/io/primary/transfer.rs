//! A zone's first reading, by a transfer where BIND gives one.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use hickory_proto::op::ResponseCode;

use super::{Primary, ReadError};
use crate::{
    dns::OwnerName,
    update::{Answer, Reading, is_whole, leave_out_subzone, possible_subzones, soa_query, transfer_query, transferred},
};

/// Transfers whose beginning is awaited, of the ten that BIND serves at a time (`transfers-out`): secondaries are to find
/// room. More gain nothing (measured).
pub(super) const TRANSFERS: usize = 2;

/// After so many zones that are too large to come in one message, no more are asked for: little is gained there, and a
/// connection must keep ids enough.
pub(super) const LARGE_ZONES: usize = 100;

impl Primary {
    /// Reads what [`Primary::read`] reads, by a transfer if BIND is on this machine and gives one: a question for each name costs BIND far more,
    /// for it signs every answer (measured with six names: 0.2 ms of CPU, and 0.9 ms). Each time BIND logs two lines, so this
    /// is for zones that were not read before. `domains`: those of the owners that are domains of the file.
    ///
    /// # Errors
    /// [`ReadError`]: nothing is known of the zone.
    pub async fn first_read(
        &self,
        zone: &OwnerName,
        owners: &BTreeSet<OwnerName>,
        domains: &[OwnerName],
    ) -> Result<Reading, ReadError> {
        match self.transfer(zone, owners, domains).await? {
            Some(reading) => Ok(reading),
            None => self.read(zone, owners).await,
        }
    }

    /// `None`: ask for each name.
    async fn transfer(
        &self,
        zone: &OwnerName,
        owners: &BTreeSet<OwnerName>,
        domains: &[OwnerName],
    ) -> Result<Option<Reading>, ReadError> {
        let ring = self.keys.borrow().clone();
        if ring.transfers.is_closed() {
            return Ok(None);
        }
        // Whether the zone is served here, and whether we may read it, a transfer does not tell: `allow-query` does not
        // count there.
        self.soa(zone).await?;
        let answer = match self.exchange(zone, transfer_query(zone)?.into(), &ring.transfers).await {
            Ok((Answer::Signed(answer), _)) => answer,
            Ok((Answer::Tsig(trouble), _)) => return Err(trouble.into()),
            Err(_) if ring.transfers.is_closed() => return Ok(None),
            Err(lost) if !lost.sent => return Err(lost.into()),
            // One of the records has a form that is not known here, or BIND has ended, or something between does not bear
            // it: names are asked for from now on, which always works.
            Err(_) => {
                ring.transfers.close();
                return Ok(None);
            }
        };
        let is_useful = match answer.response_code {
            ResponseCode::NoError if is_whole(&answer) => true,
            ResponseCode::NoError => ring.large.fetch_add(1, Ordering::Relaxed) + 1 < LARGE_ZONES,
            // `transfers-out` is used up.
            ResponseCode::ServFail => true,
            _ => false,
        };
        if !is_useful {
            ring.transfers.close();
        }
        let Some(mut reading) = transferred(zone, owners, &answer) else { return Ok(None) };
        let subzones = possible_subzones(zone, owners, domains, &reading);
        if !subzones.is_empty() {
            let questions = subzones.iter().map(soa_query).collect::<Result<_, _>>()?;
            for (at, answer) in subzones.iter().zip(self.ask_all(zone, questions).await?) {
                leave_out_subzone(&mut reading, owners, at, &answer);
            }
        }
        Ok(Some(reading))
    }
}
