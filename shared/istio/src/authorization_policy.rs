//! `AuthorizationPolicy`: who may do what.

use crate::decode::{wire, wire_enum};
use std::collections::BTreeMap;

wire! {
    /// `spec` of an AuthorizationPolicy.
    pub struct AuthorizationPolicy {
        /// The workloads it applies to.
        "selector" => selector: Option<WorkloadSelector>,
        /// The object it is attached to.
        "targetRef" => target_ref: Option<PolicyTargetReference>,
        /// The objects it is attached to.
        "targetRefs" => target_refs: Vec<PolicyTargetReference>,
        /// Any may match. Absent is not the same as empty for every action.
        "rules" => rules: Option<Vec<Rule>>,
        /// What a match does; ALLOW when absent.
        "action" => action: Option<Action>,
        /// The external authorizer of a CUSTOM policy.
        "provider" => provider: Option<ExtensionProvider>,
    }
}

wire_enum! {
    /// What a matching rule does.
    pub enum Action {
        /// Permit, and deny what no rule permits.
        "ALLOW" = 0 => Allow,
        /// Reject.
        "DENY" = 1 => Deny,
        /// Record only.
        "AUDIT" = 2 => Audit,
        /// Ask an external authorizer.
        "CUSTOM" = 3 => Custom,
    }
}

wire! {
    /// Workloads by label.
    pub struct WorkloadSelector {
        /// All must be equal.
        "matchLabels" => match_labels: BTreeMap<String, String>,
    }
}

wire! {
    /// An object by name.
    pub struct PolicyTargetReference {
        /// API group.
        "group" => group: Option<String>,
        /// Kind.
        "kind" => kind: Option<String>,
        /// Name.
        "name" => name: Option<String>,
        /// Namespace; must be absent.
        "namespace" => namespace: Option<String>,
    }
}

wire! {
    /// An external authorizer by name.
    pub struct ExtensionProvider {
        /// Its name in the mesh configuration.
        "name" => name: Option<String>,
    }
}

wire! {
    /// From anyone of `from`, to any of `to`, when all of `when`.
    pub struct Rule {
        /// Who; anybody when absent.
        "from" => from: Option<Vec<RuleFrom>>,
        /// What; anything when absent.
        "to" => to: Option<Vec<RuleTo>>,
        /// Under which conditions.
        "when" => when: Option<Vec<Condition>>,
    }
}

wire! {
    /// Wrapper of a source.
    pub struct RuleFrom {
        /// The source.
        "source" => source: Option<Source>,
    }
}

wire! {
    /// Wrapper of an operation.
    pub struct RuleTo {
        /// The operation.
        "operation" => operation: Option<Operation>,
    }
}

wire! {
    /// Who asks: all fields that are set must hold.
    pub struct Source {
        /// Peer identities.
        "principals" => principals: Option<Vec<String>>,
        /// Not these peer identities.
        "notPrincipals" => not_principals: Option<Vec<String>>,
        /// Token identities, `iss/sub`.
        "requestPrincipals" => request_principals: Option<Vec<String>>,
        /// Not these token identities.
        "notRequestPrincipals" => not_request_principals: Option<Vec<String>>,
        /// Namespaces of the peer.
        "namespaces" => namespaces: Option<Vec<String>>,
        /// Not these namespaces.
        "notNamespaces" => not_namespaces: Option<Vec<String>>,
        /// Service accounts of the peer, `sa` or `ns/sa`.
        "serviceAccounts" => service_accounts: Option<Vec<String>>,
        /// Not these service accounts.
        "notServiceAccounts" => not_service_accounts: Option<Vec<String>>,
        /// Trust domains of the peer.
        "trustDomains" => trust_domains: Option<Vec<String>>,
        /// Not these trust domains.
        "notTrustDomains" => not_trust_domains: Option<Vec<String>>,
        /// Addresses of the direct peer.
        "ipBlocks" => ip_blocks: Option<Vec<String>>,
        /// Not these addresses.
        "notIpBlocks" => not_ip_blocks: Option<Vec<String>>,
        /// Addresses of the client behind trusted proxies.
        "remoteIpBlocks" => remote_ip_blocks: Option<Vec<String>>,
        /// Not these addresses.
        "notRemoteIpBlocks" => not_remote_ip_blocks: Option<Vec<String>>,
    }
}

wire! {
    /// What is asked for: all fields that are set must hold.
    pub struct Operation {
        /// Authorities.
        "hosts" => hosts: Option<Vec<String>>,
        /// Not these authorities.
        "notHosts" => not_hosts: Option<Vec<String>>,
        /// Ports of the connection.
        "ports" => ports: Option<Vec<String>>,
        /// Not these ports.
        "notPorts" => not_ports: Option<Vec<String>>,
        /// Methods.
        "methods" => methods: Option<Vec<String>>,
        /// Not these methods.
        "notMethods" => not_methods: Option<Vec<String>>,
        /// Paths or path templates.
        "paths" => paths: Option<Vec<String>>,
        /// Not these paths.
        "notPaths" => not_paths: Option<Vec<String>>,
    }
}

wire! {
    /// A condition on an attribute.
    pub struct Condition {
        /// The attribute.
        "key" => key: Option<String>,
        /// Any must match.
        "values" => values: Option<Vec<String>>,
        /// None may match.
        "notValues" => not_values: Option<Vec<String>>,
    }
}
