use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    control::Command,
    rota::{
        Reply,
        model::{World, cluster, imap_and_pop, name},
    },
    update::Txt,
};

const DOMAINS: [&str; 4] = ["a.test", "b.test", "c.example.org", "d.example.org"];

/// Two foreign zones, one on standby, and one of ours with two sets of strangers.
fn world() -> World {
    let mut world = World::new(&imap_and_pop(1, DOMAINS));
    let record = |owner: &str| Txt(vec![format!("v=1 cluster=mail owner={owner} generation=7").into_bytes()]);
    world.zone("a.test").edit("imap.a.test A", "60 203.0.113.1");
    world.zone("c.example.org").edit("imap.c.example.org A", "60 203.0.113.1");
    world.zone("b.test").generation = [record("them")].into();
    world.zone("d.example.org").generation = [record("us")].into();
    world.zone("d.example.org").edit("imap.d.example.org A", "60 203.0.113.7");
    world.zone("d.example.org").edit("pop.d.example.org A", "60 203.0.113.8");
    world.run();
    world
}

fn adopt(world: &mut World, words: &[&str]) -> (bool, String) {
    let clocks = world.clocks();
    let what = words.iter().map(|word| (*word).to_owned()).collect();
    let (Reply::Now(answer), _) = world.us().rota.obey(Command::Adopt { what }, clocks) else { panic!("it waits") };
    world.pass(Duration::from_mins(2));
    (answer.done, answer.words)
}

fn left(world: &mut World) -> Vec<String> {
    let zones = world.us().rota.zones();
    let whole = zones.iter().filter(|(_, zone)| is_takeable(zone)).map(|(name, _)| name.to_string());
    let sets = zones.values().flat_map(|zone| zone.foreign().keys()).map(ToString::to_string);
    whole.chain(sets).collect()
}

#[test]
fn several_are_taken_over_at_once_by_zone_pattern_and_name() {
    let all = ["a.test", "b.test", "c.example.org", "imap.d.example.org A", "pop.d.example.org A"];
    for (words, taken) in [
        (&["a.test", "B.test."][..], &["a.test", "b.test"][..]),
        (&["*"], &all),
        (&["*.test"], &["a.test", "b.test"]),
        (&["*.example.org"], &["c.example.org", "imap.d.example.org A", "pop.d.example.org A"]),
        (&["imap.d.example.org"], &["imap.d.example.org A"]),
        (&["IMAP.d.example.org", "a", "a.test"], &["a.test", "imap.d.example.org A"]),
        (&["d.example.org"], &["imap.d.example.org A", "pop.d.example.org A"]),
        (&["pop.*", "A"], &["pop.d.example.org A"]),
    ] {
        let mut world = world();
        assert_eq!(left(&mut world), all);
        let (done, told) = adopt(&mut world, words);
        assert!(done, "{told}");
        let rest: Vec<_> = all.iter().filter(|one| !taken.contains(one)).map(|one| (*one).to_owned()).collect();
        assert_eq!(left(&mut world), rest, "{words:?}: {told}");
        assert_eq!(told.lines().filter(|line| line.contains(": is taken over, ")).count(), taken.len(), "{told}");
    }
}

#[test]
fn the_difference_is_shown_before_what_became_of_it() {
    let mut world = world();
    assert_eq!(
        adopt(&mut world, &["pop.d.example.org", "A"]).1,
        "- pop.d.example.org. 60 IN A 203.0.113.8\n+ pop.d.example.org. 60 IN A 192.0.2.10\npop.d.example.org A: is taken over, held 203.0.113.8"
    );
    let (_, told) = adopt(&mut world, &["a.test"]);
    assert!(told.starts_with("- imap.a.test. 60 IN A 203.0.113.1\n+ imap.a.test. 60 IN A 192.0.2.10\n"), "{told}");
    assert!(told.ends_with("a.test: is taken over, was foreign"), "{told}");
}

#[test]
fn what_is_refused_is_told_beside_what_is_done() {
    let mut world = world();
    for (words, part) in [
        (&["nowhere.net"][..], "is no zone of the file in force"),
        (&["imap.a.test"], "a.test, which is foreign as a whole: run `rotad adopt a.test`"),
        (&["imap.d.example.org", "MX"], "there is nothing to take over"),
        (&["*.net"], "nothing that is foreign or on standby fits"),
        (&["no name"], "is no zone and no name"),
        (&["A"], "is no zone of the file in force"),
    ] {
        let (done, told) = adopt(&mut world, words);
        assert!(!done && told.contains(part), "{words:?}: {told}");
    }
    let (done, told) = adopt(&mut world, &["a.test", "nowhere.net", "b.test"]);
    assert!(
        !done && told.contains("a.test: is taken over, was foreign") && told.contains("b.test: is taken over"),
        "{told}"
    );
    assert!(told.ends_with("nowhere.net is no zone of the file in force; `rotad status --json` lists them"), "{told}");
    assert!(!left(&mut world).iter().any(|one| one == "a.test" || one == "b.test"));
    let (done, told) = adopt(&mut world, &["a.test"]);
    assert!(!done && told.contains("a.test is in_sync"), "{told}");
    assert_eq!(world.zone("a.test").get("imap.a.test A"), "192.0.2.10");
}

