//! Every rule of a producer, and a randomised run against a small model of leaves.

mod dictionary;
mod fixture;
mod model;
mod random;
mod routing;
mod sessions;
