use super::*;
use crate::{dns::OwnerName, event::Level, io::clock, rota::model::id};

fn of_zone(kind: Kind, zone: &str, reason: &str) -> Event {
    Event::new(kind, format!("zone {zone}: {reason}")).zone(&OwnerName::parse(zone).unwrap()).reason(reason)
}

fn failing(zone: &str, reason: &str) -> Event {
    of_zone(Kind::ZoneFailing, zone, reason)
}

fn lines(events: Vec<Event>) -> Vec<String> {
    events.into_iter().map(|event| event.message).collect()
}

/// The kinds that last, and what ends each; every other kind is told each time.
const LASTING: &[(Kind, &[Kind])] = &[
    (Kind::Blind, &[Kind::BlindOver]),
    (Kind::PrimaryLost, &[Kind::PrimaryBack]),
    (Kind::KeysRefused, &[Kind::KeysAccepted]),
    (Kind::UpdatesUnsigned, &[Kind::UpdatesSigned]),
    (Kind::StateTrouble, &[Kind::StateSaved]),
    (Kind::ZoneFailing, &[Kind::ZoneRecovered, Kind::ZoneAdopted, Kind::ZoneForeign, Kind::ZoneStandby]),
    (Kind::ZoneForeign, &[Kind::ZoneRecovered, Kind::ZoneAdopted, Kind::ZoneFailing, Kind::ZoneStandby]),
    (Kind::ZoneStandby, &[Kind::ZoneRecovered, Kind::ZoneAdopted, Kind::ZoneFailing, Kind::ZoneForeign]),
    (Kind::CopyBehind, &[Kind::ZoneRecovered, Kind::ZoneAdopted]),
    (Kind::MessageStopped, &[Kind::ZoneRecovered, Kind::ZoneAdopted]),
];

#[test]
fn what_happens_is_told_each_time_and_what_lasts_until_it_ends() {
    let start = clock::now();
    let event = |kind| of_zone(kind, "a.org", "why");
    for kind in Kind::ALL.iter().copied() {
        let mut fold = Fold::default();
        let ends = LASTING.iter().find(|(lasting, _)| *lasting == kind).map(|(_, ends)| *ends);
        let Some(ends) = ends else {
            for _ in 0..3 {
                assert_eq!(fold.push(event(kind), start).len(), 1, "{kind:?}");
            }
            assert_eq!(fold.due(start + WINDOW), [], "{kind:?}");
            assert_eq!(fold.end(start + WINDOW), [], "{kind:?}");
            continue;
        };
        assert_ne!(kind.level(), Level::Info, "good news are never folded: {kind:?}");
        for other in Kind::ALL.iter().copied().filter(|other| *other != kind) {
            let mut fold = Fold::default();
            assert_eq!(fold.push(event(kind), start).len(), 1, "{kind:?}");
            assert_eq!(fold.push(event(kind), start).len(), 0, "{kind:?}");
            let told = fold.push(event(other), start).len();
            let is_end = ends.contains(&other);
            assert_eq!(told, if is_end { 2 } else { 1 }, "{kind:?} {other:?}");
            assert_eq!(fold.push(event(kind), start).len(), usize::from(is_end), "{kind:?} {other:?}");
        }
        for end in ends {
            let mut fold = Fold::default();
            fold.push(event(kind), start);
            fold.push(event(kind), start);
            fold.push(event(*end), start);
            assert_eq!(fold.end(start), [], "{kind:?} is over by {end:?}");
        }
    }
}

#[test]
fn what_people_do_is_told_each_time() {
    // An edit is held, taken back and saved again; another one is accepted; a set leaves the file, returns and leaves.
    let (mut fold, now) = (Fold::default(), clock::now());
    let accepted =
        |id: &str| Event::new(Kind::EditAccepted, format!("the edit {id} is accepted")).reason("12 of 12 RRsets");
    let left = || {
        let event = Event::new(Kind::LeftOver, "dom10.example MX is out of the file");
        event.zone(&OwnerName::parse("dom10.example").unwrap()).rrset(&id("dom10.example MX"))
    };
    let all = [
        Event::new(Kind::TooMuchChange, "this edit would change too much"),
        Event::new(Kind::ConfigLoaded, "the edit was taken back"),
        Event::new(Kind::TooMuchChange, "this edit would change too much"),
        accepted("one"),
        accepted("two"),
        left(),
        Event::new(Kind::ConfigLoaded, "read"),
        left(),
        Event::new(Kind::HoldBegun, "held: by ops").reason("work"),
        Event::new(Kind::HoldBegun, "held: by ops").reason("work"),
    ];
    for event in all {
        assert_eq!(fold.push(event.clone(), now), [event]);
    }
    assert_eq!(fold.end(now), []);
}

