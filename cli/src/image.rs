//! `mesh-policy image`: a module as an OCI image, without Docker.
//!
//! The image has one layer, a compressed archive with `plugin.wasm`: the form that Istio looks for first, and that every
//! registry takes. (Istio's other form has layers of types of its own, and two of them.) The same module gives the same
//! bytes, so the digest says what is in it.

mod archive;

use crate::args::Image;
use crate::failure::{BOLD, Failure, USAGE};
use anstream::stdout;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Writes the image and prints what names it.
pub fn run(args: &Image) -> Result<(), Failure> {
    let unreadable = |why: String| Failure::usage(format!("cannot use `{}`: {why}", args.module.display()));
    let module = fs::read(&args.module).map_err(|error| unreadable(error.to_string()))?;
    if !module.starts_with(b"\0asm") {
        return Err(unreadable("it is no WebAssembly module".to_owned()));
    }
    let image = layout(&module).map_err(|error| unreadable(error.to_string()))?;
    image.write(&args.output, &args.tag).map_err(|error| {
        Failure::with_exit(USAGE, format!("cannot write to `{}`: {error}", args.output.display()))
    })?;
    let (folder, tag) = (args.output.display(), &args.tag);
    let mut out = stdout().lock();
    writeln!(out, "wrote {folder}: an OCI image layout, one layer with `plugin.wasm`")?;
    writeln!(out, "  image   {BOLD}{}{BOLD:#}  what `sha256` means for an oci:// URL", image.digest)?;
    writeln!(
        out,
        "  module  {BOLD}sha256:{}{BOLD:#}  what it means for http:// and https://",
        sha256(&module)
    )?;
    writeln!(out, "push it: skopeo copy oci:{folder}:{tag} docker://REGISTRY/NAME:{tag}")?;
    Ok(())
}

struct Layout {
    digest: String,
    manifest_size: usize,
    blobs: Vec<Vec<u8>>,
}

fn layout(module: &[u8]) -> io::Result<Layout> {
    let archive = archive::tar("plugin.wasm", module)?;
    let layer = archive::gzip(&archive)?;
    let config = json!({
        "architecture": "wasm",
        "os": "wasip1",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&archive))]},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer)],
        "annotations": {"module.wasm.image/variant": "compat"},
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = format!("sha256:{}", sha256(&manifest));
    Ok(Layout { digest, manifest_size: manifest.len(), blobs: vec![config, layer, manifest] })
}

impl Layout {
    /// The index comes last: until then there is no image.
    fn write(&self, folder: &Path, tag: &str) -> io::Result<()> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for blob in &self.blobs {
            fs::write(blobs.join(sha256(blob)), blob)?;
        }
        fs::write(folder.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{
                "mediaType": MANIFEST,
                "digest": self.digest,
                "size": self.manifest_size,
                "annotations": {"org.opencontainers.image.ref.name": tag},
            }],
        });
        crate::run::publish::write(&folder.join("index.json"), &index)
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(content)), "size": content.len()})
}

/// In hexadecimal digits.
fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_one_that_everybody_computes() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn one_module_gives_one_image_and_another_gives_another() {
        let digest = |module: &[u8]| layout(module).unwrap().digest;
        assert_eq!(digest(b"\0asm1"), digest(b"\0asm1"));
        assert_ne!(digest(b"\0asm1"), digest(b"\0asm2"));
    }
}
