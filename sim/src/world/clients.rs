//! The clients of the simulated cluster.

use super::http_client::HttpClient;
use super::producer::ProducerClient;
use super::reading::Reading;
use super::requests::Sent;
use super::viewer::ViewerClient;
use crate::plan::Plan;
use crate::random::Random;
use countree_common::key::Topic;
use std::collections::BTreeMap;

/// Producers, viewers, HTTP clients and readers.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) producers: Vec<ProducerClient>,
    pub(super) viewers: Vec<ViewerClient>,
    pub(super) http: Vec<HttpClient>,
    /// Events that HTTP clients have sent under ids and keys, for others to send again.
    pub(super) sent: Sent,
    /// Open reads that wait for everything acked before them, by number.
    pub(super) reads: BTreeMap<u64, Reading>,
    pub(super) reads_begun: u64,
}

impl Clients {
    /// The clients of a plan; each viewer draws the topics that it watches.
    pub(super) fn new(plan: &Plan, topics: &[Topic], random: &mut Random) -> Self {
        Self {
            producers: (0..plan.workload.producers).map(|i| ProducerClient::new(i, plan)).collect(),
            viewers: (0..plan.workload.viewers).map(|_| ViewerClient::new(topics, random)).collect(),
            http: (0..plan.workload.clients).map(|i| HttpClient::new(i, plan)).collect(),
            sent: Sent::default(),
            reads: BTreeMap::new(),
            reads_begun: 0,
        }
    }
}
