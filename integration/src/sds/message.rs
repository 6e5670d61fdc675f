//! The messages of the secret discovery service, in protobuf's wire format and gRPC's frames.

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const VALIDATOR: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/// What is asked for, or what was made of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DiscoveryRequest {
    pub(super) names: Vec<String>,
    /// Why the last answer was not taken.
    pub(super) refusal: Option<String>,
}

impl DiscoveryRequest {
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut request = Self::default();
        for (number, value) in fields(message)? {
            match number {
                3 => request.names.push(String::from_utf8_lossy(value).into_owned()),
                // google.rpc.Status
                6 => {
                    let words = fields(value)?.into_iter().find(|(number, _)| *number == 2);
                    let words = words.map(|(_, text)| String::from_utf8_lossy(text).into_owned());
                    request.refusal = Some(words.unwrap_or_default());
                }
                _ => {}
            }
        }
        Some(request)
    }
}

/// A `Secret` with a certificate and its key.
pub(super) fn certificate(name: &str, certificate: &[u8], key: &[u8]) -> Vec<u8> {
    let pair = [field(1, &data_source(certificate)), field(2, &data_source(key))].concat();
    [field(1, name.as_bytes()), field(2, &pair)].concat()
}

/// A `Secret` with the CAs of a trust domain.
pub(super) fn bundle(name: &str, trust_domain: &str, cas: &[u8]) -> Vec<u8> {
    let domain = field(1, &[field(1, trust_domain.as_bytes()), field(2, &data_source(cas))].concat());
    let extension =
        [field(1, b"envoy.tls.cert_validator.spiffe"), field(2, &any(VALIDATOR, &domain))].concat();
    [field(1, name.as_bytes()), field(4, &field(12, &extension))].concat()
}

/// A `DiscoveryResponse` in a frame.
pub(super) fn discovery_response(version: &str, secrets: &[Vec<u8>]) -> Vec<u8> {
    let resources: Vec<u8> = secrets.iter().flat_map(|secret| field(2, &any(SECRET, secret))).collect();
    let message = [
        field(1, version.as_bytes()),
        resources,
        field(4, SECRET.as_bytes()),
        field(5, format!("nonce-{version}").as_bytes()),
    ]
    .concat();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// Takes a message out of its frame, once all of it is there.
pub(super) fn take(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (head, _) = buffer.split_first_chunk::<5>()?;
    let [_, length @ ..] = *head;
    let end = usize::try_from(u32::from_be_bytes(length)).ok()?.checked_add(5)?;
    if buffer.len() < end {
        return None;
    }
    let rest = buffer.split_off(end);
    let message = buffer.split_off(5);
    *buffer = rest;
    Some(message)
}

fn any(kind: &str, message: &[u8]) -> Vec<u8> {
    [field(1, kind.as_bytes()), field(2, message)].concat()
}

/// `DataSource.inline_bytes`.
fn data_source(content: &[u8]) -> Vec<u8> {
    field(2, content)
}

/// A field whose value has a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or_default());
    bytes.extend_from_slice(value);
    bytes
}

/// The fields that have a length.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => {
                varint(&mut message)?;
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (value, rest) = message.split_at_checked(length)?;
                found.push((key >> 3, value));
                message = rest;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_out_of_its_frame() {
        let status = field(2, b"no such key");
        let message =
            [field(1, b"7"), field(3, b"spiffe://a/ns/b/sa/c"), field(6, &status), vec![8, 1]].concat();
        let mut bytes = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()][..], &message, &[0, 0]].concat();
        let taken = take(&mut bytes).unwrap();
        assert_eq!(bytes, [0, 0]);
        assert_eq!(take(&mut bytes), None);
        let request = DiscoveryRequest::read(&taken).unwrap();
        assert_eq!(request.names, ["spiffe://a/ns/b/sa/c"]);
        assert_eq!(request.refusal.as_deref(), Some("no such key"));
        assert_eq!(DiscoveryRequest::read(&[0x1a, 9, 1]), None);
    }

    #[test]
    fn long_values_have_long_lengths() {
        let bytes = field(2, &[b'x'; 300]);
        assert_eq!(bytes.get(..3), Some(&[0x12, 0xac, 0x02][..]));
        assert_eq!(fields(&bytes).unwrap(), [(2, &[b'x'; 300][..])]);
    }
}
