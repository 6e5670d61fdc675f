//! Ports for programs that cannot be told to bind port 0 and say what they got.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

use crate::{Context, Result};

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A loopback port that nothing listens on and that this process has not handed out before.
///
/// Another process may still take it first; where the program can bind port 0, let it.
///
/// # Errors
/// No socket can be bound.
pub fn free() -> Result<u16> {
    // Kept open until the end, or the kernel may offer the same port again at once.
    let mut refused = Vec::new();
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding a loopback port")?;
        let port = listener.local_addr().context("asking for the bound port")?.port();
        if HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
        refused.push(listener);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn a_port_is_handed_out_once() {
        let ports: BTreeSet<u16> = (0..50).map(|_| super::free().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}
