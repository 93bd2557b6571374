//! Zones that others write too: whatever stands in them, what the file does not name is the same bytes afterwards, no
//! record of a stranger goes, and `plan` shows every record that goes.
//!
//! Each zone is made at random from what has gone wrong in zones: wildcards, DNAMEs, delegations, child zones, empty
//! non-terminals, CNAMEs, names in capitals and with escaped dots, data at the names of the file.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::rr::{RData, RecordType};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::support::{
    named::Zone,
    rota::{Builder, Rota},
};

/// How many zones live at once.
const ZONES: usize = 40;

/// What a zone of the test begins with.
#[derive(Debug, Clone)]
struct Content {
    records: Vec<Record>,
    /// `sub` is a zone of its own on the same server.
    has_child: bool,
}

/// One line of a zone file. `data` may name a node of ours: `{0}`, `{1}`.
#[derive(Debug, Clone)]
struct Record {
    owner: &'static str,
    rtype: &'static str,
    data: &'static str,
}

/// Owner names: those of the file, those above, below and beside them.
fn owner() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => prop::sample::select(vec!["@", "imap", "IMAP", "web", "web00", "pop", "node00", "node01", "imap.sub"]),
        6 => prop::sample::select(vec![
            "*", "*.sub", "*.imap", "*.x", "sub", "x", "a.x", "deep.ent", "a.deep.ent", "other", "Other", "b\\.c", "imap\\.x",
            "below.imap", "below.web", "below.sub", "www", "a.www", "*.www",
        ]),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let data = prop_oneof![
        3 => prop::sample::select(vec!["192.0.2.7", "192.0.2.8"]).prop_map(|data| ("A", data)),
        2 => prop::sample::select(vec!["{0}", "{1}"]).prop_map(|data| ("A", data)),
        1 => Just(("AAAA", "2001:db8::7")),
        2 => prop::sample::select(vec!["10 mx.elsewhere.test.", "20 imap", "5 node00"]).prop_map(|data| ("MX", data)),
        2 => prop::sample::select(vec!["elsewhere.test.", "imap"]).prop_map(|data| ("CNAME", data)),
        1 => Just(("DNAME", "elsewhere.test.")),
        1 => Just(("NS", "ns.elsewhere.test.")),
        2 => Just(("TXT", "\"somebody's\"")),
    ];
    (owner(), data).prop_map(|(owner, (rtype, data))| Record { owner, rtype, data })
}

fn content() -> impl Strategy<Value = Content> {
    (prop::collection::vec(record(), 0..9), prop::bool::weighted(0.15)).prop_map(|(records, has_child)| {
        let mut kept: Vec<Record> = Vec::new();
        for record in records {
            let beside = kept.iter().filter(|other| other.owner.eq_ignore_ascii_case(record.owner));
            let fits = beside.clone().all(|other| match (record.rtype, other.rtype) {
                // BIND does not load a zone with data beside a CNAME, or with two of these.
                ("CNAME", _) | (_, "CNAME") | ("DNAME", "DNAME" | "NS") | ("NS", "DNAME") => false,
                _ => true,
            });
            // At the apex BIND does not load them, or has them already.
            let is_apart = record.owner != "@" || !matches!(record.rtype, "CNAME" | "NS");
            let is_plain = !record.owner.starts_with('*') || !matches!(record.rtype, "DNAME" | "NS");
            if fits && is_apart && is_plain {
                kept.push(record);
            }
        }
        Content { records: kept, has_child }
    })
}

/// The services before the edit, and after it.
const FIRST: &str = "services: [imap]";
const ALL: &str = "services: [imap, mx, web, pop]";

/// The name of a zone.
fn zone(at: usize) -> String {
    format!("z{at:02}.test")
}

/// A record that stands in a zone: owner, type, and the whole line.
type Records = BTreeSet<(String, String, String)>;

