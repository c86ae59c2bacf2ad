//! Decisions about who may ask what over HTTP, made before a request reaches any route: by host, origin, route and the
//! way that the request took. Pure: no sockets, no clock.

pub mod exposure;
mod gate;
mod host;
mod network;
mod origin;
mod route;

pub use gate::{Asked, Forwarding, Gate, Passed, Refused, Side, Verdict};
pub use host::{Authority, HostRule};
pub use network::Network;
pub use origin::{Origin, OriginRule};
pub use route::RouteClass;
