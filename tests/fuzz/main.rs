//! The corpus of every reader, as it is and in pieces, as an ordinary test.

mod targets;

use std::{fs, path::Path};

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 9] = [
    ("agent", targets::agent),
    ("authorities", targets::authorities),
    ("dns", targets::dns),
    ("exec", targets::exec),
    ("http", targets::http),
    ("imap", targets::imap),
    ("pop3", targets::pop3),
    ("smtp", targets::smtp),
    ("state", targets::state),
];

#[test]
fn the_corpus_holds() {
    for (name, target) in TARGETS {
        let folder = Path::new("tests/fuzz/corpus").join(name);
        let mut count = 0;
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let said = fs::read(entry.unwrap().path()).unwrap();
            count += 1;
            target(&said);
            for end in 0..said.len().min(300) {
                target(&said[..end]);
                let mut spoiled = said.clone();
                spoiled[end] ^= 0x8a;
                target(&spoiled);
            }
        }
        assert!(count >= 3, "{}: {count} files", folder.display());
    }
}

#[test]
fn every_target_can_be_searched_for_more() {
    let manifest = fs::read_to_string("tests/fuzz/Cargo.toml").unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")), "{name}");
        let wrapper = fs::read_to_string(format!("tests/fuzz/fuzz_targets/{name}.rs")).unwrap();
        assert!(wrapper.contains(&format!("targets::{name}(data)")), "{name}");
    }
}
