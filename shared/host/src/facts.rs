//! Attributes of a request and its connection, asked of the proxy one by one.

use crate::failure::Failure;
use crate::host_call::HostError;
use crate::{abi, address, protobuf};
use mesh_policy_core::control;
use mesh_policy_core::request::{Attribute, Attributes};
use std::cell::Cell;

/// The attributes of the stream at hand, and what went wrong while fetching them.
///
/// An evaluator takes an attribute that is not there for a condition that does not hold, which in a DENY rule means
/// "pass". So whoever evaluates asks [`Facts::complete`] before acting on the outcome.
#[derive(Debug, Default)]
pub struct Facts {
    failure: Cell<Option<Failure>>,
}

impl Facts {
    /// Whether everything that was asked for could be told.
    ///
    /// # Errors
    /// What could not be told, although the rules depend on it.
    pub fn complete(&self) -> Result<(), Failure> {
        self.failure.get().map_or(Ok(()), Err)
    }

    fn fetch(attribute: Attribute) -> Result<Option<Vec<u8>>, Failure> {
        Ok(match attribute {
            // There is no second source: `source.address` is what forwarding headers say wherever the listener trusts
            // them, and a sidecar's does, so a client could choose it.
            Attribute::DirectRemoteIp => match filter_state(control::DIRECT_REMOTE_IP_FILTER_STATE)? {
                None => return Err(Failure::DirectPeerUnknown),
                address => address,
            },
            Attribute::RemoteIp => abi::property(&["source", "address"])?.map(host_of),
            Attribute::RemoteAddress => text(&["source", "address"])?,
            Attribute::DestinationIp => abi::property(&["destination", "address"])?.map(host_of),
            Attribute::DestinationAddress => text(&["destination", "address"])?,
            Attribute::DestinationPort => {
                abi::property(&["destination", "port"])?.as_deref().and_then(address::decimal)
            }
            Attribute::PeerUriSans => match filter_state(control::PEER_URI_SANS_FILTER_STATE)? {
                // The first one only, which is all of them for a SPIFFE certificate.
                None => text(&["connection", "uri_san_peer_certificate"])?,
                sans => sans,
            },
            Attribute::PeerDnsSans => text(&["connection", "dns_san_peer_certificate"])?,
            Attribute::PeerSubject => text(&["connection", "subject_peer_certificate"])?,
            Attribute::RequestedServerName => text(&["connection", "requested_server_name"])?,
            Attribute::Protocol => text(&["request", "protocol"])?,
            // The whole metadata: asked for the payload alone, Envoy answers without telling numbers from strings.
            Attribute::JwtPayload => match abi::property(&["metadata"])? {
                Some(metadata) => protobuf::metadata_json(&metadata, JWT_METADATA, JWT_PAYLOAD),
                None => None,
            },
            // The core may learn of attributes that this crate cannot fetch yet.
            _ => None,
        })
    }
}

/// The key under which Envoy's JWT filter publishes verified tokens, and the name that Istio gives the payload.
const JWT_METADATA: &str = "envoy.filters.http.jwt_authn";
const JWT_PAYLOAD: &str = "payload";

impl Attributes for Facts {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        Self::fetch(attribute).unwrap_or_else(|failure| {
            self.failure.set(Some(failure));
            None
        })
    }
}

/// What Envoy's formatter prints for "nothing".
const NOTHING: &[u8] = b"-";

fn filter_state(key: &str) -> Result<Option<Vec<u8>>, HostError> {
    Ok(text(&["filter_state", key])?.filter(|value| value != NOTHING))
}

fn text(path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    Ok(abi::property(path)?.filter(|value| !value.is_empty()))
}

fn host_of(address: Vec<u8>) -> Vec<u8> {
    address::without_port(&address).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn property(path: &str, value: &[u8]) {
        fake::with(|proxy| proxy.properties.insert(path.to_owned(), value.to_vec()));
    }

    #[test]
    fn the_direct_peer_is_never_taken_from_what_forwarding_headers_say() {
        fake::reset(&[]);
        property("source.address", b"6.6.6.6:0");
        let facts = Facts::default();
        assert_eq!(facts.attribute(Attribute::DirectRemoteIp), None);
        assert_eq!(facts.complete(), Err(Failure::DirectPeerUnknown));
        assert_eq!(facts.attribute(Attribute::RemoteIp).as_deref(), Some(b"6.6.6.6".as_slice()));
    }

    #[test]
    fn the_direct_peer_comes_from_filter_state() {
        fake::reset(&[]);
        property("filter_state.mesh_policy.direct_remote_ip", b"10.0.0.1");
        let facts = Facts::default();
        assert_eq!(facts.attribute(Attribute::DirectRemoteIp).as_deref(), Some(b"10.0.0.1".as_slice()));
        assert_eq!(facts.complete(), Ok(()));
    }

    #[test]
    fn all_uri_sans_are_preferred_to_the_first_one() {
        fake::reset(&[]);
        let facts = Facts::default();
        assert_eq!(facts.attribute(Attribute::PeerUriSans), None);
        property("connection.uri_san_peer_certificate", b"spiffe://a");
        assert_eq!(facts.attribute(Attribute::PeerUriSans).as_deref(), Some(b"spiffe://a".as_slice()));
        property("filter_state.mesh_policy.peer_uri_sans", b"spiffe://a,spiffe://b");
        assert_eq!(
            facts.attribute(Attribute::PeerUriSans).as_deref(),
            Some(b"spiffe://a,spiffe://b".as_slice())
        );
        property("filter_state.mesh_policy.peer_uri_sans", b"-");
        assert_eq!(facts.attribute(Attribute::PeerUriSans).as_deref(), Some(b"spiffe://a".as_slice()));
    }

    #[test]
    fn a_failing_host_call_is_not_an_absent_attribute() {
        fake::reset(&[]);
        fake::with(|proxy| proxy.failing.insert("proxy_get_property", 10));
        let facts = Facts::default();
        assert_eq!(facts.attribute(Attribute::PeerUriSans), None);
        assert_eq!(facts.complete().unwrap_err().to_string(), "proxy_get_property: internal failure");
    }

    #[test]
    fn ports_become_text() {
        fake::reset(&[]);
        property("destination.port", &8443_i64.to_le_bytes());
        let facts = Facts::default();
        assert_eq!(facts.attribute(Attribute::DestinationPort).as_deref(), Some(b"8443".as_slice()));
    }
}
