//! The one asynchronous runtime behind the blocking interface.

use std::{future::Future, sync::OnceLock, time::Duration};

use tokio::runtime::{Builder, Runtime};

use crate::{Context, Error, Result};

static RUNTIME: OnceLock<std::result::Result<Runtime, String>> = OnceLock::new();

/// The runtime, started at the first use and never stopped: its tasks belong to the values that spawned them.
pub(crate) fn runtime() -> Result<&'static Runtime> {
    RUNTIME
        .get_or_init(|| {
            let built =
                Builder::new_multi_thread().worker_threads(2).thread_name("harness").enable_all().build();
            built.map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|error| Error::new(format!("the runtime did not start: {error}")))
}

/// Runs `future` to its end, or gives up after `limit`.
pub(crate) fn block_on<T>(limit: Duration, what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    runtime()?
        .block_on(async { tokio::time::timeout(limit, future).await })
        .context(format_args!("{what} took longer than {limit:?}"))?
}