fn records(rota: &Rota, zone: &str) -> Records {
    let answer = rota.named.query(zone, RecordType::AXFR);
    assert!(matches!(answer.answers.last().expect("a transfer").data, RData::SOA(_)), "the whole of {zone}: {answer}");
    let records = answer.answers.iter().filter(|record| record.record_type() != RecordType::SOA);
    let records = records.filter(|record| !record.name.to_ascii().starts_with("_rotad."));
    let owner = |record: &hickory_proto::rr::Record| record.name.to_ascii().to_ascii_lowercase();
    records.map(|record| (owner(record), record.record_type().to_string(), record.to_string())).collect()
}

struct Story {
    rota: Rota,
    /// Every zone as it was before the daemon ever ran, or as people made it since.
    before: BTreeMap<String, Records>,
}

impl Story {
    fn begin(zones: &[Content]) -> Self {
        let mut builder: Builder = Rota::new()
            .service("imap: { publish: address, name: imap, checks: [imap] }")
            .service("mx: { publish: mx, exchange: \"{node}.{domain}\", checks: [smtp] }")
            .service("web: { publish: address, name: web, checks: [web], pinned: { name: \"web{index}\" } }")
            .service("pop: { publish: alias, name: pop, target: imap.example.net }")
            .safety("max_change: 100%");
        let addresses = [builder.address_of(0), builder.address_of(1)].map(|address| address.to_string());
        builder = builder.nodes(3);
        for (at, content) in zones.iter().enumerate() {
            let name = zone(at);
            let mut made = Zone::new(&name).statement("check-names ignore; check-integrity no;");
            for Record { owner, rtype, data } in &content.records {
                let data = data.replace("{0}", &addresses[0]).replace("{1}", &addresses[1]);
                made = made.records(&format!("{owner} 300 {rtype} {data}"));
            }
            builder = builder.zone(&name, made).domain(&name, FIRST);
            if content.has_child {
                builder = builder.zone(&format!("sub.{name}"), Zone::new(&format!("sub.{name}")));
            }
            builder = builder.domain(&format!("sub.{name}"), &format!("services: [imap], zone: {name}"));
        }
        let rota = builder.build();
        let before = (0..zones.len()).map(zone).map(|name| (name.clone(), records(&rota, &name))).collect();
        Self { rota, before }
    }

    /// Waits until every zone has come to rest, whatever it is then.
    fn come_to_rest(&mut self) {
        let mut last = None;
        self.rota.eventually("every zone is at rest", |rota| {
            let status = rota.status();
            let zones = status["zones"].as_array().expect("a list").clone();
            let serials: Vec<u32> = (0..ZONES).map(|at| rota.named.serial(&zone(at))).collect();
            let now = Some((zones.clone(), serials));
            let is_same = std::mem::replace(&mut last, now.clone()) == now;
            status["mode"] == "active" && is_same && zones.iter().all(|zone| zone["state"] != "pending")
        });
    }

    /// The records that `plan` takes away, by owner and data.
    fn planned(&self) -> BTreeSet<String> {
        let (code, shown) = self.rota.plan();
        assert!(code == 0 || code == 3 || code == 1, "{code}: {shown}");
        let gone = shown.lines().filter_map(|line| line.strip_prefix("- "));
        gone.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase()).collect()
    }

    /// What must hold after any number of turns.
    fn expect_strangers_untouched(&self, when: &str) {
        for (zone, before) in &self.before {
            let now = records(&self.rota, zone);
            for record @ (owner, rtype, line) in before {
                let what = format!("{when}, {zone}: {line}\nbefore: {before:#?}\nnow: {now:#?}");
                if !is_managed(zone, owner, rtype) {
                    assert!(now.contains(record), "not of the file, and gone: {what}");
                } else if is_strangers(line) {
                    assert!(now.contains(record), "a stranger's, and gone: {what}");
                }
            }
            for record @ (owner, rtype, line) in &now {
                let is_new = !before.contains(record) && !is_managed(zone, owner, rtype);
                assert!(!is_new, "{when}, {zone}: {line} came, and the file does not name it");
            }
        }
    }

    fn zones(&self) -> Vec<(String, Records)> {
        self.before.keys().map(|zone| (zone.clone(), records(&self.rota, zone))).collect()
    }

    /// Every record that has gone since was in the plan.
    fn expect_planned(&self, since: &[(String, Records)], planned: &BTreeSet<String>, when: &str) {
        for (zone, before) in since {
            for (owner, _, line) in before.difference(&records(&self.rota, zone)) {
                let line = line.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
                assert!(planned.contains(&line), "{when}, {zone}, {owner}: {line} went, and was not in {planned:#?}");
            }
        }
    }
}

