//! What an evaluator wants done: plain data, carried out by the host.

use std::borrow::Cow;
use std::time::Duration;

/// One change to a header map. Applied in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit<'p> {
    /// Replace all lines of the name by one.
    Set(Cow<'p, str>, Cow<'p, [u8]>),
    /// Append a line.
    Add(Cow<'p, str>, Cow<'p, [u8]>),
    /// Delete all lines of the name.
    Remove(Cow<'p, str>),
}

/// An answer that the proxy gives itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// The HTTP status; for a gRPC request the host turns it into 200 with the gRPC status as Envoy does.
    pub status: u16,
    /// Headers of the answer.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The gRPC status to answer gRPC requests with; Envoy's mapping of `status` when absent.
    pub grpc_status: Option<u32>,
    /// Why, for the access log's response-code details. No white space.
    pub details: String,
}

impl HeaderEdit<'_> {
    /// The name of the header that changes.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Set(name, _) | Self::Add(name, _) | Self::Remove(name) => name,
        }
    }
}

impl LocalReply {
    /// The gRPC status that a gRPC client gets: the one asked for, else Envoy's mapping of the HTTP status.
    #[must_use]
    pub const fn grpc_code(&self) -> u32 {
        match (self.grpc_status, self.status) {
            (Some(code), _) => code,
            (None, 400) => 13,
            (None, 401) => 16,
            (None, 403) => 7,
            (None, 404) => 12,
            (None, 429 | 502..=504) => 14,
            (None, _) => 2,
        }
    }
}

/// A drawn fault: the delay is served first, then the abort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultDecision {
    /// Hold the request for this long.
    pub delay: Option<Duration>,
    /// Then answer with this.
    pub abort: Option<LocalReply>,
}

/// A source of random numbers, seeded by the caller.
pub trait Random {
    /// The next 64 random bits.
    fn next(&mut self) -> u64;

    /// Whether an event of `per_million` parts in a million happens.
    fn happens(&mut self, per_million: u32) -> bool {
        match per_million {
            0 => false,
            1_000_000.. => true,
            share => self.below(1_000_000) < u64::from(share),
        }
    }

    /// A number below `bound`, each equally likely; 0 when `bound` is 0.
    fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product: no division, and a bias below 2^-32 for bounds of 32 bits.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// SplitMix64: small, fast and good enough for shares; not for secrets.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator that starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Random for SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_as_asked() {
        let mut random = SplitMix64::new(7);
        let hits = (0..100_000).filter(|_| random.happens(300_000)).count();
        // Five standard deviations around 30 percent.
        assert!((29_275..=30_725).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| random.happens(1_000_000)));
        assert!((0..1000).all(|_| !random.happens(0)));
    }
}
