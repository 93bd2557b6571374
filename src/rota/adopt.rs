//! `rotad adopt`: takes over zones that are foreign or on standby, and sets of strangers in zones of ours.

use std::{collections::BTreeSet, time::Instant};

use super::{Rota, sync::capped};
use crate::{
    control::Answer,
    desired,
    dns::{OwnerName, RrType, RrsetId},
    event::{Event, Kind},
    plan::grant,
    status::ZoneState,
    text::{self, printable},
    zone::Zone,
};

#[cfg(test)]
mod tests;

/// What is to be taken over, as an operator says it: a zone, a name or a pattern, and of a name perhaps one type.
struct Selection<'a> {
    text: &'a str,
    rtype: Option<RrType>,
}

impl<'a> Selection<'a> {
    /// Words in a row: a type belongs to the name before it.
    fn all(words: &'a [String]) -> Vec<Self> {
        let mut selections: Vec<Self> = Vec::new();
        for word in words {
            let rtype = RrType::ALL.into_iter().find(|rtype| rtype.as_str().eq_ignore_ascii_case(word));
            match (rtype, selections.last_mut()) {
                (Some(rtype), Some(last)) if last.rtype.is_none() => last.rtype = Some(rtype),
                _ => selections.push(Self { text: word, rtype: None }),
            }
        }
        selections
    }

    fn is_pattern(&self) -> bool {
        self.text.contains('*')
    }

    /// Whether it means a name. Case does not matter, nor does a dot at the end.
    fn means(&self, name: &OwnerName) -> bool {
        text::fits(self.text, name.as_str())
    }

    fn means_set(&self, id: &RrsetId) -> bool {
        self.means(&id.owner) && self.rtype.is_none_or(|rtype| rtype == id.rtype)
    }
}

/// What was found for a selection.
#[derive(Default)]
struct Found {
    zones: BTreeSet<OwnerName>,
    sets: BTreeSet<(OwnerName, RrsetId)>,
    /// Zones that nobody can take over, and why.
    spent: Vec<String>,
}

impl Rota {
    /// Takes over what the words say, at the next turn of each zone and by compare-and-swap on the record as it was read.
    /// Of each the difference is shown first.
    pub(super) fn adopt(&mut self, now: Instant, words: &[String]) -> (Answer, Vec<Event>) {
        let (mut lines, mut refused, mut events) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = Found::default();
        for selection in Selection::all(words) {
            match self.find(&selection) {
                Ok(found) => {
                    all.zones.extend(found.zones);
                    all.sets.extend(found.sets);
                    refused.extend(found.spent);
                }
                Err(words) => refused.push(words),
            }
        }
        let when = self.waits_for().map_or_else(String::new, |waits| format!(", once {waits}"));
        for name in all.zones {
            let Some(zone) = self.zones.get_mut(&name) else { continue };
            let state = zone.state();
            zone.adopt();
            let event = Event::new(Kind::ZoneAdopted, format!("{name}: is taken over, was {}", state.as_str()));
            lines.extend(self.difference(now, &name, |_| true));
            lines.push(format!("{}{when}", event.message));
            events.push(event.zone(&name));
            self.call(&name);
        }
        for (name, id) in all.sets {
            let Some(zone) = self.zones.get_mut(&name) else { continue };
            let held = zone.foreign().get(&id).map(|data| data.iter().map(ToString::to_string).collect::<Vec<_>>());
            zone.adopt_sets([id.clone()]);
            let held = held.unwrap_or_default().join(", ");
            let layout = self.layout.zones.get(&name);
            let recipes = layout.map(|layout| desired::recipes(&self.cluster, layout, &self.standings));
            let needs = match recipes.filter(|recipes| !recipes.contains_key(&id)) {
                Some(_) => {
                    let grant = grant(&id.owner, &[id.rtype.as_str()]);
                    format!("; it is to be deleted, which the key must be allowed to: {grant}")
                }
                None => String::new(),
            };
            let event = Event::new(Kind::ZoneAdopted, format!("{id}: is taken over, held {}{needs}", printable(&held)));
            lines.extend(self.difference(now, &name, |owner| *owner == id.owner));
            lines.push(format!("{}{when}", event.message));
            events.push(event.zone(&name).rrset(&id));
            self.call(&name);
        }
        let is_done = refused.is_empty();
        lines.extend(capped(refused));
        let words = lines.join("\n");
        (if is_done { Answer::done(words) } else { Answer::refused(words) }, events)
    }

