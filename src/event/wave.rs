//! Waves: what befalls many zones at once, for one cause, is told in one line.
//!
//! A key that BIND does not allow, a server that was replaced, domains that left the file: each strikes zone by zone, and
//! hundreds of equal lines hide the one that differs. Hence such an event waits a moment for others like it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Event, Kind};
use crate::text;

/// A wave is over when nothing has come for this long.
pub const QUIET: Duration = Duration::from_millis(500);
/// But nothing waits for longer than this.
pub const LONGEST: Duration = Duration::from_secs(5);

/// Waves at a time: with more, what happens to the zones is not one trouble.
const WAVES: usize = 32;

/// Events that wait for others like them.
#[derive(Debug, Default)]
pub struct Waves(Vec<Wave>);

#[derive(Debug)]
struct Wave {
    /// The first event.
    first: Event,
    /// What it says, whatever its zone.
    says: String,
    zones: BTreeSet<String>,
    begun: Instant,
    last: Instant,
}

/// Whether events of a kind are about a zone as a whole, and may befall many.
const fn gathers(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::CopyBehind
            | Kind::LeftOver
            | Kind::RrsetForeign
            | Kind::TtlLimited
            | Kind::ZoneFailing
            | Kind::ZoneForeign
            | Kind::ZoneRecovered
            | Kind::ZoneStandby
    )
}

impl Waves {
    /// Takes an event; what is to be told now, in order. What a zone was told of before is told before it.
    pub fn push(&mut self, event: Event, now: Instant) -> Vec<Event> {
        let Some(zone) = event.zone.clone() else { return vec![event] };
        if !gathers(event.kind) {
            let mut told = self.take(|wave| wave.zones.contains(&zone));
            told.push(event);
            return told;
        }
        let says = text::general(&event.message, &zone);
        let is_alike = |wave: &Wave| {
            let like = |event: &Event| (event.kind, event.rcode.clone(), event.rrtype);
            wave.says == says && like(&wave.first) == like(&event)
        };
        let mut told = self.take(|wave| wave.zones.contains(&zone) && !is_alike(wave));
        if let Some(wave) = self.0.iter_mut().find(|wave| is_alike(wave)) {
            wave.last = now;
            wave.zones.insert(zone);
            return told;
        }
        if self.0.len() >= WAVES {
            told.extend(self.end());
        }
        self.0.push(Wave { first: event, says, zones: [zone].into(), begun: now, last: now });
        told
    }

    /// When something is to be told although nothing more comes.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.0.iter().map(Wave::ends).min()
    }

    /// The waves that are over.
    pub fn due(&mut self, now: Instant) -> Vec<Event> {
        self.take(|wave| wave.ends() <= now)
    }

    /// All of them.
    pub fn end(&mut self) -> Vec<Event> {
        self.take(|_| true)
    }

    fn take(&mut self, mut is_over: impl FnMut(&Wave) -> bool) -> Vec<Event> {
        self.0.extract_if(.., |wave| is_over(wave)).map(Wave::told).collect()
    }
}

impl Wave {
    fn ends(&self) -> Instant {
        (self.last + QUIET).min(self.begun + LONGEST)
    }

    fn told(self) -> Event {
        let Self { first, says, zones, .. } = self;
        if zones.len() == 1 {
            return first;
        }
        let names: Vec<_> = zones.iter().map(String::as_str).collect();
        let words = says.strip_prefix("ZONE: ").unwrap_or(&says);
        let reason = first.reason.as_deref().zip(first.zone.as_deref()).map(|(words, zone)| text::general(words, zone));
        let message = format!("{}: {words}", text::zones(&names));
        Event { message, reason, zone: None, owner: None, ..first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dns::OwnerName, io::clock};

    fn event(kind: Kind, zone: &str, words: &str) -> Event {
        let words = words.replace("ZONE", zone);
        let event = Event::new(kind, format!("{zone}: {words}")).zone(&OwnerName::parse(zone).unwrap());
        event.reason(words)
    }

    fn lines(events: Vec<Event>) -> Vec<String> {
        events.into_iter().map(|event| event.message).collect()
    }

    const REFUSED: &str = "named refuses the update (REFUSED): `rndc thaw ZONE`";

    #[test]
    fn one_trouble_of_many_zones_is_one_line_with_their_number_and_the_first_names() {
        let (mut waves, start) = (Waves::default(), clock::now());
        let zones = ["a.org", "b.org", "c.org", "d.org", "e.org"];
        for (at, zone) in zones.iter().enumerate() {
            let now = start + Duration::from_millis(100 * at as u64);
            assert!(waves.push(event(Kind::ZoneFailing, zone, REFUSED).rcode("REFUSED"), now).is_empty());
            assert!(waves.due(now).is_empty());
        }
        assert!(waves.push(event(Kind::ZoneFailing, "f.org", "not served"), start).is_empty());
        assert_eq!(waves.wake_at(), Some(start + QUIET));
        let told = waves.due(start + 2 * QUIET);
        assert_eq!((told[0].zone.as_deref(), told[0].rcode.as_deref()), (None, Some("REFUSED")));
        assert_eq!(told[0].reason.as_deref(), Some(REFUSED));
        let many = "5 zones (a.org, b.org, c.org, ...): named refuses the update (REFUSED): `rndc thaw ZONE`";
        // One alone is told as it came.
        assert_eq!(told[1], event(Kind::ZoneFailing, "f.org", "not served"));
        assert_eq!(lines(told), [many, "f.org: not served"]);
        assert_eq!((waves.wake_at(), waves.end().len()), (None, 0));
    }

    #[test]
    fn nothing_waits_for_ever_and_what_comes_later_is_told_later() {
        let (mut waves, start) = (Waves::default(), clock::now());
        for at in 0..20 {
            let now = start + Duration::from_millis(250 * at);
            assert!(waves.push(event(Kind::LeftOver, &format!("z{at}.org"), "stays"), now).is_empty());
        }
        assert_eq!(lines(waves.due(start + LONGEST)), ["20 zones (z0.org, z1.org, z10.org, ...): stays"]);
        // News of a zone come after what was told of it before.
        waves.push(event(Kind::ZoneFailing, "a.org", REFUSED), start);
        waves.push(event(Kind::ZoneFailing, "b.org", REFUSED), start);
        let told = waves.push(event(Kind::ZoneRecovered, "a.org", "in sync again"), start);
        assert_eq!(lines(told), ["2 zones (a.org, b.org): named refuses the update (REFUSED): `rndc thaw ZONE`"]);
        let told = lines(waves.push(event(Kind::Published, "a.org", "now"), start));
        assert_eq!(told, ["a.org: in sync again", "a.org: now"]);
        // What is of no zone is not held up.
        let lost = Event::new(Kind::PrimaryLost, "BIND gives no answer");
        assert_eq!(waves.push(lost.clone(), start), [lost]);
        waves.push(event(Kind::ZoneStandby, "c.org", "stands by"), start);
        assert_eq!(lines(waves.end()), ["c.org: stands by"]);
        // Hundreds of troubles are not held up to be counted.
        let told =
            (0..300).map(|at| waves.push(event(Kind::ZoneFailing, "d.org", &format!("trouble {at}")), start).len());
        assert_eq!(told.sum::<usize>() + waves.end().len(), 300);
        let told = (0..300).map(|at| {
            waves.push(event(Kind::ZoneFailing, &format!("d{at}.org"), &format!("trouble {at}")), start).len()
        });
        assert_eq!(told.sum::<usize>(), 300 - 300 % WAVES);
    }
}
