//! What a zone's turn says to people.

use std::fmt::Write;

use crate::{
    cluster::AdminState,
    desired::{Contribution, Member, Recipe},
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId, Ttl},
    plan::{Change, Rrsets, grant},
    standings::{Standing, Why},
    text::{self, printable},
    update::{GenerationRecord, Occlusion},
};

/// What is wrong with several sets, each cause once: `a.example.org A, b.example.org A and 3 more: named refuses ...`.
/// `None`: nothing is.
pub(super) fn troubles<'a>(troubles: impl Iterator<Item = (&'a RrsetId, &'a str)>) -> Option<String> {
    let mut causes: Vec<(&str, Vec<String>)> = Vec::new();
    for (id, words) in troubles {
        let id = id.to_string();
        let (names, cause) = match words.strip_prefix(&id).and_then(|rest| rest.strip_prefix(": ")) {
            Some(cause) => (vec![id], cause),
            None => (Vec::new(), words),
        };
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, known)) => known.extend(names),
            None => causes.push((cause, names)),
        }
    }
    let more = causes.len().saturating_sub(SHOWN);
    let shown = causes.iter().take(SHOWN).map(|(cause, names)| {
        let others = names.len().saturating_sub(SHOWN);
        let others = if others == 0 { String::new() } else { format!(" and {others} more") };
        let names = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        if names.is_empty() { (*cause).to_owned() } else { format!("{names}{others}: {cause}") }
    });
    let list = shown.collect::<Vec<_>>().join("; ");
    match more {
        0 => (!list.is_empty()).then_some(list),
        more => Some(format!("{list}; and {more} more")),
    }
}

/// So many causes are told in a line, and so many names of each.
const SHOWN: usize = 3;

/// How many data of a change are told with what decided: a line has its bounds, and a set of a hundred nodes has as many
/// reasons.
const REASONS: usize = 8;

/// A change with from, to and why:
/// `imap.example.org A: removed 192.0.2.11 (node01 imap is down: connection refused), now 192.0.2.10`.
pub(super) fn change(change: &Change, recipe: Option<&Recipe>) -> String {
    let nothing = RdataSet::default();
    let before = change.before.as_ref().map_or(&nothing, |set| &set.rdata);
    let after = change.after.as_ref().map_or(&nothing, |set| &set.rdata);
    let mut words = format!("{}:", change.id);
    let mut part = |verb: &str, rdata: Vec<&Rdata>, otherwise: &str| {
        if !rdata.is_empty() {
            let because = |data| match because(data, recipe, verb == "added") {
                Some(why) => format!(" ({why})"),
                None => otherwise.to_owned(),
            };
            let told = |(at, data)| format!("{data}{}", if at < REASONS { because(data) } else { String::new() });
            let list: Vec<_> = rdata.into_iter().enumerate().map(told).collect();
            let _ = write!(words, " {verb} {},", list.join(", "));
        }
    };
    // No recipe: a restore. Stand-ins go because members come back.
    let otherwise = if recipe.is_some() || after.is_empty() { " (the file does not give it here)" } else { "" };
    part("removed", before.difference(after).collect(), otherwise);
    // What comes is in the file, or somebody wants it back.
    part("added", after.difference(before).collect(), " (restored, whatever the health)");
    if let (Some(before), Some(after)) = (&change.before, &change.after)
        && before.ttl != after.ttl
    {
        let _ = write!(words, " TTL {} instead of {},", after.ttl, before.ttl);
    }
    let _ = write!(words, " now {}", set(change.after.as_ref()));
    words
}

