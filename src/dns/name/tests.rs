use hickory_proto::{rr::Name, serialize::binary::BinEncodable};
use proptest::{collection::vec, prelude::*};

use super::*;

/// Labels of few different octets, so that names resemble each other.
fn labels_of() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let octet = prop_oneof![
        4 => prop::sample::select(b"aAbB".to_vec()),
        3 => prop::sample::select(b".\\\"@*;$()0467 -".to_vec()),
        1 => any::<u8>(),
    ];
    vec(vec(octet, 1..4), 0..5)
}

fn ours(labels: &[Vec<u8>]) -> OwnerName {
    OwnerName::from_labels(labels.iter().map(Vec::as_slice))
}

fn theirs(labels: &[Vec<u8>]) -> Name {
    let mut name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
    name.set_fqdn(true);
    name
}

/// The labels in lower case, for comparison.
fn wire(name: &Name) -> Vec<Vec<u8>> {
    name.iter().map(<[u8]>::to_ascii_lowercase).collect()
}

proptest! {
    #[test]
    fn names_relate_as_hickory_says(one in labels_of(), head in labels_of(), other in labels_of()) {
        let below = [head, one.clone()].concat();
        for (a, b) in [(&one, &other), (&below, &one), (&one, &below), (&one, &one)] {
            prop_assert_eq!(ours(a).is_at_or_below(&ours(b)), theirs(b).zone_of(&theirs(a)), "{:?} {:?}", a, b);
            prop_assert_eq!(ours(a) == ours(b), theirs(a) == theirs(b));
            prop_assert_eq!(ours(a).is_below(&ours(b)), theirs(b).zone_of(&theirs(a)) && theirs(a) != theirs(b));
        }
    }

    #[test]
    fn the_labels_and_the_names_above_are_those_of_hickory(labels in labels_of()) {
        let (name, mut hickory) = (ours(&labels), theirs(&labels));
        let own: Vec<_> = name.labels().map(|label| label.to_ascii_lowercase()).collect();
        prop_assert_eq!(own, wire(&hickory));
        prop_assert_eq!(name.octets(), hickory.to_bytes().unwrap().len());
        prop_assert_eq!(&OwnerName::from_presentation(&name.fqdn().to_string()), &name);
        prop_assert_eq!(&OwnerName::from_presentation(name.as_str()), &name);
        for above in name.ancestors() {
            hickory = hickory.base_name();
            let above = OwnerName::from_presentation(above);
            prop_assert_eq!(above.labels().map(|label| label.to_vec()).collect::<Vec<_>>(), wire(&hickory));
        }
        prop_assert!(hickory.iter().count() <= 1);
    }

    #[test]
    fn a_child_is_one_level_down(labels in labels_of()) {
        let (name, child) = (ours(&labels), ours(&labels).child("*").unwrap());
        prop_assert!(child.is_below(&name));
        prop_assert!(child.as_str().starts_with('*'));
        prop_assert_eq!(child.ancestors().next().map_or_else(OwnerName::root, OwnerName::from_presentation), name);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a.\\\\0-9é]{0,12}") {
        let name = OwnerName::from_presentation(&text);
        prop_assert!(name.ancestors().count() <= text.len());
        prop_assert!(name.labels().count() <= text.len());
    }
}

#[test]
fn an_escaped_dot_is_no_separator() {
    let name = OwnerName::from_presentation("A\\.B.Example.ORG.");
    assert_eq!(name.as_str(), "a\\.b.example.org");
    assert_eq!(name.ancestors().collect::<Vec<_>>(), ["example.org", "org"]);
    assert!(!name.is_at_or_below(&OwnerName::parse("b.example.org").unwrap()));
    assert!(!OwnerName::from_presentation("a\\.example.org").is_at_or_below(&OwnerName::parse("example.org").unwrap()));
    assert_eq!(name.child("*").unwrap().as_str(), "*.a\\.b.example.org");
    // The same octets in another writing.
    assert_eq!(OwnerName::from_presentation("\\065\\046b.example.org"), name);
}

#[test]
fn the_root_has_no_second_dot() {
    assert_eq!(OwnerName::root().fqdn().to_string(), ".");
    assert_eq!(OwnerName::parse("example.org").unwrap().fqdn().to_string(), "example.org.");
    assert_eq!(OwnerName::root().child("org").unwrap().as_str(), "org");
    assert_eq!(OwnerName::from_presentation("."), OwnerName::root());
}

#[test]
fn a_child_leaves_room_for_all_of_its_labels() {
    let long = OwnerName::from_labels([&[b'.'; 63][..], &[b' '; 63], &[b'a'; 63], &[b'b'; 59]]);
    assert_eq!(long.octets(), 253);
    assert_eq!(long.child("*").unwrap().octets(), 255);
    assert_eq!(long.child("aa"), Err(NameError::TooLong(256)));
}
