//! Where a forwarded request goes.

/// A service, a port of it, and a subset of it: one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    cluster: String,
    weight: u32,
}

impl Destination {
    /// The cluster, as Istio names it: `outbound|PORT|SUBSET|HOST`.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Its share of the sum of the weights of all destinations; 0 is never drawn.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }
}