/// Whether the file, at any time of the story, names an `RRset`.
fn is_managed(zone: &str, owner: &str, rtype: &str) -> bool {
    let owner = owner.trim_end_matches('.');
    let names = |labels: &[&str]| labels.iter().any(|label| owner == format!("{label}.{zone}"));
    match rtype {
        "A" | "AAAA" => names(&["imap", "imap.sub", "web", "web00", "web01", "web02", "node00", "node01", "node02"]),
        "MX" => owner == zone,
        "CNAME" => names(&["pop"]),
        _ => false,
    }
}

/// Whether some data are nobody's whom the file knows.
fn is_strangers(line: &str) -> bool {
    ["192.0.2.", "2001:db8:", "elsewhere.test.", "imap.z", "somebody"].iter().any(|data| {
        let (_, rest) = line.split_once(" IN ").expect("a record of class IN");
        rest.contains(data)
    })
}

#[test]
fn whatever_stands_in_a_zone_only_what_the_file_names_and_is_ours_changes() {
    let mut runner = TestRunner::new(Config::default());
    let zones: Vec<Content> = (0..ZONES).map(|_| content().new_tree(&mut runner).unwrap().current()).collect();
    let mut story = Story::begin(&zones);

    let (since, planned) = (story.zones(), story.planned());
    story.rota.start();
    story.come_to_rest();
    story.expect_strangers_untouched("at first contact");
    story.expect_planned(&since, &planned, "at first contact");

    // The zones have our record by now: services come to names that may hold anything.
    let yaml = story.rota.yaml().replace(FIRST, ALL).replace(&format!("{ALL}, zone"), &format!("{FIRST}, zone"));
    story.rota.write(&yaml);
    story.rota.eventually("the edit is in force", |rota| rota.journal().contains("domains changed"));
    story.come_to_rest();
    story.expect_strangers_untouched("after the edit");

    // A node dies and returns.
    story.rota.kill("node01");
    story.rota.expect_journal("node01 imap");
    story.rota.eventually("node01 is down", |rota| rota.journal().contains("is down"));
    story.come_to_rest();
    story.expect_strangers_untouched("without node01");

    // People cut the zone elsewhere, and then a restart plans before it writes.
    story.rota.stop();
    for at in (0..ZONES).step_by(3) {
        let name = zone(at);
        let (owner, rtype, data) = [
            ("sub", "NS", "ns.elsewhere.test."),
            ("sub", "DNAME", "elsewhere.test."),
            ("*", "MX", "7 mx.elsewhere.test."),
        ][at % 3];
        // BIND may refuse it beside what is there.
        let _ = story.rota.named.nsupdate(&format!("zone {name}\nupdate add {owner}.{name} 300 {rtype} {data}"));
        let now = records(&story.rota, &name);
        let by_hand = now.into_iter().filter(|(owner, rtype, _)| !is_managed(&name, owner, rtype));
        story.before.get_mut(&name).unwrap().extend(by_hand);
    }
    story.rota.revive("node01");
    let (since, planned) = (story.zones(), story.planned());
    story.rota.start();
    story.come_to_rest();
    story.expect_strangers_untouched("after a restart");
    story.expect_planned(&since, &planned, "after a restart");

    // What is drawn must be able to show it: enough zones are written, and enough have something in the way.
    let status = story.rota.status();
    let in_sync = status["zones"].as_array().unwrap().iter().filter(|zone| zone["state"] == "in_sync").count();
    assert!((5..ZONES).contains(&in_sync), "{in_sync} of {ZONES} zones in sync");
}
