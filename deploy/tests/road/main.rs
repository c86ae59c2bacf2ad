//! The whole road, through the real binary: processes started, traces played, processes killed.

mod cluster;
mod main_job;
mod refusals;
mod single_nodes;
mod trace;
