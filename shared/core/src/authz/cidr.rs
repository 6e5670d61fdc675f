//! Address blocks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of IPv4 or IPv6 addresses; a single address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cidr {
    V4 { network: u32, length: u8 },
    V6 { network: u128, length: u8 },
}

impl Cidr {
    /// Reads `address` or `address/length`. Bits behind the length do not count. As with Envoy, a block of IPv4-mapped IPv6 addresses
    /// holds no IPv4 address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(decimal(length)?)),
        };
        let address: IpAddr = address.parse().ok()?;
        let full = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => full,
            Some(length) => u8::try_from(length).ok().filter(|length| *length <= full)?,
        };
        Some(match address {
            IpAddr::V4(address) => Self::v4(address, length),
            IpAddr::V6(address) => Self::v6(address, length),
        })
    }

    fn v4(address: Ipv4Addr, length: u8) -> Self {
        Self::V4 { network: u32::from(address) & mask_v4(length), length }
    }

    fn v6(address: Ipv6Addr, length: u8) -> Self {
        Self::V6 { network: u128::from(address) & mask_v6(length), length }
    }

    /// Its first address, and how many bits of it count.
    pub(super) fn network(self) -> (IpAddr, usize) {
        match self {
            Self::V4 { network, length } => (IpAddr::V4(network.into()), length.into()),
            Self::V6 { network, length } => (IpAddr::V6(network.into()), length.into()),
        }
    }

    /// Whether the address lies in the block. IPv4 and IPv6 never mix, mapped ones included.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { network, length }, IpAddr::V4(address)) => {
                u32::from(address) & mask_v4(length) == network
            }
            (Self::V6 { network, length }, IpAddr::V6(address)) => {
                u128::from(address) & mask_v6(length) == network
            }
            _ => false,
        }
    }
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// An address as the proxy prints it; a zone is dropped. Envoy itself takes the mapped address of an IPv4 connection for
/// IPv4. One that a header or the PROXY protocol tells stays IPv6, there and here: it is in no IPv4 block.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.split_once('%').map_or(text, |(address, _zone)| address);
    text.parse().ok()
}

/// Digits only: `+8` and `0x8`, which a parser might take, are not numbers here.
pub(super) fn decimal(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4 { network, length: 32 } => Ipv4Addr::from(network).fmt(f),
            Self::V6 { network, length: 128 } => Ipv6Addr::from(network).fmt(f),
            Self::V4 { network, length } => write!(f, "{}/{length}", Ipv4Addr::from(network)),
            Self::V6 { network, length } => write!(f, "{}/{length}", Ipv6Addr::from(network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_their_length_says() {
        for (block, address_text, inside) in [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1", "::1", true),
            ("10.0.0.0/8", "::ffff:10.1.1.1", false),
            ("::ffff:10.0.0.0/104", "10.1.1.1", false),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.1.1", true),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1", true),
            ("fe80::/10", "fe80::1%eth0", true),
        ] {
            let cidr = Cidr::parse(block).unwrap();
            assert_eq!(
                cidr.contains(address(address_text.as_bytes()).unwrap()),
                inside,
                "{block} {address_text}"
            );
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.256",
            "010.0.0.1",
            "*",
            "::/129",
            "a.example",
            "10.0.0.0 ",
            "fe80::1%eth0",
            "10.0.0.0/256",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [b"".as_slice(), b"10.0.0.1:80", b"[::1]", b"/var/run/x.sock", b"\xff"] {
            assert_eq!(address(text), None);
        }
    }

    #[cfg(not(target_family = "wasm"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn agrees_with_ipnet(network: u32, length in 0u8..=32, near in 0u32..64, wild: u32, pick: bool) {
                let text = format!("{}/{length}", Ipv4Addr::from(network));
                let candidate = Ipv4Addr::from(if pick { network ^ near } else { wild });
                let expected = text.parse::<ipnet::Ipv4Net>().unwrap().contains(&candidate);
                prop_assert_eq!(Cidr::parse(&text).unwrap().contains(IpAddr::V4(candidate)), expected);
            }

            #[test]
            fn agrees_with_ipnet_on_ipv6(network: u128, length in 0u8..=128, bit in 0u32..128) {
                let text = format!("{}/{length}", Ipv6Addr::from(network));
                let candidate = Ipv6Addr::from(network ^ (1 << bit));
                let expected = text.parse::<ipnet::Ipv6Net>().unwrap().contains(&candidate);
                prop_assert_eq!(Cidr::parse(&text).unwrap().contains(IpAddr::V6(candidate)), expected);
            }
        }
    }
}
