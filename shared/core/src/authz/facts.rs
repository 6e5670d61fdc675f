//! What the rules compare with: read from the request when first needed, then kept.

use super::cidr;
use super::filing::Filing;
use super::identity;
use crate::request::{Attribute, RequestView, Token};
use std::cell::OnceCell;
use std::net::IpAddr;

/// A request, seen by rules.
pub(super) struct Facts<'v, 'r> {
    request: &'v RequestView<'r>,
    /// Whether everything is to be tried, indexed or not.
    plain: bool,
    direct_remote_ip: OnceCell<Option<IpAddr>>,
    remote_ip: OnceCell<Option<IpAddr>>,
    destination_ip: OnceCell<Option<IpAddr>>,
    destination_port: OnceCell<Option<u16>>,
}

/// Which address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// `ipBlocks`, `source.ip`: the direct peer.
    DirectRemote,
    /// `remoteIpBlocks`, `remote.ip`: the client behind trusted proxies.
    Remote,
    /// `destination.ip`.
    Destination,
}

impl<'v, 'r> Facts<'v, 'r> {
    pub(super) fn new(request: &'v RequestView<'r>, plain: bool) -> Self {
        Self {
            request,
            plain,
            direct_remote_ip: OnceCell::new(),
            remote_ip: OnceCell::new(),
            destination_ip: OnceCell::new(),
            destination_port: OnceCell::new(),
        }
    }

    pub(super) const fn request(&self) -> &'v RequestView<'r> {
        self.request
    }

    /// What an index finds, if it is there and to be used.
    pub(super) fn found_by(&self, filing: Option<&Filing>) -> Option<Vec<usize>> {
        filing.filter(|_| !self.plain).map(|filing| filing.candidates(self, usize::MAX))
    }

    /// Every connection has addresses: none that can be read means that the proxy was not set up to tell.
    pub(super) fn address(&self, side: Side) -> Option<IpAddr> {
        let (cell, attribute) = match side {
            Side::DirectRemote => (&self.direct_remote_ip, Attribute::DirectRemoteIp),
            Side::Remote => (&self.remote_ip, Attribute::RemoteIp),
            Side::Destination => (&self.destination_ip, Attribute::DestinationIp),
        };
        *cell.get_or_init(|| self.request.attribute(attribute).and_then(cidr::address))
    }

    pub(super) fn port(&self) -> Option<u16> {
        *self.destination_port.get_or_init(|| {
            let text = self.request.attribute(Attribute::DestinationPort)?;
            cidr::decimal(std::str::from_utf8(text).ok()?).and_then(|port| u16::try_from(port).ok())
        })
    }

    pub(super) fn token(&self) -> &Token {
        self.request.token()
    }

    /// Visits every text that [`Self::any_peer`] could test.
    pub(super) fn each_peer(&self, visit: &mut dyn FnMut(&[u8])) {
        for attribute in [Attribute::PeerUriSans, Attribute::PeerDnsSans] {
            self.request.attribute(attribute).into_iter().for_each(|list| identity::each_name(list, visit));
        }
        self.request.attribute(Attribute::PeerSubject).into_iter().for_each(visit);
    }

    /// Whether any identity of the peer passes: each URI SAN, each DNS SAN, the subject. `None` when open.
    pub(super) fn any_peer(&self, test: impl Fn(&[u8]) -> bool) -> Option<bool> {
        let mut open = false;
        for attribute in [Attribute::PeerUriSans, Attribute::PeerDnsSans] {
            let Some(list) = self.request.attribute(attribute) else { continue };
            match identity::any_name(list, &test) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => open = true,
            }
        }
        if self.request.attribute(Attribute::PeerSubject).is_some_and(test) {
            return Some(true);
        }
        if open { None } else { Some(false) }
    }
}
