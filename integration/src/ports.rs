//! Ports for programs that cannot be told to bind port 0 and say what they got.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

use crate::{Context, Result};

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// The ports that are handed out: below those that Linux gives to whoever binds port 0 or connects (from 32768 on), which
/// could take a port between the moment it is found free and the moment the program binds it.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A loopback port that nothing listens on and that this process has not handed out before.
///
/// Another process that asks here may still take it first; where the program can bind port 0, let it.
///
/// # Errors
/// No port of the range is free.
pub fn free() -> Result<u16> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    // Each process begins elsewhere, so that two of them seldom meet.
    let begin = std::process::id() % u32::from(RANGE.end - RANGE.start);
    let begin = RANGE.start + u16::try_from(begin).unwrap_or_default();
    (begin..RANGE.end)
        .chain(RANGE.start..begin)
        .find(|port| {
            !handed_out.contains(port)
                && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
                && handed_out.insert(*port)
        })
        .context("no port from 20000 to 31999 is free")
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
