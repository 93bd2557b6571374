//! The subcommands, one file each, and how each of their failures ends.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, Subcommand};

use crate::{
    exit::Exit,
    io::{files, journal, keys, state::StateError},
    text,
};

pub mod ask;
pub mod doctor;
pub mod left_over;
pub mod once;
pub mod operator;
pub mod out;
pub mod probe;
pub mod report;
pub mod status;
pub mod validate;

/// Health-checked A, AAAA, MX and CNAME rotation for BIND 9, by signed RFC 2136 updates.
#[derive(Debug, Parser)]
#[command(name = "rotad", version, arg_required_else_help = true)]
pub struct Cli {
    /// The cluster's file.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/rotad/cluster.yaml")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: watch the file and the nodes, keep the zones in step
    Run,
    /// Check the file: print every problem, or a summary with the zones that each node's death would change
    Validate {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what would be changed now, without changing it; exits with 3 if there is something
    Plan {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Do once what `plan` shows; exits with 75 while the daemon runs, which does it itself (`accept` lets an edit through
    /// that waits), and with 1 while a hold is in force
    Apply {
        /// Also when it changes more than `safety.max_change`
        #[arg(long)]
        force: bool,
    },
    /// Ask BIND whether everything that the file needs is possible, without changing anything; prints missing grants
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run every check once, and show what came back
    Probe {
        /// Of this node alone
        node: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the edit through that changes more than `safety.max_change`: what the running daemon has judged
    Accept {
        /// Which one it must be, as the journal and `status` call it; without it whichever waits
        id: Option<String>,
    },
    /// Have the running daemon read the file and the zones now; exits with 0 once the file is in force, 1 if it waits
    /// for `accept`, 78 if it or its key is wrong, 69 if that is not known within 30 s
    Reload,
    /// Write nothing from now on, while checks go on; the running daemon keeps it over a restart
    Hold {
        /// For so long, such as 2h; without it until `rotad release`
        #[arg(long = "for", value_name = "TIME", value_parser = operator::duration)]
        lasting: Option<Duration>,
        /// Why, for `status` and the journal: 2,000 octets at most
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End a hold
    Release,
    /// Take over what `status` shows as foreign or standby; shows the difference first
    Adopt {
        /// Zones, names (each perhaps with a type behind it), or patterns such as '*.example.org'
        #[arg(required = true, value_name = "ZONE|PATTERN|NAME [TYPE]")]
        what: Vec<String>,
    },
    /// Have the running daemon read zones now, and repair what others have changed there
    Sync {
        /// These zones, by name or by a pattern such as '*.example.org'; without any, all
        #[arg(value_name = "ZONE|PATTERN")]
        zones: Vec<String>,
    },
    /// Put the members back that what is left over lacks; without the daemon, those of every set of the file as well.
    /// Exits with 1 if something was not done
    Restore {
        /// Of these domains or names and what is below them, or of what fits patterns such as '*.example.org'
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "DOMAIN|NAME|PATTERN")]
        names: Vec<String>,
        /// Of all
        #[arg(long)]
        all: bool,
    },
    /// Show what the running daemon sees and does
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Again each second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Delete what is left over: RRsets that the file no longer gives and that stand in DNS still. Exits with 1 if something
    /// was not done
    Withdraw {
        /// The domain or name and what is below it, or a pattern such as '*.example.org'
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "DOMAIN|NAME|PATTERN")]
        name: Option<String>,
        /// Of this name the RRset of this type alone
        #[arg(value_name = "TYPE", requires = "name")]
        rtype: Option<String>,
        /// All that is left over
        #[arg(long)]
        all: bool,
        /// Leave DNS alone and forget it: the zone is gone
        #[arg(long)]
        forget: bool,
    },
}

/// A command that did not do what it was asked: what to say, and how to end.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to say.
    pub error: anyhow::Error,
}

impl Failure {
    /// A socket cannot be made.
    #[must_use]
    pub fn socket(path: &Path, source: io::Error) -> Self {
        let exit = match source.kind() {
            io::ErrorKind::PermissionDenied => Exit::NoPermission,
            _ => Exit::Failed,
        };
        let words = format!("{}: the socket cannot be made; status_socket says where", text::path(path));
        Self { exit, error: anyhow::Error::new(source).context(words) }
    }
}

impl From<files::LoadError> for Failure {
    fn from(error: files::LoadError) -> Self {
        let exit = if error.is_forbidden { Exit::NoPermission } else { Exit::Config };
        Self { exit, error: error.into() }
    }
}

impl From<keys::LoadError> for Failure {
    fn from(error: keys::LoadError) -> Self {
        let exit = match &error {
            keys::LoadError::Unreadable { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => {
                Exit::NoPermission
            }
            _ => Exit::Config,
        };
        Self { exit, error: error.into() }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let exit = match &error {
            StateError::Held { .. } => Exit::Locked,
            StateError::Forbidden { .. } => Exit::NoPermission,
            StateError::OtherCluster { .. } => Exit::Config,
            StateError::Failed { .. } => Exit::Failed,
        };
        Self { exit, error: error.into() }
    }
}

impl From<ask::Error> for Failure {
    fn from(error: ask::Error) -> Self {
        let exit = match &error {
            ask::Error::Unreachable { .. } => Exit::Unavailable,
            ask::Error::Forbidden { .. } => Exit::NoPermission,
            ask::Error::Garbled { .. } | ask::Error::Output(_) => Exit::Failed,
        };
        Self { exit, error: error.into() }
    }
}

impl From<journal::Error> for Failure {
    fn from(error: journal::Error) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Failed, error }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_of_a_command_says_what_it_takes_and_how_it_ends() {
        for (command, parts) in [
            ("sync", ["[ZONE|PATTERN]...", "by a pattern such as '*.example.org'"]),
            ("restore", ["[DOMAIN|NAME|PATTERN]...", "patterns such as '*.example.org'"]),
            ("withdraw", ["[DOMAIN|NAME|PATTERN]", "a pattern such as '*.example.org'"]),
            ("adopt", ["<ZONE|PATTERN|NAME [TYPE]>...", "patterns such as '*.example.org'"]),
            ("reload", ["78 if it or its key is wrong", "69 if that is not known within 30 s"]),
            ("apply", ["75 while the daemon runs", "1 while a hold is in force"]),
        ] {
            let mut cli = Cli::command();
            let help = cli.find_subcommand_mut(command).unwrap().render_long_help().to_string();
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in parts {
                assert!(help.contains(part), "{command}: {part}: {help}");
            }
        }
    }
}
