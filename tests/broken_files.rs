//! Every broken file under `tests/data` is refused with exactly the message that stands beside it.

use std::fs;

use rotad::io::files;

#[test]
fn every_broken_file_gets_its_message() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("data");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let mut count = 0;
    // Relative, as cargo runs tests in the package's folder: the messages name no machine.
    for entry in fs::read_dir("tests/data").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let refused = files::load(&path).map(|loaded| loaded.cluster).expect_err(name);
        insta::assert_snapshot!(name, refused.to_string());
        count += 1;
    }
    assert!(count >= 40, "{count} broken files");
}
