//! What another version has written and this one does not know: kept as it was, and written back.

use std::{collections::BTreeMap, mem, net::IpAddr, time::SystemTime};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{WrittenLeftOver, parse_left_over, parse_set, plain_hold};
use crate::{flap::Past, health::PastWish, overrides::Hold, status::Stamp, zone::Mark};

/// The reason of a hold that cannot be read: it holds all the same.
const UNREADABLE_HOLD: &str = "a hold of another version of rotad, which this one cannot read";

type Object = Map<String, Value>;

/// What is not known, in the places where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rest(BTreeMap<String, Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// All of it is unknown: written where we have nothing to write.
    Whole(Value),
    /// Some entries of a map are unknown, or parts of them: written although nothing else is in the map.
    Entries(Rest),
    /// An object has more fields: written as long as there is such an object.
    Fields(Object),
    /// What we read it as, and what it was: written as long as we would write what we read.
    Instead(Value, Value),
}

/// What becomes of a value: what is known of it, and the rest.
type Sifted = (Option<Value>, Option<Part>);

impl Rest {
    /// Whether all is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a document apart: what this version knows, and the rest.
    pub(super) fn sift(document: Value) -> (Value, Self) {
        let Value::Object(document) = document else { return (document, Self::default()) };
        let (known, rest) = split(document, |section, value| match section {
            "cluster" | "owner" => (Some(value), None),
            // Without it nothing is known of what is ours: whoever reads it then refuses it.
            "zones" if !value.is_object() => (Some(value), None),
            "zones" => entries(value, |_, sets| entries(sets, set)),
            "missing" => entries(value, |_, sets| entries(sets, set)),
            "marks" => entries(value, |_, mark| record::<Mark>(mark, &["serial", "generation", "ttls"])),
            "ttl_limits" => entries(value, |_, limit| whole(u32::deserialize(&limit).is_ok(), limit)),
            "generations" => entries(value, |_, generation| whole(generation.is_u64(), generation)),
            "left_over" => entries(value, |_, sets| entries(sets, left_over)),
            "hold" => hold(value),
            "file" => whole(value.is_string() || value.is_null(), value),
            "damping" => targets(value, |value| record::<Past>(value, &["up", "downs", "hold"])),
            "agents" => targets(value, |value| record::<PastWish>(value, &["wish", "since", "says"])),
            _ => whole(false, value),
        });
        (Value::Object(known), rest)
    }

    /// Puts the rest back into its places.
    pub(super) fn merged_into(&self, known: Value) -> Value {
        let Value::Object(mut known) = known else { return known };
        for (key, part) in &self.0 {
            let new = match (part, known.get_mut(key).map(mem::take)) {
                (Part::Whole(value), None) => value.clone(),
                (Part::Entries(rest), old) => rest.merged_into(old.unwrap_or_else(|| Object::new().into())),
                (Part::Fields(fields), Some(Value::Object(object))) => {
                    Value::Object(fields.clone().into_iter().chain(object).collect())
                }
                (Part::Instead(read, was), Some(old)) if *read == old => was.clone(),
                // What we write is newer; and fields without their object belong to nothing.
                (_, Some(old)) => old,
                (_, None) => continue,
            };
            known.insert(key.clone(), new);
        }
        known.into()
    }
}

/// Takes each entry of a map apart.
fn split(map: Object, mut sift: impl FnMut(&str, Value) -> Sifted) -> (Object, Rest) {
    let (mut known, mut rest) = (Object::new(), Rest::default());
    for (key, value) in map {
        let (part, unknown) = sift(&key, value);
        rest.0.extend(unknown.map(|unknown| (key.clone(), unknown)));
        known.extend(part.map(|part| (key, part)));
    }
    (known, rest)
}

/// All or nothing.
fn whole(is_known: bool, value: Value) -> Sifted {
    if is_known { (Some(value), None) } else { (None, Some(Part::Whole(value))) }
}

/// A map, each entry of which may be unknown.
fn entries(value: Value, sift: impl FnMut(&str, Value) -> Sifted) -> Sifted {
    let Value::Object(map) = value else { return whole(false, value) };
    let (known, rest) = split(map, sift);
    (Some(known.into()), (!rest.is_empty()).then_some(Part::Entries(rest)))
}

/// An object whose known fields make a `T`.
fn record<T: DeserializeOwned>(value: Value, fields: &[&str]) -> Sifted {
    let Value::Object(object) = value else { return whole(false, value) };
    let (known, unknown): (Object, Object) =
        object.clone().into_iter().partition(|(field, _)| fields.contains(&field.as_str()));
    let known = Value::Object(known);
    if T::deserialize(&known).is_err() {
        return whole(false, object.into());
    }
    (Some(known), (!unknown.is_empty()).then_some(Part::Fields(unknown)))
}

/// An owned `RRset`.
fn set(id: &str, data: Value) -> Sifted {
    let is_known = Vec::<String>::deserialize(&data).is_ok_and(|data| parse_set(id, &data).is_some());
    whole(is_known, data)
}

fn left_over(id: &str, value: Value) -> Sifted {
    let (known, rest) = record::<WrittenLeftOver>(value.clone(), &["since", "data", "missing"]);
    let read = known.as_ref().and_then(|known| WrittenLeftOver::deserialize(known).ok());
    if read.is_some_and(|read| parse_left_over(id, &read).is_some()) { (known, rest) } else { whole(false, value) }
}

/// By node, check and address.
fn targets(value: Value, sift: impl Fn(Value) -> Sifted) -> Sifted {
    let one = |address: &str, value: Value| match address.parse::<IpAddr>() {
        Ok(_) => sift(value),
        Err(_) => whole(false, value),
    };
    entries(value, |_, checks| entries(checks, |_, addresses| entries(addresses, one)))
}

/// A hold holds, whatever it says: one that cannot be read does until `rotad release`.
fn hold(value: Value) -> Sifted {
    if value.is_null() || plain_hold(&value).is_some() {
        return (Some(value), None);
    }
    let read = Hold::deserialize(&value).unwrap_or_else(|_| {
        let since = value.get("since").and_then(|since| Stamp::deserialize(since).ok());
        let since = since.unwrap_or(Stamp(SystemTime::UNIX_EPOCH));
        Hold { since, until: None, by: None, reason: Some(UNREADABLE_HOLD.to_owned()) }
    });
    match serde_json::to_value(&read) {
        Ok(read) => (Some(read.clone()), Some(Part::Instead(read, value))),
        Err(_) => (Some(value), None),
    }
}