#[test]
fn a_pattern_says_of_a_spent_zone_that_nobody_can_take_it() {
    let mut world = world();
    let spent = format!("v=1 cluster=mail owner=us generation={}", u64::MAX).into_bytes();
    world.zone("a.test").generation = [Txt(vec![spent])].into();
    world.us().rota.read_all();
    world.run();
    for words in [&["*"][..], &["a*"], &["a.test"]] {
        let (done, told) = adopt(&mut world, words);
        assert!(!done && told.contains("a.test: the generation at _rotad.a.test is "), "{words:?}: {told}");
    }
    assert_eq!(world.us().state("b.test"), ZoneState::InSync, "the others are taken over all the same");
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, fits) in [
        ("*", "a.test", true),
        ("*.test", "a.test", true),
        ("*.test", "test", false),
        ("a*b*c", "axxbyybzc", true),
        ("a*b*c", "axxbyybz", false),
        ("**", "", true),
        ("", "", true),
        ("a", "", false),
        ("a.test", "a.test", true),
        ("a.test", "a.tes", false),
        ("*aab", "aaaab", true),
    ] {
        assert_eq!(text::fits(pattern, text), fits, "{pattern} {text}");
    }
    assert!(Selection { text: "*.Example.ORG.", rtype: None }.means(&name("d.example.org")));
}

/// A record at the generation record's name, and the generation that it tells if it is of its form.
fn any_record() -> impl Strategy<Value = (Txt, Option<u64>)> {
    let words =
        ["", "web", "Mail", "a b", "a\nb", "\t", "a\u{a0}b", "a\u{2028}", "\u{1b}[31m", "owner=", "é", "x=1", "\0"];
    let numbers =
        ["", "0", "1", "7", "41", "007", "+7", "-1", "7 ", "9x", "18446744073709551615", "18446744073709551616"];
    let gaps = [" ", " ", " ", " ", "  ", "\t", ""];
    let (word, number, gap) = (|| select(words.to_vec()), || select(numbers.to_vec()), || select(gaps.to_vec()));
    let near = (word(), word(), number(), gap(), gap()).prop_map(|(cluster, owner, number, one, other)| {
        let is_word = |text: &str| !text.is_empty() && text.chars().all(|char| !char.is_whitespace());
        let is_number = matches!(number, "0" | "1" | "7" | "41");
        let is_form = is_word(cluster) && is_word(owner) && is_number && (one, other) == (" ", " ");
        let text = format!("v=1 cluster={cluster}{one}owner={owner}{other}generation={number}");
        (Txt(vec![text.into_bytes()]), number.parse().ok().filter(|_| is_form))
    });
    let parts = vec(vec(any::<u8>(), 0..20), 1..4);
    prop_oneof![8 => near, 1 => parts.prop_map(|parts| (Txt(parts), None))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// The checker stops no message (the world sees to it), and the generation is above all that stood there.
    #[test]
    fn h1_whatever_stands_at_the_records_name_is_taken_over(records in vec(any_record(), 1..3)) {
        let file = cluster("nodes: { n0: { addresses: [192.0.2.10] } }
checks: { imap: { kind: imap } }
services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { a.test: { services: [imap] } }
");
        let mut world = World::new(&file);
        world.zone("a.test").generation = records.iter().map(|(txt, _)| txt.clone()).collect();
        world.run();
        let at_the_end = world.us().zone("a.test").is_at_the_end();
        prop_assume!(!at_the_end);
        let (done, told) = adopt(&mut world, &["a.test"]);
        prop_assert!(done, "{}", told);
        prop_assert_eq!(world.zone("a.test").get("imap.a.test A"), "192.0.2.10");
        let before = records.iter().filter_map(|(_, generation)| *generation).max().unwrap_or(0);
        let record = world.zone("a.test").record();
        prop_assert_eq!(record.map(|record| (record.owner, record.generation)), Some(("us".to_owned(), before + 1)));
    }
}
