//! rotad keeps the A, AAAA, MX and CNAME sets of BIND zones in step with the health of a cluster.
//!
//! Read the modules in the order in which data flows: [`dns`], [`config`], [`cluster`], [`layout`], [`check`], [`schedule`],
//! [`health`], [`settling`], [`standings`], [`desired`], [`plan`], [`tsig`], [`update`], [`checker`], [`zone`], [`rota`], then [`state`], [`status`] and
//! [`event`]. They decide, without clock, file or socket; all that touches the world is in [`io`], [`daemon`] wires the two
//! together, and [`cli`] has the commands.
//!
//! ```text
//!  cluster.yaml                                                                              BIND 9
//!       |                                                                                      ^
//!   config.rs -> cluster.rs -> check.rs -> health.rs -> desired.rs -> plan.rs -> update.rs ----+
//!   (written)    (who, what)    (asked)     (up/down)    (wanted)      (diff)     (message)
//!   io/watch                    io/probe    io/monitor   io/reconcile ------------> io/primary
//! ```

pub mod blind;
pub mod check;
pub mod checker;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod control;
pub mod daemon;
pub mod desired;
pub mod dns;
pub mod doctor;
pub mod event;
pub mod exit;
pub mod flap;
pub mod health;
pub mod io;
pub mod layout;
pub mod overrides;
pub mod plan;
pub mod rota;
pub mod schedule;
pub mod settling;
pub mod standings;
pub mod state;
pub mod status;
pub mod text;
pub mod tsig;
pub mod update;
pub mod zone;
