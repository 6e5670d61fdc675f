//! A request as it is sent.

use mesh_policy_core::request::HeaderMap;

/// How the client is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Peer {
    /// In plain text.
    #[default]
    Plain,
    /// By mutual TLS, with these URI SANs in its certificate.
    Mutual(Vec<String>),
}

/// What a proxy in front tells of its client's connection, by a line of the PROXY protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The client's address.
    pub remote_ip: String,
    /// The address that it connected to, of the same family.
    pub destination_ip: String,
    /// The port that it connected to.
    pub destination_port: u16,
}

/// A request, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// The method.
    pub method: Vec<u8>,
    /// The target of the request line.
    pub target: Vec<u8>,
    /// The host; no line when absent.
    pub authority: Option<Vec<u8>>,
    /// Whether it claims HTTP/1.0.
    pub http10: bool,
    /// The other header lines in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The payload of its token, which is signed as it stands.
    pub token: Option<String>,
    /// How the client is connected.
    pub peer: Peer,
    /// The address that it connects from.
    pub source_ip: String,
    /// What goes before everything else on the connection.
    pub told: Option<Told>,
}

impl Probe {
    /// The header map that Envoy would hand to a filter, in the layout of the proxy-wasm ABI.
    #[must_use]
    pub fn header_map(&self) -> Vec<u8> {
        let mut pairs = vec![
            (b":authority".to_vec(), self.authority.clone().unwrap_or_default()),
            (b":path".to_vec(), self.target.clone()),
            (b":method".to_vec(), self.method.clone()),
            (b":scheme".to_vec(), b"http".to_vec()),
        ];
        let lines = self.headers.iter();
        pairs.extend(lines.map(|(name, value)| (name.to_ascii_lowercase().into_bytes(), value.clone())));
        HeaderMap::write(&pairs)
    }
}
