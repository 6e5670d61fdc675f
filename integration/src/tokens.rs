//! Issuers of tokens: real keys, and JSON Web Tokens signed with them.

use crate::{Context, Error, Result};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::fmt;

/// An issuer with a key of its own.
pub struct Issuer {
    name: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    /// An issuer with a fresh key; `name` is its `iss` and the id of the key.
    ///
    /// # Errors
    /// No key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let random = SystemRandom::new();
        let failed = |_| Error::new("making an issuer's key");
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .context("reading an issuer's key")?;
        Ok(Self { name: name.to_owned(), pair, random })
    }

    /// Its `iss`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The set of keys that verifies its tokens, a JWKS.
    pub fn keys(&self) -> String {
        // One byte says that the point is not compressed; two numbers of 32 bytes follow.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.name,
            "x": base64url(x), "y": base64url(y),
        }] })
        .to_string()
    }

    /// A token with these claims, `iss`, and an end that is far; what `claims` say of either counts.
    ///
    /// # Errors
    /// Signing fails.
    pub fn token(&self, claims: &Value) -> Result<String> {
        let mut payload = json!({ "iss": self.name, "exp": 4_000_000_000_u64 });
        crate::config::merge(&mut payload, claims);
        self.sign(payload.to_string().as_bytes())
    }

    /// A token with exactly this payload, which is JSON if the token is to be good.
    ///
    /// # Errors
    /// Signing fails.
    pub fn sign(&self, payload: &[u8]) -> Result<String> {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.name }).to_string();
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(payload));
        let signature =
            self.pair.sign(&self.random, signed.as_bytes()).map_err(|_| Error::new("signing a token"))?;
        Ok(format!("{signed}.{}", base64url(signature.as_ref())))
    }

    /// A RequestAuthentication `tokens` in `namespace` by which the tokens of this issuer's key are good whatever their `iss`.
    pub fn any_issuer(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "RequestAuthentication",
            "metadata": { "name": "tokens", "namespace": namespace },
            // A rule has an issuer or an address, which nobody asks where the keys stand beside it.
            "spec": { "jwtRules": [{ "jwksUri": "https://keys.invalid/", "jwks": self.keys() }] },
        })
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Without padding, as RFC 7515 has it.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..=chunk.len() {
            let six = (bits >> (18 - 6 * index)) as usize & 63;
            text.extend(ALPHABET.get(six).map(|letter| char::from(*letter)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64url;

    #[test]
    fn base64url_is_as_in_rfc_4648_without_padding() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff", "-_8"),
        ] {
            assert_eq!(base64url(bytes), text);
        }
    }
}
