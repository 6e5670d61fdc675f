//! The only crate that knows proxy-wasm: request view, effects, timers.
