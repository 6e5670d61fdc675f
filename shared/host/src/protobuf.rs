//! Just enough protobuf to read a `google.protobuf.Struct` out of Envoy's dynamic metadata.

use serde_json::{Map, Number, Value};

/// Deeper nesting than anything a token issuer writes; bounds the recursion.
const MAX_DEPTH: usize = 64;

/// The value `key` in the namespace `namespace` of a serialized `envoy.config.core.v3.Metadata`, as JSON text; `None` when it
/// is not there or cannot be read.
pub fn metadata_json(metadata: &[u8], namespace: &str, key: &str) -> Option<Vec<u8>> {
    let mut found = None;
    for field in Fields(metadata) {
        // `filter_metadata`, a map from namespace to Struct: its entries are messages of key 1 and value 2.
        if let (1, Wire::Bytes(entry)) = field? {
            let (name, value) = map_entry(entry)?;
            if name == namespace.as_bytes() {
                found = Some(value);
            }
        }
    }
    let mut payload = None;
    for field in Fields(found?) {
        if let (1, Wire::Bytes(entry)) = field? {
            let (name, bytes) = map_entry(entry)?;
            if name == key.as_bytes() {
                payload = Some(bytes);
            }
        }
    }
    serde_json::to_vec(&value(payload?, 0)?).ok()
}

/// `google.protobuf.Value`.
fn value(message: &[u8], depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut result = Value::Null;
    for field in Fields(message) {
        result = match field? {
            (1, Wire::Varint(_)) => Value::Null,
            (2, Wire::Fixed64(bits)) => number(f64::from_bits(bits)),
            (3, Wire::Bytes(bytes)) => Value::String(std::str::from_utf8(bytes).ok()?.to_owned()),
            (4, Wire::Varint(bit)) => Value::Bool(bit != 0),
            (5, Wire::Bytes(bytes)) => Value::Object(structure(bytes, depth + 1)?),
            (6, Wire::Bytes(bytes)) => Value::Array(list(bytes, depth + 1)?),
            _ => continue,
        };
    }
    Some(result)
}

fn structure(message: &[u8], depth: usize) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    for field in Fields(message) {
        if let (1, Wire::Bytes(entry)) = field? {
            let (key, bytes) = map_entry(entry)?;
            object.insert(std::str::from_utf8(key).ok()?.to_owned(), value(bytes, depth)?);
        }
    }
    Some(object)
}

fn list(message: &[u8], depth: usize) -> Option<Vec<Value>> {
    let mut entries = Vec::new();
    for field in Fields(message) {
        if let (1, Wire::Bytes(bytes)) = field? {
            entries.push(value(bytes, depth)?);
        }
    }
    Some(entries)
}

/// Whole numbers without a fraction, as the token had them before protobuf made them doubles.
fn number(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        return Value::Number(Number::from(number as i64));
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Key and value of a map's entry; either may be left out when it is empty.
fn map_entry(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut key, mut value) = (b"".as_slice(), b"".as_slice());
    for field in Fields(entry) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Some((key, value))
}

enum Wire<'m> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'m [u8]),
    Fixed32,
}

/// The fields of a message: number and content; a `None` inside, once, when the rest cannot be read.
struct Fields<'m>(&'m [u8]);

impl<'m> Fields<'m> {
    fn field(&mut self) -> Option<(u64, Wire<'m>)> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Wire::Fixed64(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => {
                let (_, rest) = self.0.split_first_chunk::<4>()?;
                self.0 = rest;
                Wire::Fixed32
            }
            _ => return None,
        };
        Some((tag >> 3, content))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = Option<(u64, Wire<'m>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = b"";
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            out.push(number << 3 | 2);
            let mut length = bytes.len();
            while length >= 0x80 {
                out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            out.push(u8::try_from(length).unwrap());
            out.extend_from_slice(bytes);
        }
        out
    }

    fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        message(&[(1, key.as_bytes()), (2, value)])
    }

    fn encode(json: &Value) -> Vec<u8> {
        match json {
            Value::Null => vec![1 << 3, 0],
            Value::Bool(bit) => vec![4 << 3, u8::from(*bit)],
            Value::Number(number) => {
                let mut out = vec![2 << 3 | 1];
                out.extend(number.as_f64().unwrap().to_le_bytes());
                out
            }
            Value::String(text) => message(&[(3, text.as_bytes())]),
            Value::Array(entries) => {
                let entries: Vec<Vec<u8>> = entries.iter().map(encode).collect();
                let fields: Vec<(u8, &[u8])> = entries.iter().map(|bytes| (1, bytes.as_slice())).collect();
                message(&[(6, &message(&fields))])
            }
            Value::Object(_) => message(&[(5, &encode_struct(json))]),
        }
    }

    fn encode_struct(json: &Value) -> Vec<u8> {
        let entries: Vec<Vec<u8>> =
            json.as_object().unwrap().iter().map(|(key, value)| entry(key, &encode(value))).collect();
        let fields: Vec<(u8, &[u8])> = entries.iter().map(|bytes| (1, bytes.as_slice())).collect();
        message(&fields)
    }

    fn metadata(payload: &Value) -> Vec<u8> {
        let fields = message(&[(1, &entry("other", b"")), (1, &entry("payload", &encode(payload)))]);
        message(&[(1, &entry("some.filter", b"")), (1, &entry("jwt", &fields)), (2, b"typed, not read")])
    }

    #[test]
    fn a_payload_comes_out_as_it_went_in() {
        let payload = serde_json::json!({
            "iss": "https://issuer", "aud": ["a", "b"], "exp": 1_700_000_000, "ratio": 0.5, "admin": true,
            "nothing": null, "realm": { "roles": ["x"], "empty": {}, "long": "y".repeat(300) }, "none": [],
        });
        let json = metadata_json(&metadata(&payload), "jwt", "payload").unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), payload);
    }

    #[test]
    fn what_is_not_there_is_none() {
        let metadata = metadata(&serde_json::json!({}));
        assert_eq!(metadata_json(&metadata, "jwt", "absent"), None);
        assert_eq!(metadata_json(&metadata, "absent", "payload"), None);
        assert_eq!(metadata_json(b"", "jwt", "payload"), None);
    }

    #[test]
    fn a_message_cut_anywhere_gives_nothing_wrong() {
        let payload = serde_json::json!({ "sub": "someone", "n": 7 });
        let whole = metadata(&payload);
        for length in 0..whole.len() {
            if let Some(json) = metadata_json(&whole[..length], "jwt", "payload") {
                assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), payload, "{length}");
            }
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let mut payload = Value::Null;
        for _ in 0..100 {
            payload = Value::Array(vec![payload]);
        }
        assert_eq!(metadata_json(&metadata(&payload), "jwt", "payload"), None);
    }

    #[test]
    fn a_varint_without_end_is_refused() {
        assert_eq!(metadata_json(&[0xff; 12], "jwt", "payload"), None);
    }
}