    /// What a selection means of all that is foreign or on standby.
    fn find(&self, selection: &Selection<'_>) -> Result<Found, String> {
        let mut found = Found::default();
        let text = printable(selection.text).into_owned();
        if !selection.is_pattern() {
            let name = OwnerName::parse(selection.text)
                .map_err(|error| format!("{text:?} is no zone and no name: {error}"))?;
            if let (None, Some(zone)) = (selection.rtype, self.zones.get(&name)) {
                return one_zone(&name, zone);
            }
        }
        for (name, zone) in &self.zones {
            if selection.rtype.is_none() && selection.means(name) {
                match zone.is_at_the_end() {
                    true => found.spent.push(cannot_be_taken(name, zone)),
                    false if is_takeable(zone) => {
                        found.zones.insert(name.clone());
                    }
                    false => {}
                }
            }
            let sets = zone.foreign().keys().filter(|id| selection.means_set(id));
            found.sets.extend(sets.map(|id| (name.clone(), id.clone())));
        }
        if !found.zones.is_empty() || !found.sets.is_empty() || !found.spent.is_empty() {
            return Ok(found);
        }
        let holder = self
            .zones
            .iter()
            .find(|(zone, _)| OwnerName::parse(selection.text).is_ok_and(|name| name.is_at_or_below(zone)));
        Err(match holder {
            Some((zone, life)) if is_takeable(life) => {
                format!(
                    "{text} lies in {zone}, which is {} as a whole: run `rotad adopt {zone}`",
                    life.state().as_str()
                )
            }
            Some((_, life)) if is_unmanaged(life, selection) => format!(
                "{text}: what stands there is of types that rotad does not manage and never deletes: delete it by hand \
                 (nsupdate), or take the name out of the file"
            ),
            Some((zone, _)) => format!(
                "{text}: there is nothing to take over: {zone} holds no data of strangers there; `rotad status` lists what is foreign"
            ),
            None if selection.is_pattern() => {
                format!("{text}: nothing that is foreign or on standby fits; `rotad status` lists what is")
            }
            None => format!("{text} is no zone of the file in force; `rotad status --json` lists them"),
        })
    }

    /// What would be changed at some names of a zone, as lines of a zone file.
    fn difference(&self, now: Instant, name: &OwnerName, is_shown: impl Fn(&OwnerName) -> bool) -> Vec<String> {
        let elsewhere = |target: &OwnerName| self.is_target_elsewhere(name, target);
        let preview = self.zones.get(name).and_then(|zone| zone.preview(self.turn(now, name, &elsewhere)));
        let changes = preview.map(|preview| preview.plan.changes).unwrap_or_default();
        let changes = changes.iter().filter(|change| is_shown(&change.id.owner));
        changes.flat_map(|change| change.to_string().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

fn is_takeable(zone: &Zone) -> bool {
    matches!(zone.state(), ZoneState::Foreign | ZoneState::Standby) && !zone.is_at_the_end()
}

/// Whether what stands at a name is of types that are not managed.
fn is_unmanaged(zone: &Zone, selection: &Selection<'_>) -> bool {
    let is_foreign = zone.foreign_names().iter().any(|name| selection.means(name));
    is_foreign && !zone.foreign().keys().any(|id| selection.means(&id.owner))
}

fn cannot_be_taken(name: &OwnerName, zone: &Zone) -> String {
    format!("{name}: {}", zone.error().unwrap_or("cannot be taken over"))
}

/// A zone that was named: it as a whole, or all that is foreign in it.
fn one_zone(name: &OwnerName, zone: &Zone) -> Result<Found, String> {
    let sets: BTreeSet<_> = zone.foreign().keys().map(|id| (name.clone(), id.clone())).collect();
    match zone.state() {
        _ if zone.is_at_the_end() => Err(cannot_be_taken(name, zone)),
        _ if is_takeable(zone) => Ok(Found { zones: [name.clone()].into(), ..Found::default() }),
        _ if !sets.is_empty() => Ok(Found { sets, ..Found::default() }),
        state => Err(format!(
            "{name} is {}, and there is nothing to take over: only a foreign or standby zone is, and data of strangers in \
             one of ours",
            state.as_str()
        )),
    }
}
