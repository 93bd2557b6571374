//! Loads the TSIG keys.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

use super::read_file::{Links, ReadError, read_file};
use crate::{
    cluster::KeySource,
    text,
    tsig::{KeyError, Keys},
};

/// Octets of a key file at most: hundreds of keys. Whoever watches it looks at no more than that either.
pub const MAX_KEY: u64 = 64 << 10;

/// Why the keys could not be loaded: names the file, the cause and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("{}: the key file cannot be read: {cause}{}", text::path(.path), .cause.next_step())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: ReadError,
    },
    /// Its content is no text.
    #[error("{}: this is not a file of `key` clauses, such as `tsig-keygen NAME` prints", text::path(.0))]
    NotAKeyFile(PathBuf),
    /// Others can read or write it.
    #[error(
        "{path}: others can read the key file, or its group can write it (mode {mode:04o}); where the user that rotad runs as owns it or is in its group, run `chmod g-w,o= {path}`; else give it to a group of that user first (chgrp), for rotad must read it", path = text::path(.path)
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "{path}: the key file belongs to uid {owner}, and this is uid {us}: run this command as root or as the user that rotad runs as (runuser -u USER -- rotad ...); the key must be root's or that user's, and nobody else's", path = text::path(.path)
    )]
    OthersFile {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// There are no credentials.
    #[error(
        "credential \"{0}\": $CREDENTIALS_DIRECTORY is not set, which systemd does for the unit alone; the unit needs `LoadCredential={0}:/etc/rotad/rotad.key`, and commands by hand need `key_file` or a unit of their own (systemd-run -p LoadCredential={0}:/etc/rotad/rotad.key)"
    )]
    NoCredentials(String),
    /// Its content is wrong.
    #[error(transparent)]
    Clauses(#[from] KeyError),
}

/// Reads the keys and refuses a file that others can read or write; its group may read (Debian's are `root:bind 0640`).
/// root may use any owner's key: an operator's `plan` reads what the daemon's user owns.
///
/// From here on the process leaves no core dump. A symbolic link in the file's place is not followed; one among its folders
/// is (Kubernetes mounts secrets so: `key_file: ..data/rotad.key`).
///
/// # Errors
/// [`LoadError`].
pub fn load(source: &KeySource, allow_weak: bool) -> Result<Keys, LoadError> {
    leave_no_core();
    let path = match source {
        KeySource::File(path) => path.clone(),
        KeySource::Credential(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|directory| Path::new(&directory).join(name))
            .ok_or_else(|| LoadError::NoCredentials(name.clone()))?,
    };
    let content = read_file(&path, MAX_KEY, Links::Refuse)
        .map_err(|cause| LoadError::Unreadable { path: path.clone(), cause })?;
    check(&path, &content.metadata, geteuid().as_raw())?;
    let text = std::str::from_utf8(&content.bytes).map_err(|_| LoadError::NotAKeyFile(path.clone()))?;
    Ok(Keys::parse(text, &text::path(&path), allow_weak)?)
}

/// A core dump would hold the keys. In the unit `LimitCORE=0` sees to it, and this may be forbidden there.
fn leave_no_core() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if getrlimit(Resource::Core) != none
        && let Err(error) = setrlimit(Resource::Core, none)
    {
        tracing::debug!(target: "rotad", "core dumps cannot be turned off: {error}");
    }
}

/// Whether a file's owner and mode are those of a secret, for a process of user `us`.
fn check(path: &Path, found: &Metadata, us: u32) -> Result<(), LoadError> {
    let path = path.to_owned();
    let mode = found.mode() & 0o7777;
    if mode & 0o027 != 0 {
        Err(LoadError::Exposed { path, mode })
    } else if us != 0 && found.uid() != 0 && found.uid() != us {
        Err(LoadError::OthersFile { path, owner: found.uid(), us })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const CLAUSE: &str = "key \"k\" { algorithm hmac-sha256; secret \"bWFya2VyLXNlY3JldA==\"; };\n";

    fn with(mode: u32, text: &str) -> Result<Keys, LoadError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rotad.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        load(&KeySource::File(path), false)
    }

    #[test]
    fn only_a_private_file_is_taken() {
        for (mode, taken) in [
            (0o400, true),
            (0o600, true),
            (0o640, true),
            (0o440, true),
            (0o644, false),
            (0o660, false),
            (0o604, false),
            (0o602, false),
        ] {
            let result = with(mode, CLAUSE);
            assert_eq!(result.is_ok(), taken, "mode {mode:04o}: {result:?}");
            if let Err(error) = result {
                assert!(error.to_string().contains("chmod g-w,o= "), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_key_file_is_told_without_its_content() {
        let broken = CLAUSE.replace("==", "!");
        for text in ["", broken.as_str(), "bWFya2VyLXNlY3JldA==", "key bWFya2VyLXNlY3JldA== {"] {
            let error = with(0o600, text).unwrap_err();
            assert!(error.to_string().contains("rotad.key:1: "), "{error}");
            assert!(
                error.to_string().contains("tsig-keygen") || error.to_string().contains("not a key's name"),
                "{error}"
            );
            assert!(!format!("{error} {error:?}").contains("bWFya"), "{error}");
        }
        let missing = load(&KeySource::File("/nonexistent/rotad.key".into()), false).unwrap_err();
        assert!(missing.to_string().starts_with("/nonexistent/rotad.key: the key file cannot be read: "), "{missing}");
        let folder = load(&KeySource::File("/dev".into()), false).unwrap_err();
        assert_eq!(folder.to_string(), "/dev: the key file cannot be read: it is a directory, not a regular file");
    }

    #[test]
    fn d6_a_link_in_the_keys_place_is_not_followed_but_its_folder_may_be_one() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("1")).unwrap();
        fs::write(at("1/rotad.key"), CLAUSE).unwrap();
        fs::set_permissions(at("1/rotad.key"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("1", at("..data")).unwrap();
        std::os::unix::fs::symlink("1/rotad.key", at("rotad.key")).unwrap();
        load(&KeySource::File(at("..data/rotad.key")), false).unwrap();
        let error = load(&KeySource::File(at("rotad.key")), false).unwrap_err().to_string();
        assert!(error.contains("symbolic link, which is not followed here; write the path of the file"), "{error}");
    }

    #[test]
    fn d16_root_reads_the_key_of_any_owner_and_no_advice_takes_it_from_the_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rotad.key");
        fs::write(&path, CLAUSE).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        // Whose it is can be chosen by root alone.
        let _ = std::os::unix::fs::chown(&path, Some(999), Some(999));
        let found = fs::metadata(&path).unwrap();
        let owner = found.uid();
        assert!(check(&path, &found, 0).is_ok() && check(&path, &found, owner).is_ok());
        // Whoever types a command is not who rotad runs as.
        let words = check(&path, &found, owner + 1).unwrap_err().to_string();
        assert!(words.contains("run this command as root or as the user that rotad runs as"), "{words}");
        assert!(!words.contains("chown"), "{words}");
    }
}
