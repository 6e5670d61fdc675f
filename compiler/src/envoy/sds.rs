//! The server of secrets, such as SPIRE's agent.

use super::{http_protocol, socket_address};
use crate::options::SdsAddress;
use serde_json::{Value, json};

/// The cluster of the server. It stands in the bootstrap: Envoy takes secrets from no other.
pub(crate) const CLUSTER: &str = "sds-grpc";

/// Where a secret of this name is.
pub(super) fn secret(name: &str) -> Value {
    json!({"name": name, "sds_config": {
        "api_config_source": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": CLUSTER}}],
            "set_node_on_first_message_only": true,
        },
        "resource_api_version": "V3",
    }})
}

pub(super) fn cluster(address: &SdsAddress) -> Value {
    let address = match address {
        SdsAddress::Socket(path) => json!({"pipe": {"path": path}}),
        SdsAddress::Loopback(address) => socket_address(address.ip(), address.port()),
    };
    json!({
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": http_protocol::http2_only(),
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}
