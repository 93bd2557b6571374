//! Reads cluster.yaml and the files that it names.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{
    keys::MAX_KEY,
    memory,
    read_file::{Content, Links, ReadError, read_file},
};
use crate::{
    cluster::{self, Cluster},
    config::{self, Checked, Draft, Problem, Source},
    text,
};

/// Bytes of cluster.yaml: 100,000 domains written out are 7 MB; more belongs in a domain list.
pub const MAX_FILE: u64 = 8 << 20;
/// Bytes of the domain lists and `tls_ca` files together: a million domains and more. While one is read the unit's
/// `MemoryMax` has to hold it twice.
pub const MAX_NAMED: u64 = 32 << 20;
/// Bytes of a `tls_ca` file: twenty times what a system trusts.
pub const MAX_AUTHORITIES: u64 = 4 << 20;
/// What the unit's `MemoryMax` allows.
const UNIT_MEMORY: u64 = 512 << 20;

/// A good file.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub cluster: Arc<Cluster>,
    /// What deserves a look all the same: the first hundred, and a line that counts the others.
    pub warnings: Vec<Problem>,
    /// A hash of the content of all of them: the same on each machine that has the same files.
    pub hash: String,
    /// The files that were read.
    pub inputs: Inputs,
    /// The key file, if the key comes from one. It is not looked at here.
    pub key: Option<PathBuf>,
}

impl Loaded {
    /// The key file as it is now. Where its file system hangs, this does not end.
    #[must_use]
    pub fn key_now(&self) -> Inputs {
        Inputs(self.key.iter().map(|path| (path.clone(), Input::of(path, MAX_KEY))).collect())
    }

    /// The same if it is of the cluster that runs: a start with another name over the same state ends.
    ///
    /// # Errors
    /// What to do instead.
    pub fn of_cluster(self, path: &Path, running: &str) -> Result<Self, LoadError> {
        if self.cluster.name == running {
            return Ok(self);
        }
        let words = format!(
            "cluster: \"{}\" is another name than \"{running}\", as which rotad runs: the zones' generation records and the state \
             in {} are of \"{running}\", so that a start would end (78); write \"{running}\" again. To rename it all the same: \
             stop rotad, move the file \"state\" out of its state directory, start it, and run `rotad adopt` for its zones",
            self.cluster.name,
            text::path(&self.cluster.state_dir)
        );
        Err(LoadError::of(Problem::of_file(text::path(path), words), self.inputs))
    }
}

/// The files that a cluster was read from, as they were: what tells an edit from a touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs(pub BTreeMap<PathBuf, Input>);

/// One file as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// The bytes that it may have.
    pub most: u64,
    /// A hash of its content, or of what stands in its place; `None`: it could not be read.
    pub hash: Option<u64>,
}

impl Input {
    /// Looks at a file without understanding it.
    #[must_use]
    pub fn of(path: &Path, most: u64) -> Self {
        Self { most, hash: hash_of(&read_file(path, most, Links::Follow)) }
    }

    /// Whether there is nothing to read: so it looks in the midst of an edit.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.hash.is_none_or(|hash| hash == content_hash(&[]))
    }
}

impl Inputs {
    /// The same files as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        Self(self.0.iter().map(|(path, input)| (path.clone(), Input::of(path, input.most))).collect())
    }

    /// Whether some file that had a content in `before` is gone or empty now.
    #[must_use]
    pub fn vanished_since(&self, before: &Self) -> bool {
        self.0.iter().any(|(path, now)| now.is_empty() && before.0.get(path).is_some_and(|before| !before.is_empty()))
    }
}

/// A file that was refused: what is wrong with it.
#[derive(Debug)]
pub struct LoadError {
    /// The first hundred problems, in the order of the files. Never empty.
    pub problems: Vec<Problem>,
    /// How many there are beyond those.
    pub more: usize,
    /// What deserves a look as well.
    pub warnings: Vec<Problem>,
    /// The files that were read.
    pub inputs: Inputs,
    /// Whether we may not read cluster.yaml.
    pub is_forbidden: bool,
}

impl LoadError {
    fn of(problem: Problem, inputs: Inputs) -> Self {
        Self { problems: vec![problem], more: 0, warnings: Vec::new(), inputs, is_forbidden: false }
    }

    /// How many problems there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.problems.len() + self.more
    }

    /// The first problem in one line, and how many more there are.
    #[must_use]
    pub fn headline(&self) -> String {
        let first = self.problems.first().map(Problem::headline).unwrap_or_default();
        match self.count().saturating_sub(1) {
            0 => first,
            1 => format!("{first} (and 1 problem more)"),
            more => format!("{first} (and {} problems more)", text::count(more)),
        }
    }
}

