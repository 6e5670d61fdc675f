//! Certificates, keys and CAs as files that Envoy watches (SDS): one that is renewed is used by the next handshake, and no
//! listener drains.

use super::{Dynamic, File, config_source, file_name};
use crate::envoy::typed;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The folder of the secrets.
pub(super) const SECRETS: &str = "secrets/";

const SECRET: &str = "envoy.extensions.transport_sockets.tls.v3.Secret";

/// What of a validation context is a secret; the rest says which names are believed, and stays where it is.
const CHANGING: [&str; 2] = ["trusted_ca", "crl"];

impl Dynamic {
    /// Puts what the files of certificates and keys hold now in the place of their names. A certificate and its key are then
    /// renewed in one step, and files that are no good never reach Envoy.
    ///
    /// # Errors
    /// A file cannot be read, or holds no text.
    pub fn hold_secrets(&mut self) -> Result<(), String> {
        for (_, file) in self.files.iter_mut().filter(|(name, _)| name.starts_with(SECRETS)) {
            for secret in &mut file.resources {
                hold(secret)?;
            }
        }
        Ok(())
    }
}

/// The files that the TLS settings of a configuration name.
pub(crate) fn named(bootstrap: &Value) -> Vec<PathBuf> {
    let mut found = Vec::new();
    each_context(&mut bootstrap.clone(), &mut |context| {
        let pairs = context.get("tls_certificates").and_then(Value::as_array).into_iter().flatten();
        let sources = pairs.flat_map(|pair| [pair.get("certificate_chain"), pair.get("private_key")]);
        let validation = context.get("validation_context");
        let sources = sources.chain(CHANGING.map(|field| validation?.get(field)));
        let names = sources.filter_map(|source| source?.get("filename")?.as_str());
        found.extend(names.map(PathBuf::from));
    });
    found
}

/// Takes the certificates out of the TLS settings of a listener or cluster.
pub(super) fn divide(owner: &mut Value, folder: &Path, files: &mut BTreeMap<String, File>) {
    let mut add = |title: String, fields: Value| {
        let name = format!("{title}-{}", short_hash(&fields));
        let file = format!("{SECRETS}{}.json", file_name(&name));
        let source = json!({"name": name, "sds_config": config_source(&folder.join(&file))});
        let mut secret = fields;
        if let Some(object) = secret.as_object_mut() {
            object.insert("name".to_owned(), json!(name));
        }
        let subscription = format!("sds.{name}");
        files.insert(file, File { subscription, resources: vec![typed(SECRET, secret)] });
        source
    };
    each_context(owner, &mut |context| {
        if let Some(Value::Array(pairs)) = context.remove("tls_certificates") {
            let sources: Vec<Value> = pairs
                .into_iter()
                .map(|mut pair| {
                    watch(&mut pair, "certificate_chain");
                    add(title(pair.pointer("/certificate_chain/filename")), json!({"tls_certificate": pair}))
                })
                .collect();
            context.insert("tls_certificate_sds_secret_configs".to_owned(), json!(sources));
        }
        let Some(Value::Object(validation)) = context.get_mut("validation_context") else { return };
        let taken: Map<String, Value> = CHANGING
            .iter()
            .filter_map(|field| Some(((*field).to_owned(), validation.remove(*field)?)))
            .collect();
        if taken.is_empty() {
            return;
        }
        let rest = Value::Object(std::mem::take(validation));
        let mut taken = Value::Object(taken);
        watch(&mut taken, "trusted_ca");
        let source = add(title(taken.pointer("/trusted_ca/filename")), json!({"validation_context": taken}));
        context.remove("validation_context");
        let combined =
            json!({"default_validation_context": rest, "validation_context_sds_secret_config": source});
        context.insert("combined_validation_context".to_owned(), combined);
    });
}

/// Has Envoy look at the files again when others are moved into their folder.
fn watch(secret: &mut Value, field: &str) {
    let file = secret.pointer(&format!("/{field}/filename")).and_then(Value::as_str);
    let Some(folder) = file.and_then(|file| Path::new(file).parent()).map(Path::to_owned) else { return };
    if let Some(secret) = secret.as_object_mut() {
        secret.insert("watched_directory".to_owned(), json!({"path": folder}));
    }
}

/// The last parts of a path, for people.
fn title(file: Option<&Value>) -> String {
    let parts: Vec<&str> = file.and_then(Value::as_str).unwrap_or_default().rsplit('/').take(3).collect();
    parts.into_iter().rev().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

fn short_hash(value: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

/// Calls `change` for the TLS settings of every transport socket, those inside others too.
fn each_context(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::Object(context) if key == "common_tls_context" => change(context),
                    other => each_context(other, change),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| each_context(value, change)),
        _ => {}
    }
}

/// Replaces the names of files by what they hold.
fn hold(value: &mut Value) -> Result<(), String> {
    let Value::Object(object) = value else { return Ok(()) };
    object.remove("watched_directory");
    if let Some(name) = object.get("filename").and_then(Value::as_str) {
        let text =
            fs::read_to_string(name).map_err(|error| format!("the file `{name}` cannot be read: {error}"))?;
        *object = [("inline_string".to_owned(), json!(text))].into_iter().collect();
        return Ok(());
    }
    object.values_mut().try_for_each(hold)
}
