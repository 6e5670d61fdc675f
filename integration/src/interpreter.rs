//! A filter's module in an interpreter, in front of a proxy that answers from memory: what a request costs, in instructions,
//! calls and bytes. Unlike time, these are the same on every machine.
//!
//! Instructions are operators of WebAssembly, and a loop is charged for its whole body each time round, also for what a branch
//! leaves out: comparable between versions of one module, and no measure of time. What the calls do on the proxy's side is
//! not in them, which is why calls are counted too.

use std::collections::BTreeMap;
use std::fmt;

use mesh_policy_testkit::generate::{Peer, Probe};
use wasmi::{CompilationMode, Config, Engine, Instance, Linker, Module, Store, WasmParams};

use crate::error::Context;
use crate::{Error, Result, modules};

mod proxy;

/// What was done between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// How often the proxy called the module.
    pub callbacks: u64,
    /// How often the module called the proxy, by the call's name.
    pub calls: BTreeMap<&'static str, u64>,
    /// How many bytes went from one memory into the other.
    pub bytes: u64,
    /// How many instructions the module executed.
    pub instructions: u64,
}

impl Effort {
    /// How often the module called the proxy.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// All but the instructions, which want a margin of their own: `5 callbacks, 2 calls, 600 bytes: proxy_log, 2 proxy_set_property`.
impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} callbacks, {} calls, {} bytes:", self.callbacks, self.total_calls(), self.bytes)?;
        let mut separator = " ";
        for (name, count) in &self.calls {
            f.write_str(separator)?;
            if *count > 1 {
                write!(f, "{count} ")?;
            }
            f.write_str(name)?;
            separator = ", ";
        }
        Ok(())
    }
}

/// What the proxy holds, and what has been asked of it.
#[derive(Debug, Default)]
struct Proxy {
    configuration: Vec<u8>,
    header_map: Vec<u8>,
    properties: BTreeMap<String, Vec<u8>>,
    effort: Effort,
    errors: Vec<String>,
}

/// A module with a configuration.
pub struct Interpreter {
    store: Store<Proxy>,
    instance: Instance,
    stream: i32,
}

/// The number of the root context.
const ROOT: i32 = 1;

impl Interpreter {
    /// Loads the module and configures it.
    ///
    /// # Errors
    /// The module has not been built, makes a call that this proxy does not have, or refuses the configuration.
    pub fn start(module: modules::Module, configuration: &str) -> Result<(Self, Effort)> {
        let path = module.path()?;
        let bytes = std::fs::read(&path).context(path.display())?;
        let engine =
            Engine::new(Config::default().consume_fuel(true).compilation_mode(CompilationMode::Eager));
        let module = Module::new(&engine, &bytes).context(path.display())?;
        let proxy = Proxy { configuration: configuration.as_bytes().to_vec(), ..Proxy::default() };
        let mut store = Store::new(&engine, proxy);
        store.set_fuel(u64::MAX).context("instructions cannot be counted")?;
        let mut linker = Linker::new(&engine);
        proxy::define(&mut linker)
            .and_then(|()| proxy::refuse_others(&mut linker, &module))
            .context("calls")?;
        let instance = linker.instantiate_and_start(&mut store, &module).context(path.display())?;
        let mut started = Self { store, instance, stream: ROOT };
        started.call("_initialize", ())?;
        started.callback("proxy_on_context_create", (ROOT, 0))?;
        started.take_effort()?;
        let size = i32::try_from(configuration.len()).context("the configuration's size")?;
        let accepted = started.callback("proxy_on_configure", (ROOT, size))?;
        if accepted != Some(1) {
            let errors = &started.store.data().errors;
            return Err(Error::new(format!("the configuration is refused: {}", errors.join("\n"))));
        }
        let effort = started.take_effort()?;
        Ok((started, effort))
    }

    /// Sends a request through, from its headers to the end of its response.
    ///
    /// # Errors
    /// The module traps, or logs an error.
    pub fn send(&mut self, request: &Probe) -> Result<Effort> {
        self.stream += 1;
        let stream = self.stream;
        let proxy = self.store.data_mut();
        proxy.header_map = request.header_map();
        proxy.properties = properties(request);
        self.callback("proxy_on_context_create", (stream, ROOT))?;
        self.callback("proxy_on_request_headers", (stream, 0, 1))?;
        self.callback("proxy_on_response_headers", (stream, 0, 1))?;
        self.callback("proxy_on_delete", stream)?;
        match self.store.data().errors.as_slice() {
            [] => self.take_effort(),
            errors => Err(Error::new(errors.join("\n"))),
        }
    }

    /// How many bytes of memory the module has taken.
    ///
    /// # Errors
    /// It exports no memory.
    pub fn memory(&self) -> Result<usize> {
        let memory = self.instance.get_memory(&self.store, "memory").context("no memory is exported")?;
        Ok(memory.data_size(&self.store))
    }

    /// Calls what the module exports; as the proxy does, it passes over what is not exported.
    fn callback(&mut self, name: &str, arguments: impl WasmParams) -> Result<Option<i32>> {
        let Some(function) = self.instance.get_func(&self.store, name) else { return Ok(None) };
        self.store.data_mut().effort.callbacks += 1;
        if function.ty(&self.store).results().is_empty() {
            self.call(name, arguments)?;
            return Ok(None);
        }
        let function = self.instance.get_typed_func::<_, i32>(&self.store, name).context(name)?;
        function.call(&mut self.store, arguments).map(Some).context(name)
    }

    fn call(&mut self, name: &str, arguments: impl WasmParams) -> Result<()> {
        let function = self.instance.get_typed_func::<_, ()>(&self.store, name).context(name)?;
        function.call(&mut self.store, arguments).context(name)
    }

    fn take_effort(&mut self) -> Result<Effort> {
        let left = self.store.get_fuel().context("instructions cannot be counted")?;
        self.store.set_fuel(u64::MAX).context("instructions cannot be counted")?;
        let effort = std::mem::take(&mut self.store.data_mut().effort);
        Ok(Effort { instructions: u64::MAX - left, ..effort })
    }
}

/// What Envoy knows of the connection.
fn properties(request: &Probe) -> BTreeMap<String, Vec<u8>> {
    let address = |port: u16| format!("{}:{port}", request.source_ip).into_bytes();
    let mut properties = BTreeMap::from([
        ("source.address".to_owned(), address(40_000)),
        ("destination.address".to_owned(), address(80)),
        ("destination.port".to_owned(), 80_i64.to_le_bytes().to_vec()),
        ("request.protocol".to_owned(), b"HTTP/1.1".to_vec()),
        ("filter_state.mesh_policy.direct_remote_ip".to_owned(), request.source_ip.clone().into_bytes()),
    ]);
    if let Peer::Mutual(identities) = &request.peer {
        let names = identities.join(",").into_bytes();
        properties.insert("filter_state.mesh_policy.peer_uri_sans".to_owned(), names);
    }
    properties
}