/// The node behind some data, and what decided.
fn because(rdata: &Rdata, recipe: Option<&Recipe>, came: bool) -> Option<String> {
    recipe?.contributions.iter().find_map(|contribution| match contribution {
        Contribution::Pool { members, .. } => {
            let member = of(members, rdata)?;
            let is_last_resort = came && matches!(member.state, Standing::Down | Standing::Suspect);
            let rest = if is_last_resort { ", and all_down is all" } else { "" };
            Some(reason(member) + rest)
        }
        Contribution::Pinned { own, pool, .. } => of(own, rdata).map(reason).or_else(|| {
            let (stand_in, own) = (of(pool, rdata)?, own.first()?);
            let is_well = stand_in.state == Standing::Up && stand_in.admin_state == AdminState::Ready;
            Some(match (came, is_well) {
                (true, _) => format!("{} stands in: {}", stand_in.node, reason(own)),
                (false, true) => format!("{} stood in: {}", stand_in.node, reason(own)),
                (false, false) => reason(stand_in),
            })
        }),
        Contribution::Fixed(data) => data.contains(rdata).then(|| "in the file".to_owned()),
        Contribution::Hosts(members) => of(members, rdata).map(|member| match member.admin_state {
            AdminState::Ready => format!("the exchange of {}", member.node),
            AdminState::Drain | AdminState::Down => reason(member),
        }),
    })
}

fn of<'a>(members: &'a [Member], rdata: &Rdata) -> Option<&'a Member> {
    members.iter().find(|member| member.rdata == *rdata)
}

/// Why a member is in its set or is not: the check that decided and its words, or who wants it so.
fn reason(member: &Member) -> String {
    let Member { node, state, admin_state, why, .. } = member;
    match (admin_state, why) {
        (AdminState::Ready, Some(Why { check, words: Some(words) })) => {
            format!("{node} {check} is {}: {}", state.as_str(), text::cut(words))
        }
        (AdminState::Ready, Some(Why { check, words: None })) => format!("{node} {check} is {}", state.as_str()),
        (AdminState::Ready, None) => format!("{node} is {}", state.as_str()),
        (_, Some(Why { words: Some(words), .. })) => format!("{node}: {}", text::cut(words)),
        (AdminState::Drain, _) => format!("{node} is drained"),
        (AdminState::Down, _) => format!("{node} is set down"),
    }
}

/// The data of a set in one line.
pub(super) fn set(set: Option<&Rrset>) -> String {
    set.map_or_else(
        || "nothing".to_owned(),
        |set| set.rdata.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    )
}

/// What a set was and is: its data, or where these are the same its TTL.
pub(super) fn from_to(before: Option<&Rrset>, after: Option<&Rrset>) -> (String, String) {
    match (before, after) {
        (Some(before), Some(after)) if before.rdata == after.rdata => {
            (format!("TTL {}", before.ttl), format!("TTL {}", after.ttl))
        }
        _ => (set(before), set(after)),
    }
}

/// NOERROR, and yet it is not there.
pub(super) fn ignored(change: &Change, found: &Rrsets) -> String {
    let id = &change.id;
    let there = found.get(id);
    let alias = RrsetId { owner: id.owner.clone(), rtype: RrType::Cname };
    let is_part = |set: &Rrset| change.after.as_ref().is_some_and(|after| set.rdata.is_subset(&after.rdata));
    match there {
        _ if id.rtype != RrType::Cname && found.contains_key(&alias) => format!(
            "{id}: BIND ignored it, for a CNAME exists at that name; delete it (nsupdate: update delete {}. CNAME)",
            id.owner
        ),
        _ if id.rtype == RrType::Cname => format!(
            "{id}: BIND ignored it, for the name has other records, which rotad did not publish, and none may stand beside a \
             CNAME: they are left as they are, and the rest of the zone goes on; delete them, or take the alias out of the \
             file"
        ),
        Some(kept) if change.after.as_ref().is_some_and(|after| kept.rdata == after.rdata) => format!(
            "{id}: BIND answered NOERROR, but holds TTL {} instead of {}; its log may have the cause",
            kept.ttl,
            change.after.as_ref().map_or(kept.ttl, |after| after.ttl),
        ),
        Some(kept) if is_part(kept) => format!(
            "{id}: BIND kept {} of {} records: a quota in `update-policy`, such as A(2), drops the rest in silence; raise it",
            kept.rdata.len(),
            change.after.as_ref().map_or(0, |after| after.rdata.len()),
        ),
        other => format!(
            "{id}: BIND answered NOERROR, but holds {} instead of {}; its log may have the cause",
            set(other),
            set(change.after.as_ref())
        ),
    }
}

