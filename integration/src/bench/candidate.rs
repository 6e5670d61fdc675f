//! What is measured side by side.

use mesh_policy_testkit::scale::{Hit, Scenario};

/// What decides about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// Envoy with nothing but its own router and one route: what the others are compared with.
    Bare,
    /// A filter that does nothing, with every export of the SDK.
    Noop,
    /// A filter that fetches the header map and sets one header, with the exports that it uses.
    Floor,
    /// What the compiler puts into a listener beside the filters, without them.
    Companions,
    /// A table that a Lua script walks.
    Lua,
    /// `--engine native`: Envoy's own RBAC, routes, faults and header operations.
    Native,
    /// The filter of the scenario: `mesh_authz.wasm`, `mesh_router.wasm`, `mesh_policy.wasm`.
    Wasm,
    /// `mesh_policy.wasm`, where the scenario needs less.
    Fused,
    /// `mesh_authz.wasm`, `mesh_headers.wasm`, `mesh_fault.wasm` and `mesh_router.wasm` one after the other.
    Chain,
    /// The same without `mesh_headers.wasm`: what decides, without the edits.
    Chain3,
}

impl Candidate {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Bare,
        Self::Noop,
        Self::Floor,
        Self::Companions,
        Self::Lua,
        Self::Native,
        Self::Wasm,
        Self::Fused,
        Self::Chain,
        Self::Chain3,
    ];

    /// Its key in the summary.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Noop => "noop",
            Self::Floor => "floor",
            Self::Companions => "companions",
            Self::Lua => "lua",
            Self::Native => "native",
            Self::Wasm => "wasm",
            Self::Fused => "fused",
            Self::Chain => "chain",
            Self::Chain3 => "chain3",
        }
    }

    /// Whether it is measured in a scenario.
    pub fn takes_part(self, scenario: Scenario) -> bool {
        match self {
            Self::Bare | Self::Noop | Self::Floor | Self::Companions | Self::Native | Self::Wasm => true,
            Self::Lua => matches!(scenario, Scenario::Authz | Scenario::Routes),
            Self::Fused => scenario != Scenario::Policy,
            Self::Chain | Self::Chain3 => scenario == Scenario::Policy,
        }
    }

    /// Whether it is measured with the requests that meet a rule. What does not look at rules is measured once a round.
    pub fn answers(self, hit: Hit) -> bool {
        match self {
            Self::Noop | Self::Floor | Self::Companions => hit == Hit::Middle,
            _ => true,
        }
    }

    /// Whether it decides, and so has to answer as the others that do.
    pub const fn decides(self) -> bool {
        matches!(self, Self::Lua | Self::Native | Self::Wasm | Self::Fused | Self::Chain | Self::Chain3)
    }

    /// Whether a Wasm module of ours is in it.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Wasm | Self::Fused | Self::Chain | Self::Chain3)
    }
}
