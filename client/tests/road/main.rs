//! Producers and viewers against leaves and broadcast nodes made for the purpose, over real QUIC.

mod broadcast;
mod cluster;
mod leaf;
mod producing;
mod viewing;