#[test]
fn at_the_end_what_holds_is_counted_and_nothing_else() {
    let (mut fold, now) = (Fold::default(), clock::now());
    let mut push = |event| fold.push(event, now).len();
    for (event, told) in [
        // One zone goes from one cause to another and back, another is right again, a third stays as it is.
        (failing("a.org", "REFUSED"), 1),
        (failing("a.org", "SERVFAIL"), 1),
        (failing("a.org", "REFUSED"), 0),
        (failing("a.org", "SERVFAIL"), 0),
        (failing("b.org", "REFUSED"), 1),
        (failing("b.org", "REFUSED"), 0),
        (of_zone(Kind::ZoneRecovered, "b.org", "in sync again"), 2),
        (failing("c.org", "REFUSED"), 1),
        (failing("c.org", "REFUSED"), 0),
    ] {
        assert_eq!(push(event.clone()), told, "{}", event.message);
    }
    let told = lines(fold.end(now + Duration::from_secs(48)));
    assert_eq!(told, ["zone a.org: SERVFAIL (once more in 48s)", "zone c.org: REFUSED (once more in 48s)"]);
}

#[test]
fn a_cause_that_is_told_unfolded_holds_in_place_of_those_before() {
    let (mut fold, now) = (Fold::default(), clock::now());
    for number in 0..REASONS {
        fold.push(failing("a.org", &number.to_string()), now);
        fold.push(failing("a.org", &number.to_string()), now);
    }
    assert_eq!(fold.push(failing("a.org", "one more"), now).len(), 1);
    assert_eq!(fold.end(now), []);
}

#[test]
fn f3_news_without_an_object_end_the_troubles_that_they_answer_and_no_others() {
    let start = clock::now();
    let mut fold = Fold::default();
    let lost = || Event::new(Kind::PrimaryLost, "BIND gives no answer").reason("refused");
    let blind = || Event::new(Kind::Blind, "blind").reason("3 of 3 nodes");
    for (event, told) in [
        (lost(), 1),
        (blind(), 1),
        (lost(), 0),
        (blind(), 0),
        (Event::new(Kind::ConfigLoaded, "read"), 1),
        (Event::new(Kind::FirstRound, "over"), 1),
        (lost(), 0),
        (blind(), 0),
        (Event::new(Kind::PrimaryBack, "BIND answers again"), 2),
        (lost(), 1),
        (blind(), 0),
    ] {
        let words = event.message.clone();
        assert_eq!(fold.push(event, start).len(), told, "{words}");
    }
}

#[test]
fn a_trouble_is_told_once_then_counted() {
    let (mut fold, start) = (Fold::default(), clock::now());
    assert_eq!(lines(fold.push(failing("a.org", "REFUSED"), start)), ["zone a.org: REFUSED"]);
    for second in 1..=57 {
        let now = start + Duration::from_secs(second * 5);
        assert!(fold.push(failing("a.org", "REFUSED"), now).is_empty());
        assert!(fold.due(now).is_empty());
    }
    let end = start + WINDOW;
    let told = fold.due(end);
    assert_eq!(told[0].zone.as_deref(), Some("a.org"));
    assert_eq!(lines(told), ["zone a.org: REFUSED (57 times in 5m)"]);
    assert!(fold.due(end + WINDOW).is_empty(), "a quiet window tells nothing");
    assert_eq!(fold.push(failing("a.org", "REFUSED"), end + WINDOW).len(), 1, "and the trouble is forgotten");
}

#[test]
fn another_zone_or_reason_is_news() {
    let (mut fold, now) = (Fold::default(), clock::now());
    for event in [failing("a.org", "REFUSED"), failing("b.org", "REFUSED"), failing("a.org", "SERVFAIL")] {
        assert_eq!(fold.push(event.clone(), now).len(), 1);
        assert!(fold.push(event, now).is_empty());
    }
}

#[test]
fn without_a_reason_the_line_tells_them_apart() {
    let (mut fold, now) = (Fold::default(), clock::now());
    for line in ["generation 7 is not shown", "generation 8 is not shown"] {
        assert_eq!(fold.push(Event::new(Kind::CopyBehind, line), now).len(), 1);
        assert!(fold.push(Event::new(Kind::CopyBehind, line), now).is_empty());
    }
}

#[test]
fn good_news_of_the_object_ends_the_folding() {
    let (mut fold, start) = (Fold::default(), clock::now());
    for zone in ["a.org", "a.org", "b.org", "b.org"] {
        fold.push(failing(zone, "REFUSED"), start);
    }
    let good = of_zone(Kind::ZoneRecovered, "a.org", "right again");
    let told = lines(fold.push(good, start + Duration::from_secs(61)));
    assert_eq!(told, ["zone a.org: REFUSED (once more in 1m 1s)", "zone a.org: right again"]);
    assert_eq!(fold.push(failing("a.org", "REFUSED"), start).len(), 1);
    assert!(fold.push(failing("b.org", "REFUSED"), start).is_empty());
}

#[test]
fn memory_is_bounded() {
    let (mut fold, now) = (Fold::default(), clock::now());
    for number in 0..1_000 {
        assert_eq!(fold.push(failing("a.org", &number.to_string()), now).len(), 1);
    }
    assert_eq!(fold.troubles.values().map(BTreeMap::len).sum::<usize>(), REASONS);
    assert_eq!(fold.push(failing("a.org", "999"), now).len(), 1, "told, not swallowed");
    fold.due(now + WINDOW);
    assert!(fold.troubles.is_empty());
}
