//! Tests the real binary end to end: starts clusters, plays traces, kills processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test"
)]

mod backups;
mod bindings;
mod clocks;
mod cluster;
mod eras;
mod events;
mod folders;
mod forgets;
mod hot;
mod https;
mod imports;
mod leaving;
mod load;
mod main_job;
mod openapi;
mod page;
mod process;
mod python;
mod redis;
mod refusals;
mod replays;
mod resizing;
mod routes;
#[path = "../shared/mod.rs"]
mod shared;
mod single_nodes;
mod standing;
mod store_changes;
mod store_side;
mod stores;
mod strangers;
mod terminal;
mod trace;
mod tutorial;
mod upgrade;
mod verdicts;
mod waiting;
