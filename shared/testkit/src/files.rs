//! The corpus, compiled in, so that it is at hand where there is no file system.

/// A file of the corpus: its name and its text.
pub type File = (&'static str, &'static str);

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Every file of `testdata` but the common one.
        pub const FILES: &[File] =
            &[$(($name, include_str!(concat!("../../../testdata/", $name, ".yaml")))),*];
    };
}

files!(
    "authorization/addresses",
    "authorization/as-envoy",
    "authorization/claims",
    "authorization/conditions",
    "authorization/custom",
    "authorization/decisions",
    "authorization/deny-all",
    "authorization/evaluation",
    "authorization/guide",
    "authorization/hostile",
    "authorization/identities",
    "authorization/operations",
    "authorization/refused",
    "routing/actions",
    "routing/as-envoy",
    "routing/claims",
    "routing/conditions",
    "routing/cors",
    "routing/delegates",
    "routing/faults",
    "routing/forwarding",
    "routing/grpc",
    "routing/header-operations",
    "routing/hosts",
    "routing/match",
    "routing/operators",
    "routing/order",
    "routing/paths",
    "routing/redirects",
    "routing/refused",
    "routing/regex",
    "routing/rewrites",
    "routing/sidecar",
    "routing/uri",
    "routing/virtual-hosts",
);

/// What every group can lean on.
pub const COMMON: &str = include_str!("../../../testdata/common.yaml");

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_file_of_testdata_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
        let mut found = Vec::new();
        for folder in
            std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
        {
            for file in std::fs::read_dir(folder).unwrap() {
                let file = file.unwrap().path().with_extension("");
                found.push(file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
        found.sort();
        assert_eq!(found, FILES.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }
}
