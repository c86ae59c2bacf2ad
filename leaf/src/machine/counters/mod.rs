//! Sums events per counter over the open window.

pub mod heavy_hitters;
pub mod names;
pub mod pending;
pub mod rates;
pub mod table;
