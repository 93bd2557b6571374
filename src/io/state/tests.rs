use std::os::unix::fs::{PermissionsExt, chown, symlink};

use rustix::fs::{CWD, mkfifoat};
use tempfile::TempDir;

use super::*;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    (directory, path)
}

fn load(path: &Path) -> Loaded {
    StateDir::open(path).unwrap().load("mail").unwrap()
}

fn refused(path: &Path) -> String {
    match StateDir::open(path).and_then(|directory| directory.load("mail").map(|_| ())) {
        Err(StateError::Forbidden { path, cause }) => format!("{}: {cause}", path.display()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_file_holds_until_a_person_says_otherwise_and_so_does_a_restart() {
    let (_kept, path) = directory();
    let file = path.join("state");
    let good = State::new("mail", "machine").encode();
    for (number, damaged) in [&good[..good.len() / 2], "", "noise", "rotad-state-1 00\n{}\n"].into_iter().enumerate() {
        fs::write(&file, damaged).unwrap();
        let Loaded { state, trouble } = load(&path);
        let hold = state.hold.unwrap();
        assert_eq!((hold.by.as_deref(), hold.until), (Some("rotad"), None));
        let reason = hold.reason.as_ref().unwrap();
        assert!(reason.contains("the state file was damaged") && reason.contains("state.bad"), "{reason}");
        assert!(trouble.unwrap().message.contains("until `rotad release`"));
        let aside = if number == 0 { "state.bad".to_owned() } else { format!("state.bad.{}", number + 1) };
        assert_eq!(fs::read_to_string(path.join(aside)).unwrap(), damaged);
        // The same again is not kept again; a start with the good file of the hold holds as before.
        assert_eq!(load(&path).state.hold.unwrap().words(), hold.words());
    }
    assert_eq!(fs::read_to_string(path.join("state.bad")).unwrap(), good[..good.len() / 2]);
    let names = || fs::read_dir(&path).unwrap().count();
    let many = names();
    fs::write(&file, "noise").unwrap();
    load(&path);
    assert_eq!(names(), many, "the same damage is kept once");
    // Nothing that was kept is overwritten.
    for number in 5..20 {
        fs::write(&file, format!("noise {number}")).unwrap();
        assert!(load(&path).state.hold.is_some());
    }
    assert_eq!(names(), 2 + KEPT);
}

#[test]
fn a_damaged_file_of_which_no_copy_can_be_made_is_not_written_over() {
    let (_kept, path) = directory();
    let (file, bad) = (path.join("state"), |number: usize| match number {
        1 => path.join("state.bad"),
        number => path.join(format!("state.bad.{number}")),
    });
    for number in 1..=KEPT {
        fs::write(bad(number), format!("older damage {number}")).unwrap();
    }
    fs::write(&file, "the only copy").unwrap();
    let directory = StateDir::open(&path).unwrap();
    for _ in 0..2 {
        let Loaded { state, trouble } = directory.load("mail").unwrap();
        let words = trouble.unwrap().message;
        assert!(state.hold.is_some() && words.contains("look at them and remove them"), "{words}");
        assert!(words.contains("it is not written over") && words.contains("`rotad release`"), "{words}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "the only copy");
    }
    // Whatever is to be saved later: a hold that was released, say.
    let released = State::new("mail", "machine");
    for _ in 0..3 {
        let error = directory.save(&released).unwrap_err().to_string();
        assert!(error.contains("is damaged and not written over") && error.contains("make room"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "the only copy");
    }
    // The next run holds again.
    drop(directory);
    let directory = StateDir::open(&path).unwrap();
    assert!(directory.load("mail").unwrap().state.hold.is_some());
    // There is room again: the copy is made, then the state is saved.
    fs::remove_file(bad(4)).unwrap();
    directory.save(&released).unwrap();
    assert_eq!(fs::read_to_string(bad(4)).unwrap(), "the only copy");
    assert_eq!(directory.load("mail").unwrap().state, released);
    // Or somebody takes the file away.
    fs::write(&file, "other damage").unwrap();
    assert!(directory.load("mail").unwrap().state.hold.is_some());
    fs::rename(&file, path.join("away")).unwrap();
    directory.save(&released).unwrap();
    assert_eq!(directory.load("mail").unwrap().state, released);
}

#[test]
fn without_room_for_a_copy_the_damaged_file_keeps_a_second_name() {
    let (_kept, path) = directory();
    let file = path.join("state");
    fs::write(&file, "damaged").unwrap();
    let directory = StateDir::open(&path).unwrap();
    fs::write(path.join("state.bad"), "half of a co").unwrap();
    directory.name_again("state.bad").unwrap();
    directory.save(&State::new("mail", "machine")).unwrap();
    assert_eq!(fs::read_to_string(path.join("state.bad")).unwrap(), "damaged");
    assert!(directory.load("mail").unwrap().trouble.is_none());
}

#[test]
fn what_may_not_be_read_ends_the_start_and_is_left_as_it_is() {
    let (kept, path) = directory();
    let file = path.join("state");
    let victim = kept.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in ["state", "state.new", "state.bad", "lock"] {
        let place = path.join(name);
        for (what, words) in [("link", "symbolic link"), ("directory", "directory"), ("fifo", "FIFO"), ("other", "uid")]
        {
            match what {
                "link" => symlink(&victim, &place).unwrap(),
                "directory" => fs::create_dir(&place).unwrap(),
                "fifo" => mkfifoat(CWD, &place, MODE).unwrap(),
                _ => {
                    fs::write(&place, "").unwrap();
                    chown(&place, Some(65_534), None).unwrap();
                }
            }
            let found = fs::symlink_metadata(&place).unwrap().ino();
            let said = refused(&path);
            assert!(said.starts_with(&place.display().to_string()) && said.contains(words), "{what}: {said}");
            assert_eq!(fs::symlink_metadata(&place).unwrap().ino(), found);
            if what == "directory" { fs::remove_dir(&place).unwrap() } else { fs::remove_file(&place).unwrap() }
        }
    }
    fs::hard_link(&victim, path.join("lock")).unwrap();
    assert!(refused(&path).contains("more than one name"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_file(path.join("lock")).unwrap();
    fs::write(&file, State::new("web", "machine").encode()).unwrap();
    let other = StateDir::open(&path).unwrap().load("mail");
    assert!(matches!(other, Err(StateError::OtherCluster { .. })), "{other:?}");
    assert!(peek(&path, "mail").unwrap_err().contains("cluster \"web\""));
    assert!(!path.join("state.bad").exists());
    // A link that comes while it runs leads nowhere either.
    let directory = StateDir::open(&path).unwrap();
    symlink(&victim, path.join("state.new")).unwrap();
    directory.save(&State::new("mail", "machine")).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(directory.load("mail").unwrap().state.hold.is_none());
}

#[test]
fn a_directory_of_somebody_else_or_of_everybody_is_refused() {
    let (_kept, path) = directory();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(refused(&path).contains("chmod o-w"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(load(&path).trouble.is_none());
    chown(&path, Some(65_534), None).unwrap();
    assert!(refused(&path).contains("belongs to uid 65534"));
}

#[test]
fn h6_what_other_machines_have_as_well_is_no_id_of_this_one() {
    for (text, is_id) in [
        ("0123456789abcdef0123456789abcdef", true),
        ("uninitialized", false),
        ("00000000000000000000000000000000", false),
        ("0123456789abcdef0123456789abcde", false),
        ("0123456789abcdef0123456789abcdef0", false),
        ("0123456789abcdef0123456789abcdeg", false),
        ("", false),
    ] {
        assert_eq!(is_machine_id(text), is_id, "{text}");
    }
    // Without one: the same until the next boot, by which time it has been saved.
    assert_eq!(newcomer("mail").me, newcomer("mail").me);
    assert_eq!(without_machine_id(&newcomer("mail").me).is_none(), machine_id().is_some());
}

#[test]
fn h4_who_types_a_command_is_not_who_rotad_runs_as() {
    let system = |kind: ErrorKind| StateError::system(Path::new("/var/lib/rotad"), io::Error::from(kind)).to_string();
    let words = [system(ErrorKind::PermissionDenied), system(ErrorKind::ReadOnlyFilesystem)];
    for words in words {
        assert!(words.contains("run as that user or as root") && !words.contains("chown"), "{words}");
        assert!(!words.contains("rotad runs as (uid"), "{words}");
    }
}

#[test]
fn a_state_that_no_start_could_read_does_not_take_the_place_of_the_one_before() {
    let most = usize::try_from(MAX_STATE).unwrap();
    assert!(check_size(most).is_ok());
    let error = check_size(most + (1 << 20)).unwrap_err().to_string();
    assert!(error.contains("257 MiB") && error.contains("256 MiB"), "{error}");
}

#[test]
fn what_a_start_would_not_find_is_not_said_to_be_saved() {
    let (_parent, path) = directory();
    let held = StateDir::open(&path).unwrap();
    let Loaded { state, .. } = held.load("mail").unwrap();
    held.save(&state).unwrap();
    let old = path.with_extension("old");
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    let error = held.save(&state).unwrap_err().to_string();
    assert!(error.contains("was moved or replaced"), "{error}");
    fs::remove_dir(&path).unwrap();
    fs::rename(&old, &path).unwrap();
    held.save(&state).unwrap();
}
