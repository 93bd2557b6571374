//! How a command ends.

use std::process::ExitCode;

/// The exit codes of every command (`sysexits.h` where it has a word for it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// `plan`: there are changes.
    Changes = 3,
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// BIND or the daemon cannot be reached (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// Another rotad holds the state directory (`EX_TEMPFAIL`).
    Locked = 75,
    /// No permission (`EX_NOPERM`).
    NoPermission = 77,
    /// The file is wrong (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    /// The one with this code; any other is a failure.
    #[must_use]
    pub fn of(code: u8) -> Self {
        let all =
            [Self::Done, Self::Changes, Self::Usage, Self::Unavailable, Self::Locked, Self::NoPermission, Self::Config];
        all.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Self::Failed)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
