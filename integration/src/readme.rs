//! The filters that stand in `filters/NAME/README.md`, as people copy them.

use serde_json::{Value, json};

use crate::{Context, Error, Result, markdown::Document, modules::Module};

/// What the README of a filter shows.
#[derive(Debug)]
pub struct Readme {
    module: Module,
    /// The example of a plugin configuration.
    pub example: String,
    filter: Value,
    /// What else it puts into the listener: network filters in front of the connection manager.
    pub companions: Vec<Value>,
}

impl Readme {
    /// Reads it.
    ///
    /// # Errors
    /// It has no example, or none that can be run.
    pub fn of(module: Module) -> Result<Self> {
        let name = module.file_name().trim_start_matches("mesh_").trim_end_matches(".wasm");
        let document = Document::read(format!("filters/{name}/README.md"))?;
        let mut filters = Vec::new();
        for block in document.blocks("yaml") {
            let read = mesh_policy_istio::yaml::read(&block).context(format_args!("the README of {name}"))?;
            let json = serde_json::to_value(read.nodes).context("a document as JSON")?;
            let blocks = json.as_array().into_iter().flatten().filter_map(Value::as_array).flatten();
            filters.extend(blocks.cloned());
        }
        let shipped = format!("dist/{}", module.file_name());
        let is_ours = |filter: &Value| filter.pointer(FILE).is_some_and(|file| *file == json!(shipped));
        let at = filters.iter().position(is_ours);
        let filter = filters.remove(at.context(format_args!("no filter with `{shipped}` in the README"))?);
        Ok(Self { module, example: document.block("json")?, filter, companions: filters })
    }

    /// The filter as it stands there, but for the place of the module.
    ///
    /// # Errors
    /// The module is not built.
    pub fn as_written(&self) -> Result<Value> {
        let mut filter = self.filter.clone();
        let file = filter.pointer_mut(FILE).context("the file of the module")?;
        *file = json!(self.module.path()?);
        Ok(filter)
    }

    /// The filter with this plugin configuration. Listeners with one module share its machine; `name` tells them apart.
    ///
    /// # Errors
    /// The module is not built, or the filter has no plugin configuration.
    pub fn with(&self, name: &str, configuration: &str) -> Result<Value> {
        let mut filter = self.as_written()?;
        for pointer in ["/typed_config/config/root_id", "/typed_config/config/name"] {
            *filter.pointer_mut(pointer).context(pointer)? = json!(name);
        }
        let value = filter.pointer_mut("/typed_config/config/configuration/value");
        *value.context("the plugin configuration")? = json!(configuration);
        Ok(filter)
    }

    /// The filter with the README's example.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn with_example(&self) -> Result<Value> {
        self.with("example", &self.example)
    }
}

const FILE: &str = "/typed_config/config/vm_config/code/local/filename";

/// A filter with a configuration, as its README shows it.
///
/// # Errors
/// As [`Readme::with`].
pub fn filter(module: Module, name: &str, configuration: &Value) -> Result<Value> {
    Readme::of(module)?.with(name, &configuration.to_string())
}

/// The four single filters in the order of their READMEs, all with one configuration.
///
/// # Errors
/// As [`Readme::with`].
pub fn chain(name: &str, configuration: &Value) -> Result<Vec<Value>> {
    [Module::Authz, Module::Headers, Module::Fault, Module::Router]
        .map(|module| {
            filter(module, name, configuration).map_err(|error| Error::new(format!("{module:?}: {error}")))
        })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_has_a_readme_with_itself_and_an_example() {
        for module in Module::ALL {
            let readme = Readme::of(module).unwrap();
            assert!(readme.example.contains("\"kind\": \"List\""), "{module:?}");
            let others = usize::from(module == Module::Authz);
            assert_eq!(readme.companions.len(), others, "{module:?}");
        }
    }
}