/// What is out of the file, and stays.
pub(super) fn left_over(zone: &OwnerName, first: &RrsetId, many: usize) -> String {
    let what = match many {
        1 => format!("{first} is out of the file, and stays"),
        many => format!("{first} and {} more RRsets are out of the file, and stay", many - 1),
    };
    format!(
        "{zone}: {what} in DNS as published, whatever the health: `rotad status` lists them, `rotad withdraw {zone}` \
         deletes them, and put back into the file they are followed again"
    )
}

/// Exchanges that cannot come back.
pub(super) fn bare(id: &RrsetId, bare: &[Rdata]) -> String {
    let list: Vec<_> = bare.iter().map(ToString::to_string).collect();
    format!(
        "{id} is restored without {}: no address stands at the exchange, perhaps because it was withdrawn, and BIND refuses \
         such an MX; put the domain back into the file, or add both by hand",
        printable(&list.join(", "))
    )
}

/// Not what we left there. `instead`: what stands in its place.
pub(super) fn not_as_left(id: &RrsetId, found: Option<&Rrset>, instead: Option<&RrsetId>) -> String {
    let now = match (found, instead) {
        (Some(_), _) => format!("holds {} by now, which rotad did not leave there", printable(&set(found))),
        (None, Some(other)) => format!("somebody has put a {} there instead", other.rtype),
        (None, None) => "somebody has deleted it".to_owned(),
    };
    format!("{id} was left over, and {now}: it is not touched, and forgotten")
}

/// An address that goes when the last MX has gone.
pub(super) fn waiting(id: &RrsetId) -> String {
    format!("{id} is to be deleted, and goes when no MX that stays points to it any more")
}

/// What is out of the file and hidden.
pub(super) fn hidden_until(id: &RrsetId, why: &Occlusion) -> String {
    format!("{id} is to be deleted, and goes when its name is not hidden any more: it {}", why.cause())
}

/// Data of a stranger at first contact.
pub(super) fn foreign(zone: &OwnerName, id: &RrsetId, stranger: &Rdata) -> String {
    format!(
        "{id} holds {stranger}, which is no node of this cluster, and the zone has no generation record yet: nothing is \
         written; see `rotad plan`, then correct the zone, or run `rotad adopt {zone}` to take it over"
    )
}

/// No answer for this zone, while others get theirs.
pub(super) fn zone_is_silent(lost: &str) -> String {
    format!(
        "{lost}, while other zones are answered: `update-policy` asks a slow helper (`external`), or the zone is too large to \
         be written within `bind.timeout`; named's log may have more"
    )
}

/// Something before BIND answers for one zone.
pub(super) fn zone_is_answered_for(lost: &str) -> String {
    format!(
        "{lost}, while other zones are answered by named: something between (a proxy, a forwarder, a load balancer) answers for \
         this one; let `bind.server` be named itself, or have what is between hand questions on"
    )
}

/// A record that is not of our form.
pub(super) fn foreign_record(zone: &OwnerName) -> String {
    format!(
        "the TXT records at _rotad.{zone} are not one generation record: nothing is written; delete them, or run \
         `rotad adopt {zone}` to take the zone over"
    )
}

/// Another cluster's record.
pub(super) fn other_cluster(zone: &OwnerName, record: &GenerationRecord) -> String {
    format!(
        "cluster \"{}\" writes this zone (owner {}, generation {}): nothing is written; take the zone out of one of \
         the two files, or run `rotad adopt {zone}` to take it over",
        record.cluster, record.owner, record.generation
    )
}

/// A generation that no message can raise.
pub(super) fn cannot_grow(zone: &OwnerName, record: &GenerationRecord) -> String {
    format!(
        "the generation at _rotad.{zone} is {}, the last there is, and no message could raise it: nothing is written; \
         nobody has written that often, so somebody made it by hand: delete the TXT record at _rotad.{zone}, and rotad \
         goes on from the generation that it remembers",
        record.generation
    )
}

