//! The proxy's side of the calls.

use wasmi::errors::LinkerError;
use wasmi::{AsContext, AsContextMut, Caller, Error, Extern, ExternType, Linker, Memory, Val};

use super::Proxy;

type Called<T> = std::result::Result<T, Error>;
type Module<'m> = Caller<'m, Proxy>;

const OK: i32 = 0;
const NOT_FOUND: i32 = 1;

/// Errors in the log end a run.
const ERROR: i32 = 4;
/// What is logged: an ordinary Envoy's level is "info".
const INFO: i32 = 2;

/// Defines every call that our modules import.
pub(super) fn define(linker: &mut Linker<Proxy>) -> Called<()> {
    let env = "env";
    linker.func_wrap(env, "proxy_log", |mut module: Module<'_>, level: i32, at: i32, size: i32| {
        let text = taken(&mut module, "proxy_log", &[(at, size)])?.concat();
        if level >= ERROR {
            module.data_mut().errors.push(String::from_utf8_lossy(&text).into_owned());
        }
        Ok::<_, Error>(OK)
    })?;
    linker.func_wrap(env, "proxy_get_log_level", |mut module: Module<'_>, at: i32| {
        taken(&mut module, "proxy_get_log_level", &[])?;
        number(&mut module, at, INFO)
    })?;
    linker.func_wrap(
        env,
        "proxy_get_buffer_bytes",
        |mut module: Module<'_>, _: i32, _: i32, _: i32, at: i32, size_at: i32| {
            taken(&mut module, "proxy_get_buffer_bytes", &[])?;
            let bytes = module.data().configuration.clone();
            give(&mut module, &bytes, at, size_at)
        },
    )?;
    linker.func_wrap(
        env,
        "proxy_get_header_map_pairs",
        |mut module: Module<'_>, _: i32, at: i32, size_at: i32| {
            taken(&mut module, "proxy_get_header_map_pairs", &[])?;
            let bytes = module.data().header_map.clone();
            give(&mut module, &bytes, at, size_at)
        },
    )?;
    linker.func_wrap(
        env,
        "proxy_get_property",
        |mut module: Module<'_>, path: i32, path_size: i32, at: i32, size_at: i32| {
            let path = taken(&mut module, "proxy_get_property", &[(path, path_size)])?.concat();
            let path = String::from_utf8_lossy(&path).replace('\0', ".");
            match module.data().properties.get(&path).cloned() {
                Some(value) => give(&mut module, &value, at, size_at),
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    for name in ["proxy_replace_header_map_value", "proxy_add_header_map_value"] {
        linker.func_wrap(
            env,
            name,
            move |mut module: Module<'_>, _: i32, at: i32, size: i32, value: i32, value_size: i32| {
                taken(&mut module, name, &[(at, size), (value, value_size)]).map(|_| OK)
            },
        )?;
    }
    linker.func_wrap(
        env,
        "proxy_remove_header_map_value",
        |mut module: Module<'_>, _: i32, at: i32, size: i32| {
            taken(&mut module, "proxy_remove_header_map_value", &[(at, size)]).map(|_| OK)
        },
    )?;
    linker.func_wrap(
        env,
        "proxy_set_property",
        |mut module: Module<'_>, path: i32, path_size: i32, value: i32, value_size: i32| {
            let written = [(path, path_size), (value, value_size)];
            taken(&mut module, "proxy_set_property", &written).map(|_| OK)
        },
    )?;
    #[rustfmt::skip]
    linker.func_wrap(
        env,
        "proxy_send_local_response",
        |mut module: Module<'_>, _: i32, details: i32, details_size: i32, body: i32, body_size: i32, headers: i32, headers_size: i32, _: i32| {
            let written = [(details, details_size), (body, body_size), (headers, headers_size)];
            taken(&mut module, "proxy_send_local_response", &written).map(|_| OK)
        },
    )?;
    for name in ["proxy_continue_stream", "proxy_set_effective_context", "proxy_set_tick_period_milliseconds"]
    {
        linker.func_wrap(env, name, move |mut module: Module<'_>, _: i32| {
            taken(&mut module, name, &[]).map(|_| OK)
        })?;
    }
    linker.func_wrap(
        env,
        "proxy_define_metric",
        |mut module: Module<'_>, _: i32, at: i32, size: i32, id_at: i32| {
            taken(&mut module, "proxy_define_metric", &[(at, size)])?;
            number(&mut module, id_at, 1)
        },
    )?;
    linker.func_wrap(env, "proxy_increment_metric", |mut module: Module<'_>, _: i32, _: i64| {
        taken(&mut module, "proxy_increment_metric", &[]).map(|_| OK)
    })?;
    define_wasi(linker)
}

