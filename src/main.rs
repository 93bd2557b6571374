//! The `rotad` command: a table of contents.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use rotad::{
    cli::{self, Cli, Command, Failure},
    control, daemon,
    exit::Exit,
    io::{files, journal},
};

/// A zone's turn is many small allocations of mixed lives, over which the C library's allocator searches long.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::out::warn(format_args!("rotad: the runtime cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let result = runtime.block_on(run(cli));
    // A blocked read of a file must not keep us.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            cli::out::warn(format_args!("rotad: {:#}", failure.error));
            failure.exit.into()
        }
    }
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let file = cli.config;
    match cli.command {
        Command::Run => {
            let _farewell = journal::init()?;
            // Who asks it for its status compares the file's path with their own, from another folder.
            daemon::run(&std::path::absolute(&file)?).await
        }
        Command::Validate { json } => Ok(cli::validate::run(&file, json)),
        Command::Plan { json } => cli::once::plan(&file, json).await,
        Command::Apply { force } => {
            let _farewell = journal::init()?;
            cli::once::apply(&file, force).await
        }
        Command::Doctor { json } => cli::doctor::run(&file, json).await,
        Command::Probe { node, json } => {
            let cluster = files::load(&file)?.cluster;
            let pass = cli::probe::run(&cluster, node.as_deref(), json).await?;
            Ok(if pass { Exit::Done } else { Exit::Failed })
        }
        Command::Accept { id } => cli::operator::run(&file, &control::Command::Accept { id }).await,
        Command::Reload => cli::operator::run(&file, &control::Command::Reload).await,
        Command::Hold { lasting, reason } => cli::operator::run(&file, &cli::operator::hold(lasting, reason)?).await,
        Command::Release => cli::operator::run(&file, &control::Command::Release).await,
        Command::Adopt { what } => cli::operator::run(&file, &control::Command::Adopt { what }).await,
        Command::Sync { zones } => cli::operator::run(&file, &control::Command::Sync { zones }).await,
        Command::Restore { names, all: _ } => {
            let _farewell = journal::init()?;
            cli::left_over::restore(&file, &names).await
        }
        Command::Withdraw { name, rtype, all: _, forget } => {
            let _farewell = journal::init()?;
            cli::left_over::withdraw(&file, name.as_deref(), rtype.as_deref(), forget).await
        }
        Command::Status { json, watch } => {
            cli::status::of_file(&file, json, watch).await?;
            Ok(Exit::Done)
        }
    }
}
