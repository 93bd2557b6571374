use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{flap::PastHold, health::Asked};

fn remembered() -> State {
    let owned = [
        ("imap.example.org A", vec!["192.0.2.10", "192.0.2.11"]),
        ("imap.example.org AAAA", vec!["2001:db8::11"]),
        ("example.org MX", vec!["10 node00.example.org."]),
        ("pop3.example.org CNAME", vec!["imap.example.net."]),
    ];
    let owned = owned.into_iter().map(|(id, data)| {
        let id = parse_id(id).unwrap();
        let data = data.into_iter().map(|text| parse_rdata(id.rtype, text).unwrap()).collect();
        (id, data)
    });
    let mark = Mark { serial: u32::MAX, generation: u64::MAX, ttls: vec![0, 60, 60, 300] };
    let left = LeftOver {
        since: at(900),
        data: [parse_rdata(RrType::A, "192.0.2.10").unwrap()].into(),
        missing: [parse_rdata(RrType::A, "192.0.2.11").unwrap()].into(),
    };
    let missing = BTreeMap::from([(parse_id("imap.example.org A").unwrap(), left.missing.clone())]);
    let left_over = BTreeMap::from([(parse_id("old.example.org A").unwrap(), left)]);
    let (generation, ttl_limit) = (Some(u64::MAX), Some(Ttl(300)));
    let memory = Memory { owned: owned.collect(), mark: Some(mark), generation, ttl_limit, missing, left_over };
    let bare = Memory { generation: Some(7), ..Memory::default() };
    let zones = [("example.org", memory), ("bare.test", bare)];
    let zones = zones.map(|(zone, memory)| (OwnerName::parse(zone).unwrap(), Arc::new(memory))).into();
    let hold = Hold { since: at(1_000), until: Some(at(2_000)), by: None, reason: Some("\"why\"\n".to_owned()) };
    let target = |address: &str| Target {
        node: NodeName::new("node 01"),
        check: CheckName::new("imap"),
        address: address.parse().unwrap(),
    };
    let damped = Past {
        up: false,
        downs: vec![at(100), at(200)],
        hold: Some(PastHold { until: at(300), seconds: 30, flap: 1 }),
    };
    let damping = [(target("192.0.2.10"), damped), (target("2001:db8::1"), Past { up: true, ..Past::default() })];
    let drains = |wish, says: Option<&str>| PastWish { wish, since: at(400), says: says.map(str::to_owned) };
    let wishes = [
        (target("192.0.2.10"), drains(Asked::Drain, Some("agent says \"drain\""))),
        (target("2001:db8::1"), drains(Asked::Maint, None)),
    ];
    State {
        zones,
        hold: Some(hold),
        file: Some("0f".repeat(32)),
        damping: damping.into(),
        wishes: wishes.into(),
        ..State::new("mail", "0123456789abcdef0123456789abcdef\n")
    }
}

