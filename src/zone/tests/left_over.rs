//! What the file no longer gives.

use super::*;
use crate::{control::Selection, rota::Reply};

/// Three nodes, whose sets stay when they leave the file.
fn keeping(services: &str) -> Arc<Cluster> {
    cluster(&format!(
        "nodes:
  node00: {{ addresses: [192.0.2.10] }}
  node01: {{ addresses: [192.0.2.11] }}
  node02: {{ addresses: [192.0.2.12] }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  mx: {{ publish: mx, preference: 10, exchange: \"{{node}}.{{domain}}\", checks: [imap] }}
domains: {{ example.org: {{ services: [{services}] }} }}
"
    ))
}

#[test]
fn an_exchange_whose_addresses_were_withdrawn_does_not_come_back_and_the_rest_does() {
    for withdrawn in [&["node01"][..], &["node01", "node02"]] {
        let mut world = World::new(&keeping("imap, mx"));
        world.run();
        world.node("node01", Down);
        world.node("node02", Down);
        world.run();
        assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node00.example.org");
        world.edit(0, &keeping("imap"));
        world.run();
        for node in withdrawn {
            let selection = Selection::new(&format!("{node}.example.org"), None).unwrap();
            let now = world.now;
            let (reply, _) = world.us().rota.withdraw(now, &selection, false);
            let Reply::Later(ticket) = reply else { panic!("{reply:?}") };
            world.withdrawn.insert(crate::rota::model::id(&format!("{node}.example.org A")));
            world.run();
            assert_eq!(world.zone(ZONE).get(&format!("{node}.example.org A")), "-");
            assert!(world.us().rota.answer_of(ticket).unwrap().done);
        }
        let (writes, _) = (world.sent.len(), world.us().told(Kind::LeftOver));
        let now = world.now;
        let (Reply::Later(ticket), _) = world.us().rota.restore(now, &[Selection::ALL]) else {
            panic!("it is refused")
        };
        world.run();
        let answer = world.us().rota.answer_of(ticket).unwrap();
        assert!(!answer.done && answer.words.contains("restored without 10 node01.example.org."), "{answer:?}");
        world.pass(Duration::from_mins(2));
        let whole = ["10:node00.example.org", "10:node00.example.org 10:node02.example.org"];
        assert_eq!(world.zone(ZONE).get("example.org MX"), whole[2 - withdrawn.len()]);
        assert_eq!(world.sent.len() - writes, 2 - withdrawn.len(), "nothing is sent that BIND refuses");
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
        let told = world.us().told(Kind::LeftOver);
        let told: Vec<_> = told.iter().filter(|line| !line.starts_with("restored: ")).collect();
        assert!(told.len() == 1 && told[0].contains("restored without 10 node01.example.org."), "{told:?}");
        let left = world.us().zone(ZONE).memory().left_over.clone();
        assert!(left.values().all(|left| left.missing.is_empty()), "{left:?}");
    }
}
