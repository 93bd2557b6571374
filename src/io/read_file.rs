//! The one way by which rotad reads a file: regular files only, up to a size, and never for longer than the disk takes.
//!
//! A path of the file may name anything, by mistake or by somebody's doing: a FIFO that nobody writes, a device without an
//! end, a file of gigabytes, another user's symbolic link. None of them may make rotad wait, grow, or read what was not meant.

use std::{
    fs::{self, FileType, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};
use zeroize::Zeroizing;

/// Whether a symbolic link in the place of the file is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Kubernetes mounts configuration so, and people link from one place to another.
    Follow,
    /// For what somebody else could lead elsewhere: keys and state.
    Refuse,
}

/// A file as it was read.
#[derive(Debug)]
pub struct Content {
    /// Its bytes. They are wiped when they are dropped, for the file may be a key or the wrong file.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Owner, mode and size of the very file that the bytes came from.
    pub metadata: Metadata,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system's answer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A FIFO, a device, a directory, a socket.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// A symbolic link where none is followed.
    #[error("it is a symbolic link, which is not followed here; write the path of the file itself")]
    Link,
    /// More bytes than are taken.
    #[error("it is larger than {}", size(*.0))]
    TooLarge(u64),
}

impl ReadError {
    /// What the system said; for the others, what comes nearest to it.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io(error) => error.kind(),
            Self::NotRegular(_) | Self::Link => io::ErrorKind::InvalidInput,
            Self::TooLarge(_) => io::ErrorKind::FileTooLarge,
        }
    }

    /// What to do about it, to be said after it; empty where it says so itself.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self.kind() {
            io::ErrorKind::PermissionDenied => {
                "; run this command as root or as the user that rotad runs as, which must be able to read it"
            }
            _ => "",
        }
    }
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// [`ReadError`]; nothing of the content is in it.
pub fn read_file(path: &Path, most: u64, links: Links) -> Result<Content, ReadError> {
    // Opening a device may do something. What counts is decided below, of the file that is open.
    regular(match links {
        Links::Follow => fs::metadata(path)?.file_type(),
        Links::Refuse => fs::symlink_metadata(path)?.file_type(),
    })?;
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, links == Links::Refuse);
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) if links == Links::Refuse => ReadError::Link,
        _ => error.into(),
    })?;
    let metadata = file.metadata()?;
    regular(metadata.file_type())?;
    if metadata.len() > most {
        return Err(ReadError::TooLarge(most));
    }
    // Room for all of it at once: growing would leave copies of a secret behind. Files of /proc have no length.
    let room = usize::try_from(metadata.len().saturating_add(1)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(ReadError::TooLarge(most));
    }
    Ok(Content { bytes, metadata })
}

fn regular(found: FileType) -> Result<(), ReadError> {
    if found.is_file() {
        Ok(())
    } else if found.is_symlink() {
        Err(ReadError::Link)
    } else if found.is_dir() {
        Err(ReadError::NotRegular("a directory"))
    } else if found.is_fifo() {
        Err(ReadError::NotRegular("a FIFO"))
    } else if found.is_socket() {
        Err(ReadError::NotRegular("a socket"))
    } else {
        Err(ReadError::NotRegular("a device"))
    }
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn words(path: &Path, links: Links) -> String {
        let bytes = |content: Content| format!("{:?}", content.bytes.as_slice());
        read_file(path, 8, links).map_or_else(|error| error.to_string(), bytes)
    }

    #[test]
    fn d8_only_a_regular_file_of_a_bounded_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("good"), "12345678").unwrap();
        fs::write(at("long"), "123456789").unwrap();
        // Larger than any memory, and no byte of it on the disk.
        fs::File::create(at("huge")).unwrap().set_len(1 << 42).unwrap();
        mkfifoat(CWD, at("fifo"), Mode::RUSR).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (name, to) in [("to-good", "good"), ("to-fifo", "fifo"), ("to-zero", "/dev/zero"), ("loop", "loop")] {
            symlink(to, at(name)).unwrap();
        }
        for (path, followed, not_followed) in [
            (at("good"), "[49, 50, 51, 52, 53, 54, 55, 56]", "[49, 50, 51, 52, 53, 54, 55, 56]"),
            (at("to-good"), "[49, 50, 51, 52, 53, 54, 55, 56]", "symbolic link"),
            (at("long"), "larger than 0 KiB", "larger than 0 KiB"),
            (at("huge"), "larger than 0 KiB", "larger than 0 KiB"),
            (at("fifo"), "it is a FIFO, not a regular file", "it is a FIFO"),
            (at("to-fifo"), "it is a FIFO", "symbolic link"),
            ("/dev/zero".into(), "it is a device, not a regular file", "it is a device"),
            (at("to-zero"), "it is a device", "symbolic link"),
            (at("socket"), "it is a socket", "it is a socket"),
            (directory.path().to_owned(), "it is a directory", "it is a directory"),
            (at("loop"), "Too many levels of symbolic links", "symbolic link"),
            (at("none"), "No such file", "No such file"),
        ] {
            for (links, part) in [(Links::Follow, followed), (Links::Refuse, not_followed)] {
                let said = words(&path, links);
                assert!(said.contains(part), "{} {links:?}: {said}", path.display());
            }
        }
    }

    #[test]
    fn d8_a_file_without_a_length_is_read_all_the_same() {
        let content = read_file(Path::new("/proc/self/status"), 1 << 20, Links::Follow).unwrap();
        assert_eq!(content.metadata.len(), 0);
        assert!(content.bytes.starts_with(b"Name:"));
    }
}