/// What Rust's standard library imports.
fn define_wasi(linker: &mut Linker<Proxy>) -> Called<()> {
    let wasi = "wasi_snapshot_preview1";
    linker.func_wrap(wasi, "random_get", |mut module: Module<'_>, at: i32, size: i32| {
        // Always the same: what is counted must not hang on chance.
        let bytes = vec![0x5a; usize_of(size)?];
        memory(&module)?.write(module.as_context_mut(), usize_of(at)?, &bytes)?;
        Ok::<_, Error>(OK)
    })?;
    linker.func_wrap(wasi, "clock_time_get", |mut module: Module<'_>, _: i32, _: i64, at: i32| {
        taken(&mut module, "clock_time_get", &[])?;
        memory(&module)?.write(module.as_context_mut(), usize_of(at)?, &1_000_000_u64.to_le_bytes())?;
        Ok::<_, Error>(OK)
    })?;
    linker.func_wrap(wasi, "environ_get", |_: Module<'_>, _: i32, _: i32| OK)?;
    linker.func_wrap(wasi, "environ_sizes_get", |mut module: Module<'_>, count_at: i32, size_at: i32| {
        number(&mut module, count_at, 0)?;
        number(&mut module, size_at, 0)
    })?;
    linker.func_wrap(wasi, "fd_write", |_: Module<'_>, _: i32, _: i32, _: i32, _: i32| OK)?;
    linker.func_wrap(wasi, "proc_exit", |_: Module<'_>, code: i32| -> Called<()> {
        Err(Error::new(format!("the module ends itself with {code}")))
    })?;
    Ok(())
}

/// Lets the module be loaded that imports more than it calls: what is not defined ends a run.
pub(super) fn refuse_others(linker: &mut Linker<Proxy>, module: &wasmi::Module) -> Called<()> {
    for import in module.imports() {
        let ExternType::Func(kind) = import.ty() else { continue };
        let name = import.name().to_owned();
        let refuse =
            move |_: Module<'_>, _: &[Val], _: &mut [Val]| Err(Error::new(format!("no call `{name}`")));
        match linker.func_new(import.module(), import.name(), kind.clone(), refuse) {
            Ok(_) | Err(LinkerError::DuplicateDefinition { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Counts a call, and reads what it hands over.
fn taken(module: &mut Module<'_>, name: &'static str, written: &[(i32, i32)]) -> Called<Vec<Vec<u8>>> {
    let memory = memory(module)?;
    let mut texts = Vec::new();
    for (at, size) in written {
        let mut text = vec![0; usize_of(*size)?];
        memory.read(module.as_context(), usize_of(*at)?, &mut text)?;
        texts.push(text);
    }
    let effort = &mut module.data_mut().effort;
    *effort.calls.entry(name).or_default() += 1;
    effort.bytes += texts.iter().map(|text| text.len() as u64).sum::<u64>();
    Ok(texts)
}

/// Hands bytes over, in memory that the module is asked for.
fn give(module: &mut Module<'_>, bytes: &[u8], at: i32, size_at: i32) -> Called<i32> {
    let size = i32::try_from(bytes.len()).map_err(|_| Error::new("too large for the module"))?;
    let mut target = 0;
    if size > 0 {
        let allocate = module
            .get_export("proxy_on_memory_allocate")
            .and_then(Extern::into_func)
            .ok_or_else(|| Error::new("no allocator"))?
            .typed::<i32, i32>(module.as_context())?;
        target = allocate.call(module.as_context_mut(), size)?;
        memory(module)?.write(module.as_context_mut(), usize_of(target)?, bytes)?;
        let effort = &mut module.data_mut().effort;
        effort.callbacks += 1;
        effort.bytes += bytes.len() as u64;
    }
    number(module, at, target)?;
    number(module, size_at, size)
}

fn number(module: &mut Module<'_>, at: i32, value: i32) -> Called<i32> {
    memory(module)?.write(module.as_context_mut(), usize_of(at)?, &value.to_le_bytes())?;
    Ok(OK)
}

fn memory(module: &Module<'_>) -> Called<Memory> {
    module.get_export("memory").and_then(Extern::into_memory).ok_or_else(|| Error::new("no memory"))
}

fn usize_of(number: i32) -> Called<usize> {
    usize::try_from(number.cast_unsigned()).map_err(|_| Error::new("an address beyond memory"))
}
