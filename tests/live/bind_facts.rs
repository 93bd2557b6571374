//! What BIND really answers, asked through our own messages: a newer BIND that answers otherwise is noticed here.
//!
//! `updates` has the answers to an UPDATE, `order` what loss, replay and rivalry do, `reads` how a zone is read,
//! `transfers` how it is read as a whole, `hidden` what stands between a zone and what it holds.

pub mod hidden;
mod order;
mod reads;
mod transfers;
mod updates;

use hickory_proto::{
    op::{Message, Query},
    rr::{DNSClass, Name, RecordType},
};
use rotad::{
    dns::{OwnerName, Rdata, RrType, Rrset, RrsetId, Ttl},
    io::primary::{Lost, Primary},
    plan::Change,
    update::{GenerationRecord, GenerationRrset, Update, Verdict},
};

use crate::support::named::{Named, VERSION, exchange};

const ZONE: &str = "example.org";

fn name(text: &str) -> OwnerName {
    OwnerName::from_presentation(text)
}

fn record(generation: u64) -> GenerationRecord {
    GenerationRecord { cluster: "mail".into(), owner: "test".into(), generation }
}

fn data(rtype: RrType, text: &str) -> Rdata {
    match rtype {
        RrType::A => Rdata::A(text.parse().unwrap()),
        RrType::Aaaa => Rdata::Aaaa(text.parse().unwrap()),
        RrType::Mx => Rdata::Mx { preference: 10, exchange: name(text) },
        RrType::Cname => Rdata::Cname(name(text)),
    }
}

fn rrset(rtype: RrType, ttl: u32, texts: &[&str]) -> Rrset {
    Rrset { ttl: Ttl(ttl), rdata: texts.iter().map(|text| data(rtype, text)).collect() }
}

/// Sets an `RRset`; nothing in it deletes it.
fn set(owner: &str, rtype: RrType, texts: &[&str]) -> Change {
    let after = (!texts.is_empty()).then(|| rrset(rtype, 60, texts));
    Change { id: RrsetId { owner: name(owner), rtype }, before: None, after }
}

/// One writer of one zone, who holds the lock.
struct Writer {
    primary: Primary,
    zone: OwnerName,
    guard: GenerationRrset,
    generation: u64,
}

impl Writer {
    fn new(primary: Primary, zone: &str) -> Self {
        Self { primary, zone: name(zone), guard: GenerationRrset::Absent, generation: 0 }
    }

    fn update(&self, changes: &[Change]) -> Update {
        Update {
            is_last: false,
            zone: self.zone.clone(),
            guard: self.guard.clone(),
            record: record(self.generation + 1),
            changes: changes.to_vec(),
            exact: false,
        }
    }

    async fn try_push(&mut self, changes: &[Change]) -> Result<Verdict, Lost> {
        let update = self.update(changes);
        let verdict = self.primary.update_unchecked(&update).await?;
        if verdict == Verdict::Applied {
            self.took(&update);
        }
        Ok(verdict)
    }

    /// BIND has applied it.
    fn took(&mut self, update: &Update) {
        self.guard = (&update.record).into();
        self.generation += 1;
    }

    async fn push(&mut self, changes: &[Change]) -> Verdict {
        self.try_push(changes).await.expect("an answer")
    }

    /// Pushes without a step of the generation, so that the serial shows what the changes alone do.
    async fn push_in_place(&self, changes: &[Change]) -> Verdict {
        let record = record(self.generation);
        self.primary.update_unchecked(&Update { record, ..self.update(changes) }).await.expect("an answer")
    }

    /// The permission probe.
    async fn probe(&self, changes: &[Change]) -> Verdict {
        let ids: Vec<_> = changes.iter().map(|change| change.id.clone()).collect();
        self.primary.permission(&self.zone, true, &ids).await.expect("an answer")
    }
}

/// `$ROTAD_TEST_BIND_VERSION` is the series that whoever started the tests meant: "9.20".
#[test]
fn the_bind_that_was_asked_for_answers() {
    let named = Named::with_zone(ZONE);
    let mut question = Query::query(Name::from_ascii("version.bind.").unwrap(), RecordType::TXT);
    question.set_query_class(DNSClass::CH);
    let mut message = Message::query();
    message.add_query(question);
    let answer = exchange(named.address(), &message.to_vec().unwrap()).unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.answers.first().map(|record| record.data.to_string()).as_ref(), Some(&*VERSION), "{answer}");
    if let Ok(asked) = std::env::var("ROTAD_TEST_BIND_VERSION") {
        assert!(VERSION.starts_with(&format!("{asked}.")), "{} instead of {asked}", *VERSION);
    }
}