/// BIND refuses to let what an operator took over make room.
pub(super) fn cannot_replace(id: &RrsetId, theirs: &RrsetId, verdict: &str) -> String {
    let RrsetId { owner, rtype } = theirs;
    format!(
        "{id}: named refuses ({verdict}) to delete {theirs}, which was taken over and stands in the way: `update-policy` does \
         not let the key delete it; add {} and run `rndc reconfig`, or delete it (nsupdate: update delete {owner}. \
         {rtype}), and run `rotad sync`; `rotad doctor` prints the grants that are missing",
        grant(owner, &[rtype.as_str()])
    )
}

/// A set of strangers at a name of the file.
pub(super) fn foreign_set(id: &RrsetId, data: &RdataSet) -> String {
    let list: Vec<_> = data.iter().map(ToString::to_string).collect();
    format!(
        "{id} holds {}, which rotad did not publish and not all of which are nodes of this cluster: it is left as it is, \
         and the rest of the zone goes on; delete it, or run `rotad adopt {} {}` to take it over",
        printable(&list.join(", ")),
        id.owner,
        id.rtype
    )
}

/// A reading that does not show what BIND has acknowledged.
pub(super) fn behind(zone: &OwnerName, generation: u64) -> String {
    format!(
        "{zone}: BIND has acknowledged generation {generation} and does not show it yet: the signed copy of the zone \
         (`inline-signing`), or the secondary that `bind.server` names, is behind; changes are sent on all the same, and \
         it is read again until it shows them"
    )
}

/// BIND lowers our TTLs.
pub(super) fn limited(zone: &OwnerName, id: &RrsetId, ours: Ttl, theirs: Ttl) -> String {
    format!(
        "{id}: BIND lowered the TTL {ours} of the file to {theirs}, the `max-zone-ttl` of the zone {zone} or of its \
         dnssec-policy: that is taken as right; set the `ttl` of the file to {theirs} at most, or raise max-zone-ttl and \
         run `rotad sync {zone}`"
    )
}

/// What is read and what is updated are not the same, however often it is read.
pub(super) fn not_what_is_read(zone: &OwnerName) -> String {
    format!(
        "named refuses every update (NXRRSET), for it updates something else than it lets us read, and that does not \
         change: the signed copy of the zone (`inline-signing`) or the copy of a secondary is behind, or `match-clients` \
         of a view sends queries and updates to two zones named {zone}; `rndc zonestatus {zone}` on \
         the primary shows the serials of both copies, or asks for the view"
    )
}

/// What is read and what is updated are not the same.
pub(super) fn guard_failed(zone: &OwnerName) -> String {
    format!(
        "named refuses every update, for the generation record at _rotad.{zone} or a set that is to be changed is not \
         what it lets us read (NXRRSET): another writer is at work all the time, or `match-clients` of a view sends \
         queries and updates to two zones of that name"
    )
}

/// Another instance's record.
pub(super) fn other_owner(zone: &OwnerName, record: &GenerationRecord) -> String {
    format!(
        "instance {} of this cluster writes this zone (generation {}): this one stands by; run `rotad adopt {zone}` to \
         take it over",
        record.owner, record.generation
    )
}

