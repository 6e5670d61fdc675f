//! The workload as Istio writes it into Envoy's node metadata, for configurations that name none.

use crate::abi;
use crate::host_call::HostError;
use mesh_policy_core::request::HeaderMap;
use mesh_policy_istio::workload::Workload;
use std::collections::BTreeMap;

/// Why the node's metadata does not tell the workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNode {
    /// It could not be fetched.
    #[error(transparent)]
    HostCall(#[from] HostError),
    /// It has another type.
    #[error("Envoy's node metadata `{0}` is not {1}")]
    Malformed(&'static str, &'static str),
}

const NAMESPACE: &str = "NAMESPACE";
const LABELS: &str = "LABELS";
const SERVICE_ACCOUNT: &str = "SERVICE_ACCOUNT";

/// The workload of this Envoy; `None` when its node metadata does not name a namespace.
pub fn workload() -> Result<Option<Workload>, InvalidNode> {
    let Some(namespace) = text(NAMESPACE)? else { return Ok(None) };
    Ok(Some(Workload {
        namespace: Some(namespace),
        labels: labels()?,
        service_account: text(SERVICE_ACCOUNT)?,
        ..Workload::default()
    }))
}

/// Whether Istio runs this Envoy as a gateway.
pub fn is_gateway() -> bool {
    // Istio's node ids begin with the proxy's type. Asked only in order to warn, so a failure is a no.
    property("id", None).ok().flatten().is_some_and(|id| id.starts_with(b"router~"))
}

/// A field of the node, below `xds.node`, which older Envoys call `node`.
fn property(field: &str, key: Option<&str>) -> Result<Option<Vec<u8>>, HostError> {
    let path: Vec<&str> = ["xds", "node", field].into_iter().chain(key).collect();
    match abi::property(&path)? {
        Some(value) => Ok(Some(value)),
        None => abi::property(path.get(1..).unwrap_or_default()),
    }
}

fn text(key: &'static str) -> Result<Option<String>, InvalidNode> {
    match property("metadata", Some(key))? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => Ok(None),
        Some(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| InvalidNode::Malformed(key, "text")),
    }
}

/// Envoy hands a map over in the layout of a header map.
fn labels() -> Result<Option<BTreeMap<String, String>>, InvalidNode> {
    let malformed = InvalidNode::Malformed(LABELS, "a map of strings");
    let Some(bytes) = property("metadata", Some(LABELS))? else { return Ok(None) };
    let pairs = HeaderMap::parse(&bytes).map_err(|_| malformed.clone())?;
    let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| malformed.clone());
    pairs.iter().map(|(key, value)| Ok((string(key)?, string(value)?))).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn metadata(key: &str, value: &[u8]) {
        fake::with(|proxy| proxy.properties.insert(format!("xds.node.metadata.{key}"), value.to_vec()));
    }

    #[test]
    fn older_envoys_name_the_node_otherwise() {
        fake::reset(&[]);
        fake::with(|proxy| {
            proxy.properties.insert("node.metadata.NAMESPACE".to_owned(), b"shop".to_vec());
            proxy.properties.insert("node.id".to_owned(), b"router~1.1.1.1~x~y".to_vec());
        });
        assert_eq!(workload().unwrap().unwrap().namespace.as_deref(), Some("shop"));
        assert!(is_gateway());
    }

    #[test]
    fn istios_metadata_names_the_workload() {
        fake::reset(&[]);
        metadata("NAMESPACE", b"shop");
        metadata("LABELS", &HeaderMap::write(&[("app", "cart"), ("version", "v1")]));
        metadata("SERVICE_ACCOUNT", b"cart");
        let workload = workload().unwrap().unwrap();
        assert_eq!(workload.namespace.as_deref(), Some("shop"));
        assert_eq!(workload.service_account.as_deref(), Some("cart"));
        let labels = workload.labels.unwrap();
        assert_eq!(labels.get("app").map(String::as_str), Some("cart"));
        assert_eq!(labels.get("version").map(String::as_str), Some("v1"));
    }

    #[test]
    fn without_a_namespace_there_is_no_workload() {
        fake::reset(&[]);
        metadata("LABELS", &HeaderMap::write(&[("app", "cart")]));
        assert_eq!(workload(), Ok(None));
    }

    #[test]
    fn labels_of_another_type_are_not_taken_for_none() {
        fake::reset(&[]);
        metadata("NAMESPACE", b"shop");
        metadata("LABELS", b"app=cart");
        assert_eq!(
            workload().unwrap_err().to_string(),
            "Envoy's node metadata `LABELS` is not a map of strings"
        );
    }
}
