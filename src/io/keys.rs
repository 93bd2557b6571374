//! Loads the TSIG keys.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::OFlags,
    process::{Resource, Rlimit, geteuid, getrlimit, setrlimit},
};
use zeroize::Zeroizing;

use crate::{
    cluster::KeySource,
    tsig::{KeyError, Keys},
};

/// Octets of a key file at most: hundreds of keys.
const LIMIT: u64 = 64 * 1024;

/// Why the keys could not be loaded: names the file, the cause and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("{path}: the key file cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a file of a sensible size.
    #[error("{0}: this is not a file of `key` clauses; make one with `tsig-keygen NAME > FILE`")]
    NotAKeyFile(PathBuf),
    /// Others can read or write it.
    #[error("{path}: others can read or write the key file (mode {mode:04o}); run `chmod 0600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path}: the key file belongs to uid {owner}, neither to root nor to rotad; run `chown root {path}`")]
    OthersFile {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// There are no credentials.
    #[error(
        "credential \"{0}\": $CREDENTIALS_DIRECTORY is not set; add `LoadCredential={0}:/etc/rotad/rotad.key` to the unit, or use `key_file`"
    )]
    NoCredentials(String),
    /// Its content is wrong.
    #[error(transparent)]
    Clauses(#[from] KeyError),
}

/// Reads the keys and refuses a file that others can read or write; its group may read (Debian's are `root:bind 0640`).
///
/// From here on the process leaves no core dump. A symbolic link is followed (Kubernetes mounts secrets so); what counts is the file that is open.
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
    let unreadable = |source| LoadError::Unreadable { path: path.clone(), source };
    // A FIFO in the file's place must not hold us up.
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(&path).map_err(unreadable)?;
    check(&path, &file)?;
    // Room for all of it at once: growing would leave copies of the secret behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(LIMIT).unwrap_or(0) + 1));
    file.take(LIMIT + 1).read_to_end(&mut text).map_err(unreadable)?;
    let text = std::str::from_utf8(&text).map_err(|_| LoadError::NotAKeyFile(path.clone()))?;
    Ok(Keys::parse(text, &path.display().to_string(), allow_weak)?)
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

fn check(path: &Path, file: &File) -> Result<(), LoadError> {
    let path = path.to_owned();
    let found = match file.metadata() {
        Ok(found) => found,
        Err(source) => return Err(LoadError::Unreadable { path, source }),
    };
    let mode = found.mode() & 0o7777;
    if !found.is_file() || found.len() > LIMIT {
        Err(LoadError::NotAKeyFile(path))
    } else if mode & 0o027 != 0 {
        Err(LoadError::Exposed { path, mode })
    } else if found.uid() != 0 && found.uid() != geteuid().as_raw() {
        Err(LoadError::OthersFile { path, owner: found.uid() })
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
        let link = directory.path().join("link.key");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        load(&KeySource::File(link), false)
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
                assert!(error.to_string().contains("chmod 0600"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_key_file_is_told_without_its_content() {
        let broken = CLAUSE.replace("==", "!");
        for text in ["", broken.as_str(), "bWFya2VyLXNlY3JldA==", "key bWFya2VyLXNlY3JldA== {"] {
            let error = with(0o600, text).unwrap_err();
            assert!(error.to_string().contains("link.key:1: "), "{error}");
            assert!(
                error.to_string().contains("tsig-keygen") || error.to_string().contains("not a key's name"),
                "{error}"
            );
            assert!(!format!("{error} {error:?}").contains("bWFya"), "{error}");
        }
        let missing = load(&KeySource::File("/nonexistent/rotad.key".into()), false).unwrap_err();
        assert!(missing.to_string().starts_with("/nonexistent/rotad.key: the key file cannot be read: "), "{missing}");
        assert!(matches!(load(&KeySource::File("/dev".into()), false), Err(LoadError::NotAKeyFile(_))));
    }
}