/// The problems with their snippets, and how many more there are.
impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n\nand {} more", text::count(more)),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads and checks cluster.yaml, its domain lists and its `tls_ca` files.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let mut inputs = Inputs::default();
    let name = text::path(path);
    let content = match read(path, MAX_FILE, &mut inputs) {
        Ok(content) => content,
        Err(cause) => {
            return Err(load_error(name, cause, inputs));
        }
    };
    let mut digest = Sha256::new();
    add_to(&mut digest, content.as_bytes());
    let folder = path.parent().unwrap_or(Path::new(""));
    let source = Source::new(name, &content);
    drop(content);
    let memory = memory::limit();
    let draft = Draft::new(&source, folder).at_most(most_domains(memory));
    let lists = draft.lists().into_iter().map(|path| (path, MAX_NAMED));
    let authorities = draft.authorities().into_iter().map(|path| (path, MAX_AUTHORITIES));
    let mut left = MAX_NAMED;
    let lists = lists.chain(authorities).map(|(path, most)| {
        let text = read(&path, most, &mut inputs).and_then(|text| {
            left = left.checked_sub(text.len() as u64).ok_or(Unreadable::TooLargeTogether(MAX_NAMED))?;
            add_to(&mut digest, text.as_bytes());
            Ok(text)
        });
        let source = text.map(|text| Source::new(text::path(&path), &text));
        let source = source.map_err(|cause| cause.to_string());
        (path, source)
    });
    let lists = lists.collect();
    let Checked { cluster, more_problems, mut warnings, more_warnings } = draft.check(lists);
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(problems) => {
            return Err(LoadError { problems, more: more_problems, warnings, inputs, is_forbidden: false });
        }
    };
    if more_warnings > 0 {
        warnings.push(Problem::of_file(&*source.name, format!("and {} warnings more", text::count(more_warnings))));
    }
    if let Some(words) = memory_words(&cluster, memory) {
        let problem = Problem::of_file(&*source.name, words);
        if memory.is_some() {
            return Err(LoadError::of(problem, inputs));
        }
        warnings.push(problem);
    }
    let key = cluster.bind.key.file().map(Path::to_owned);
    let hash = HEXLOWER.encode(&digest.finalize());
    Ok(Loaded { cluster: Arc::new(cluster), warnings, hash, inputs, key })
}

/// cluster.yaml cannot be read.
fn load_error(name: String, cause: Unreadable, inputs: Inputs) -> LoadError {
    let is_forbidden = matches!(&cause, Unreadable::File(error) if error.kind() == ErrorKind::PermissionDenied);
    let next = if let Unreadable::File(error) = &cause { error.next_step() } else { "" };
    let problem = match cause {
        Unreadable::NoText { line, column } => Problem::of_place(name, line, column, NO_TEXT),
        other => Problem::of_file(name, format!("cannot read it: {other}{next}")),
    };
    LoadError { is_forbidden, ..LoadError::of(problem, inputs) }
}

/// Domains that need not be looked at more closely: their names alone fill the memory.
fn most_domains(memory: Option<u64>) -> usize {
    let most = memory.map_or(u64::MAX, |limit| limit / cluster::LEAST_MEMORY_OF_A_DOMAIN);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// What is wrong with a cluster that needs more memory than there is.
fn memory_words(cluster: &Cluster, limit: Option<u64>) -> Option<String> {
    let need = cluster.memory();
    let (limit, whose) = match limit {
        Some(limit) => (limit, "this process may have"),
        None => (UNIT_MEMORY, "the unit as it comes with rotad has"),
    };
    (need > limit).then(|| {
        format!(
            "{} domains need about {} MiB of memory, {whose} {} MiB: raise MemoryMax= (systemctl edit rotad) before they are \
             listed, or give some of them a rotad of their own",
            text::count(cluster.domains.len()),
            text::count(usize::try_from(need >> 20).unwrap_or(usize::MAX)),
            limit >> 20
        )
    })
}

/// Where the status socket is by a file that cannot be loaded.
#[must_use]
pub fn status_socket_of_broken(path: &Path) -> PathBuf {
    let text = read_file(path, MAX_FILE, Links::Follow);
    let text = text.as_ref().map(|content| String::from_utf8_lossy(&content.bytes)).unwrap_or_default();
    config::status_socket_of(&text, path.parent().unwrap_or(Path::new("")))
}

/// Whether two paths are those of one file, perhaps through links. It need not exist, nor be readable.
#[must_use]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).ok();
    let canonical = |path: &Path| path.canonicalize().ok();
    let same = |one: Option<PathBuf>, other: Option<PathBuf>| one.is_some() && one == other;
    same(absolute(one), absolute(other)) || same(canonical(one), canonical(other))
}

/// The length goes before the content: what is cut elsewhere is another.
fn add_to(digest: &mut Sha256, content: &[u8]) {
    digest.update((content.len() as u64).to_be_bytes());
    digest.update(content);
}

/// The bit of a mode by which everybody may write a file.
const OTHERS_WRITE: u32 = 0o002;

/// A hash of what was found, to tell whether it has changed. What is no file at all is no edit in its midst: that is another
/// content than none.
fn hash_of(found: &Result<Content, ReadError>) -> Option<u64> {
    match found {
        Ok(content) if content.metadata.mode() & OTHERS_WRITE != 0 => {
            Some(content_hash(&[content.bytes.as_slice(), b"exposed"].concat()))
        }
        Ok(content) => Some(content_hash(&content.bytes)),
        Err(ReadError::Io(_)) => None,
        Err(other) => Some(content_hash(other.to_string().as_bytes())),
    }
}