/// Our own name, but not our own doing.
pub(super) fn twin(zone: &OwnerName) -> String {
    format!(
        "the generation moved under our own name, but not by us: a copy of this machine runs; this one stands by; stop \
         the copy, then run `rotad adopt {zone}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::{CheckName, NodeName, WhenDown},
        dns::Ttl,
        rota::model::{id, rrset},
        standings::Standing::{Down, Reserve, Up},
    };

    fn node(at: u8, state: Standing, admin_state: AdminState, why: Option<&str>) -> Member {
        Member {
            node: NodeName::new(&format!("node{at}")),
            rdata: Rdata::A([192, 0, 2, at].into()),
            state,
            admin_state,
            why: why.map(|words| Why { check: CheckName::new("imap"), words: Some(words.into()) }),
        }
    }

    #[test]
    fn a_cause_is_told_once_for_all_names_that_it_strikes() {
        let ids: Vec<_> = (0..5).map(|at| id(&format!("n{at}.example.org A"))).collect();
        let all: Vec<_> = ids.iter().map(|id| (id, format!("{id}: named refuses it"))).collect();
        let words = |count: usize| super::troubles(all.iter().take(count).map(|(id, words)| (*id, words.as_str())));
        assert_eq!(words(0), None);
        assert_eq!(words(1).unwrap(), "n0.example.org A: named refuses it");
        let five = "n0.example.org A, n1.example.org A, n2.example.org A and 2 more: named refuses it";
        assert_eq!(words(5).unwrap(), five);
        let other = [(&ids[0], "n0.example.org A lies below it"), (&ids[1], "n1.example.org A: full")];
        let words = super::troubles(other.into_iter().chain(all.iter().map(|(id, words)| (*id, words.as_str()))));
        assert_eq!(words.unwrap(), format!("n0.example.org A lies below it; n1.example.org A: full; {five}"));
    }

    #[test]
    fn a_change_says_what_left_what_came_and_why() {
        let members = vec![
            node(10, Up, AdminState::Ready, Some("* OK ready")),
            node(11, Down, AdminState::Ready, Some("connection refused")),
            node(12, Up, AdminState::Drain, None),
            node(13, Up, AdminState::Down, None),
            node(14, Up, AdminState::Drain, Some("agent says \"drain\"")),
            node(15, Reserve, AdminState::Ready, Some("held down for its flapping, 1st flap")),
            node(16, Up, AdminState::Ready, None),
            node(17, Down, AdminState::Ready, Some(&"x".repeat(200))),
        ];
        let recipe = Recipe {
            ttl: Ttl(60),
            contributions: vec![Contribution::Pool { members: members.into(), min_healthy: 1 }],
        };
        for (before, after, words) in [
            ("-", "60 192.0.2.10", "added 192.0.2.10 (node10 imap is up: * OK ready), now 192.0.2.10"),
            ("-", "60 192.0.2.16", "added 192.0.2.16 (node16 is up), now 192.0.2.16"),
            (
                "60 192.0.2.10 192.0.2.11",
                "60 192.0.2.10",
                "removed 192.0.2.11 (node11 imap is down: connection refused), now 192.0.2.10",
            ),
            (
                "60 192.0.2.10",
                "60 192.0.2.10 192.0.2.11",
                "added 192.0.2.11 (node11 imap is down: connection refused, and all_down is all), now 192.0.2.10, 192.0.2.11",
            ),
            (
                "60 192.0.2.12",
                "60 192.0.2.10",
                "removed 192.0.2.12 (node12 is drained), added 192.0.2.10 (node10 imap is up: * OK ready), now 192.0.2.10",
            ),
            ("60 192.0.2.10 192.0.2.13", "60 192.0.2.10", "removed 192.0.2.13 (node13 is set down), now 192.0.2.10"),
            (
                "60 192.0.2.10 192.0.2.14",
                "60 192.0.2.10",
                "removed 192.0.2.14 (node14: agent says \"drain\"), now 192.0.2.10",
            ),
            (
                "60 192.0.2.10 192.0.2.15",
                "60 192.0.2.10",
                "removed 192.0.2.15 (node15 imap is in reserve: held down for its flapping, 1st flap), now 192.0.2.10",
            ),
            (
                "60 192.0.2.10 192.0.2.17",
                "60 192.0.2.10",
                &format!("removed 192.0.2.17 (node17 imap is down: {}...), now 192.0.2.10", "x".repeat(100)),
            ),
            (
                "60 192.0.2.10 203.0.113.1",
                "60 192.0.2.10",
                "removed 203.0.113.1 (the file does not give it here), now 192.0.2.10",
            ),
            ("300 192.0.2.10", "60 192.0.2.10", "TTL 60 instead of 300, now 192.0.2.10"),
        ] {
            let set = |text: &str| (text != "-").then(|| rrset(RrType::A, text));
            let change = Change { id: id("imap.example.org A"), before: set(before), after: set(after) };
            assert_eq!(super::change(&change, Some(&recipe)), format!("imap.example.org A: {words}"));
        }
        let gone = Change { id: id("old.example.org A"), before: Some(rrset(RrType::A, "60 192.0.2.10")), after: None };
        assert_eq!(
            super::change(&gone, None),
            "old.example.org A: removed 192.0.2.10 (the file does not give it here), now nothing"
        );
    }

    #[test]
    fn a_line_has_no_more_reasons_than_fit() {
        let long = "x".repeat(100);
        let members: Vec<_> = (1..=100).map(|at| node(at, Up, AdminState::Ready, Some(&long))).collect();
        let data: Vec<_> = members.iter().map(|member| member.rdata.to_string()).collect();
        let after = Some(rrset(RrType::A, &format!("60 {}", data.join(" "))));
        let pool = Contribution::Pool { members: members.into(), min_healthy: 1 };
        let recipe = Recipe { ttl: Ttl(60), contributions: vec![pool] };
        let said = super::change(&Change { id: id("imap.test A"), before: None, after }, Some(&recipe));
        assert_eq!(said.matches(&long).count(), REASONS);
    }

    #[test]
    fn what_comes_whatever_the_health_says_what_it_is() {
        let hosts = Contribution::Hosts(vec![node(11, Down, AdminState::Ready, Some("refused"))].into());
        let said = |recipe: Option<&Recipe>, id: &str, set: Rrset| {
            super::change(&Change { id: crate::rota::model::id(id), before: None, after: Some(set) }, recipe)
        };
        let address = || rrset(RrType::A, "60 192.0.2.11");
        let recipe = |contribution| Recipe { ttl: Ttl(60), contributions: vec![contribution] };
        let host = said(Some(&recipe(hosts)), "node11.test A", address());
        assert_eq!(host, "node11.test A: added 192.0.2.11 (the exchange of node11), now 192.0.2.11");
        let alias = rrset(RrType::Cname, "60 imap.test");
        let said_of_alias = said(Some(&recipe(Contribution::Fixed(alias.rdata.clone()))), "pop.test CNAME", alias);
        assert_eq!(said_of_alias, "pop.test CNAME: added imap.test. (in the file), now imap.test.");
        let restored = said(None, "node11.test A", address());
        assert_eq!(restored, "node11.test A: added 192.0.2.11 (restored, whatever the health), now 192.0.2.11");
    }

    #[test]
    fn a_pinned_name_says_whom_its_guest_stands_in_for() {
        let change = |own: Member, before: &str, after: &str| {
            let pool = vec![node(11, Up, AdminState::Ready, Some("* OK ready"))];
            let pinned = Contribution::Pinned { own: [own].into(), when_down: WhenDown::Repoint, pool: pool.into() };
            let recipe = Recipe { ttl: Ttl(60), contributions: vec![pinned] };
            let set = |text: &str| Some(rrset(RrType::A, text));
            super::change(&Change { id: id("web10.test A"), before: set(before), after: set(after) }, Some(&recipe))
        };
        let down = node(10, Down, AdminState::Ready, Some("no banner in 5s"));
        assert_eq!(
            change(down, "60 192.0.2.10", "60 192.0.2.11"),
            "web10.test A: removed 192.0.2.10 (node10 imap is down: no banner in 5s), added 192.0.2.11 (node11 stands in: \
             node10 imap is down: no banner in 5s), now 192.0.2.11"
        );
        let back = node(10, Up, AdminState::Ready, Some("* OK hi"));
        assert_eq!(
            change(back, "60 192.0.2.11", "60 192.0.2.10"),
            "web10.test A: removed 192.0.2.11 (node11 stood in: node10 imap is up: * OK hi), added 192.0.2.10 (node10 imap \
             is up: * OK hi), now 192.0.2.10"
        );
    }
}
