//! Configuration: TOML with an environment override for every key. Parsing binds nothing and opens
//! nothing. Errors name the key and what it takes.

pub mod environment;
pub mod host_port;
pub mod http;
pub mod manifest;
pub mod node;
pub mod section;
mod settings;
mod store_url;
mod variable;

pub use manifest::Manifest;
pub use section::ConfigError;