/// A hash of a content, to tell whether it has changed.
fn content_hash(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

const NO_TEXT: &str = "this is not UTF-8; save the file as UTF-8";

/// Why there is no text to work with.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    File(#[from] ReadError),
    #[error("everybody can write it (mode {0:04o}), and so decide what is published; run `chmod o-w` on it")]
    Exposed(u32),
    #[error("the files that are named here have more than {} MiB together", .0 >> 20)]
    TooLargeTogether(u64),
    #[error("line {line}, column {column}: {NO_TEXT}")]
    NoText { line: usize, column: usize },
}

/// Reads a text of at most `most` bytes and notes its hash.
fn read(path: &Path, most: u64, inputs: &mut Inputs) -> Result<String, Unreadable> {
    let content = read_file(path, most, Links::Follow);
    inputs.0.insert(path.to_owned(), Input { most, hash: hash_of(&content) });
    let Content { mut bytes, metadata } = content?;
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(Unreadable::Exposed(mode));
    }
    String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let last = good.rsplit('\n').next().unwrap_or_default();
        Unreadable::NoText { line: good.matches('\n').count() + 1, column: last.chars().count() + 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h6_a_path_in_a_message_is_escaped_and_one_that_we_may_not_read_is_no_wrong_file() {
        use crate::{
            cli::{Failure, ask},
            cluster::KeySource,
            exit::Exit,
            io::{keys, state::StateDir},
        };

        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let hostile = directory.path().join("file").join("\u{1b}[31m\u{202e}x\n2026-11-28T00:00:00Z error: forged");
        let failures: [Failure; 5] = [
            load(&hostile).unwrap_err().into(),
            keys::load(&KeySource::File(hostile.clone()), false).unwrap_err().into(),
            StateDir::open(&hostile).unwrap_err().into(),
            ask::Error::Unreachable { socket: hostile.clone(), cause: "gone".to_owned() }.into(),
            Failure::socket(&hostile, std::io::Error::other("taken")),
        ];
        for failure in failures {
            let words = format!("{:#}", failure.error);
            assert!(!words.contains(text::is_obeyed) && words.contains("forged"), "{words}");
            let cause = "Not a directory (os error 20)";
            assert!(words.matches(cause).count() <= 1, "a cause is said once: {words}");
        }
        let unreadable = |kind: ErrorKind| {
            let error = Unreadable::File(ReadError::Io(kind.into()));
            let words = load_error("c.yaml".to_owned(), error, Inputs::default());
            Failure::from(words).exit
        };
        assert_eq!(unreadable(ErrorKind::PermissionDenied), Exit::NoPermission);
        assert_eq!(unreadable(ErrorKind::NotFound), Exit::Config);
    }

    #[test]
    fn a_key_file_has_one_bound() {
        use std::os::unix::fs::PermissionsExt;

        use crate::{cluster::KeySource, io::keys};

        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let text = "bind: { key_file: rotad.key }
nodes: { n: { addresses: [192.0.2.10] } }
services: { a: { publish: address, name: a } }
domains: { a.test: { services: [a] } }
";
        std::fs::write(at("cluster.yaml"), text).unwrap();
        let loaded = load(&at("cluster.yaml")).unwrap();
        let with = |octets: u64| {
            std::fs::write(at("rotad.key"), vec![b'#'; usize::try_from(octets).unwrap()]).unwrap();
            std::fs::set_permissions(at("rotad.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
            let refused = keys::load(&KeySource::File(at("rotad.key")), false).unwrap_err();
            (refused.to_string().contains("it is larger than"), loaded.key_now())
        };
        assert!(!with(MAX_KEY).0);
        // What is too large to be loaded is one and the same thing to whoever watches it, whatever is in it.
        let (is_too_large, seen) = with(MAX_KEY + 1);
        assert_eq!((is_too_large, with(MAX_KEY + 2)), (true, (true, seen)));
    }

    #[test]
    fn one_file_may_have_several_paths() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("ours.yaml"), "").unwrap();
        std::fs::write(at("other.yaml"), "").unwrap();
        std::os::unix::fs::symlink("ours.yaml", at("link.yaml")).unwrap();
        std::os::unix::fs::symlink("gone", at("nowhere.yaml")).unwrap();
        for (ours, asked, same) in [
            ("ours.yaml", "ours.yaml", true),
            ("ours.yaml", "link.yaml", true),
            ("link.yaml", "ours.yaml", true),
            ("ours.yaml", "../rotad/ours.yaml", false),
            ("ours.yaml", "other.yaml", false),
            ("ours.yaml", "typo.yaml", false),
            // Somebody has removed it: the daemon runs on, and can still be told to hold.
            ("gone.yaml", "gone.yaml", true),
            ("gone.yaml", "typo.yaml", false),
            ("nowhere.yaml", "typo.yaml", false),
        ] {
            assert_eq!(is_same_file(&at(ours), &at(asked)), same, "{ours} {asked}");
        }
    }
}