fn at(seconds: u64) -> Stamp {
    Stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A file with this body, whatever wrote it.
fn file(version: &str, body: &str) -> String {
    format!("rotad-state-{version} {}\n{body}\n", hex(&Sha256::digest(body)))
}

/// The body that a state is written as.
fn body(state: &State) -> Value {
    serde_json::from_str(state.encode().lines().nth(1).unwrap()).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let state = remembered();
    assert_eq!(State::decode(&state.encode()), Ok(state));
}

#[test]
fn a_file_without_a_hold_has_the_form_of_before() {
    let free = State { hold: None, ..remembered() };
    assert_eq!(body(&free).get("hold"), None);
    assert_eq!(State::decode(&free.encode()), Ok(free));
}

#[test]
fn the_name_depends_on_machine_and_cluster_alone() {
    let name = |cluster, machine| State::new(cluster, machine).me.owner;
    assert_eq!(name("mail", "abc\n"), name("mail", "abc"));
    assert_ne!(name("mail", "abc"), name("mail", "abd"));
    assert_ne!(name("mail", "abc"), name("web", "abc"));
    assert_eq!(name("mail", "abc").len(), 16);
}

#[test]
fn every_cut_and_every_other_byte_is_noticed() {
    let text = remembered().encode();
    for at in 0..text.len() {
        assert!(State::decode(&text[..at]).is_err(), "cut at {at}");
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let other = String::from_utf8(bytes).unwrap();
        // The space before the checksum may be another kind of space; what is read is the same.
        if let Ok(read) = State::decode(&other) {
            assert_eq!(read, remembered(), "byte {at}");
        }
    }
}

#[test]
fn other_files_are_refused() {
    for text in [
        "",
        "\n",
        "{}",
        "rotad-state-2 00\n{}\n",
        "rotad-state-1\n\n",
        "\0\0\0\0\n\0\n",
        &file("x", "{}"),
        &file("", "{}"),
        &file("-1", "{}"),
    ] {
        assert!(State::decode(text).is_err(), "{text:?}");
    }
    let zones = json!({"cluster": "mail", "owner": "me", "zones": {}});
    assert!(State::decode(&file("1", &zones.to_string())).is_ok());
    for (section, other) in
        [("cluster", json!(1)), ("owner", json!(null)), ("zones", json!([])), ("zones", json!(null))]
    {
        let mut zones = zones.clone();
        zones[section] = other;
        let read = State::decode(&file("1", &zones.to_string()));
        assert!(matches!(read, Err(Damage::Content(_))), "{section}: {read:?}");
    }
    for (section, other) in [
        ("zones", json!({"a.test": []})),
        ("marks", json!("none")),
        ("generations", json!([1])),
        ("ttl_limits", json!({"a.test": -1})),
        ("left_over", json!({"a.test": 1})),
        ("damping", json!(true)),
        ("agents", json!({"n0": 1})),
    ] {
        let mut zones = zones.clone();
        zones[section] = other;
        assert_eq!(body(&State::decode(&file("1", &zones.to_string())).unwrap()), zones);
    }
}

/// What the version of 2026-11 wrote, which had neither generations nor left-overs, neither damping nor agents.
#[test]
fn the_first_form_keeps_ownership_marks_and_hold() {
    let body = r#"{"cluster":"mail","owner":"0123456789abcdef","zones":{"example.org":{"example.org MX":["10 node00.example.org."],"imap.example.org A":["192.0.2.10","192.0.2.11"]}},"marks":{"example.org":{"serial":7,"generation":3,"ttls":[60,30]}},"hold":{"since":"2026-11-24T12:00:00Z","until":null,"by":"anna","reason":null}}"#;
    let state = State::decode(&file("1", body)).unwrap();
    assert_eq!(state.me, Identity { cluster: "mail".to_owned(), owner: "0123456789abcdef".to_owned() });
    let memory = &state.zones["example.org"];
    assert_eq!(
        memory.owned.keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["example.org MX", "imap.example.org A"]
    );
    assert_eq!(memory.mark, Some(Mark { serial: 7, generation: 3, ttls: vec![60, 30] }));
    // The mark's generation was ours.
    assert_eq!(memory.generation, Some(3));
    assert_eq!(state.hold.as_ref().unwrap().by.as_deref(), Some("anna"));
    assert!(state.rest.is_empty());
}

#[test]
fn a_newer_file_is_read_for_what_is_known_and_the_rest_is_written_back() {
    let newer = json!({
        "cluster": "mail",
        "owner": "me",
        "file": "0f0f",
        "servers": {"ns1": ["192.0.2.53"]},
        "zones": {
            "a.test": {"imap.a.test A": ["192.0.2.10"], "_imaps._tcp.a.test SRV": ["0 1 993 n0.a.test."], "b A": ["not one"]},
            "b.test": {"b.test TLSA": {"usage": 3}},
        },
        "marks": {
            "a.test": {"serial": 1, "generation": 2, "ttls": [60, 60, 60]},
            "c.test": "elsewhere",
        },
        "generations": {"a.test": 18_446_744_073_709_551_615_u64, "b.test": {"ns1": 4}},
        "left_over": {
            "a.test": {
                "pop.a.test A": {"since": "2026-11-24T12:00:00Z", "data": ["192.0.2.10"], "missing": [], "server": "ns1"},
                "pop.a.test SRV": {"since": "2026-11-24T12:00:00Z", "data": ["0 1 110 n0.a.test."], "missing": []},
            },
        },
        "hold": {"since": "2026-11-24T12:00:00Z", "until": null, "by": null, "reason": "x", "zones": ["a.test"]},
        "damping": {
            "n0": {"imap": {"192.0.2.10": {"up": true, "downs": ["2026-11-24T12:00:00Z"], "drained": 1}, "ns1": 4}},
        },
        "agents": {
            "n0": {
                "agent": {
                    "192.0.2.10": {"wish": "drain", "since": "2026-11-24T12:00:00Z", "until": "noon"},
                    "192.0.2.11": {"wish": "half", "since": "2026-11-24T12:00:00Z"},
                },
            },
        },
    });
    for version in ["1", "2", "37"] {
        let state = State::decode(&file(version, &newer.to_string())).unwrap();
        let memory = &state.zones["a.test"];
        assert_eq!(memory.owned.len(), 1);
        assert_eq!((memory.mark.as_ref(), memory.generation), (None, Some(u64::MAX)));
        assert_eq!(memory.left_over.keys().map(ToString::to_string).collect::<Vec<_>>(), ["pop.a.test A"]);
        assert_eq!(state.hold.as_ref().unwrap().reason.as_deref(), Some("x"));
        assert_eq!(state.damping.values().next().unwrap().downs.len(), 1);
        assert_eq!(state.wishes.values().map(|past| past.wish).collect::<Vec<_>>(), [Asked::Drain]);
        assert_eq!(state.file.as_deref(), Some("0f0f"));
        let mut same = newer.clone();
        // A mark that counts an entry which is unknown here is of no use to anybody any more.
        same["marks"].as_object_mut().unwrap().remove("a.test");
        assert_eq!(body(&state), same, "{version}");
        assert_eq!(State::decode(&state.encode()).unwrap().damping, state.damping, "and again");

        // What changes beside it leaves it alone.
        let later =
            State { hold: None, zones: BTreeMap::new(), damping: BTreeMap::new(), wishes: BTreeMap::new(), ..state };
        let written = body(&later);
        assert_eq!(written["zones"]["b.test"], newer["zones"]["b.test"]);
        assert_eq!(written["zones"]["a.test"].as_object().unwrap().len(), 2);
        assert_eq!(written["generations"], json!({"b.test": {"ns1": 4}}));
        assert_eq!(written["servers"], newer["servers"]);
        assert_eq!(written.get("hold"), None, "a hold that was released is no more");
    }
}

#[test]
fn a_mark_keeps_its_fields_and_a_hold_that_cannot_be_read_holds() {
    let newer = json!({
        "cluster": "mail",
        "owner": "me",
        "zones": {"a.test": {"imap.a.test A": ["192.0.2.10"]}},
        "marks": {"a.test": {"serial": 1, "generation": 2, "ttls": [60], "signed": true}},
        "hold": {"since": "2026-11-24T12:00:00Z", "until": {"release": true}},
    });
    let state = State::decode(&file("2", &newer.to_string())).unwrap();
    assert_eq!(state.zones["a.test"].mark.as_ref().unwrap().serial, 1);
    let hold = state.hold.as_ref().unwrap();
    assert_eq!(hold.until, None);
    assert!(hold.reason.as_ref().unwrap().contains("another version"));
    let mut written = body(&state);
    assert_eq!(written["generations"], json!({"a.test": 2}));
    written.as_object_mut().unwrap().remove("generations");
    assert_eq!(written, newer);
    for odd in [json!(true), json!("for ever"), json!([])] {
        let mut newer = newer.clone();
        newer["hold"] = odd;
        assert!(State::decode(&file("2", &newer.to_string())).unwrap().hold.is_some());
    }
}

proptest! {
    /// Whatever another version puts in besides: what is known comes out, and what is not stays.
    #[test]
    fn unknown_entries_stay_where_they_are(
        at in prop::sample::select(vec!["", "zones", "marks", "generations", "ttl_limits", "left_over", "hold", "damping", "agents"]),
        zone in prop::bool::ANY,
        name in "[a-z]{3,12}_x",
        value in prop_oneof![
            Just(json!(null)), Just(json!([1, "a"])), Just(json!({"a": {"b": 1}})), any::<i64>().prop_map(|n| json!(n)),
            ".*".prop_map(Value::String),
        ],
    ) {
        let known = remembered();
        let mut document = body(&known);
        let place = match at {
            "" => &mut document,
            "zones" | "marks" | "left_over" if zone => &mut document[at]["example.org"],
            _ => &mut document[at],
        };
        // A number there is a generation of a zone.
        prop_assume!(!(at == "generations" && value.as_u64().is_some()));
        prop_assume!(!(at == "ttl_limits" && value.as_u64().is_some_and(|limit| u32::try_from(limit).is_ok())));
        place[name] = value;
        let state = State::decode(&file("9", &document.to_string())).unwrap();
        prop_assert_eq!(&state.zones["example.org"].owned, &known.zones["example.org"].owned);
        prop_assert_eq!(&state.hold, &known.hold);
        prop_assert_eq!(&state.file, &known.file);
        prop_assert_eq!(body(&state), document);
    }
}
