//! Which addresses are inner ones: of this machine, its network or its cloud, or of no machine at all.
//!
//! The ranges are those of the IANA registries of special-purpose addresses (RFC 6890 and later), and three addresses of
//! clouds that lie in ranges of other kinds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the kind of an inner address, with its article, or none for a public one. Addresses that carry an IPv4 address
/// inside (mapped, compatible, translated, NAT64) are of the kind of that address.
#[must_use]
pub fn inner(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => inner_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => inner_v4(address),
            None => inner_v6(address),
        },
    }
}

fn inner_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [169, 254, 169, 254] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => {
            Some("an address of a metadata service")
        }
        [0, ..] => Some("an unspecified address"),
        [127, ..] => Some("a loopback address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [169, 254, ..] => Some("a link-local address"),
        [100, 64..=127, ..] => Some("a shared address of a carrier's network"),
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Some("a reserved address"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("an address for documentation"),
        [198, 18..=19, ..] => Some("an address for benchmarks"),
        [224..=239, ..] => Some("a multicast address"),
        _ => None,
    }
}

/// Only `2000::/3` is in use on the public internet, so everything else is an inner address.
fn inner_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0xfd00, 0x0ec2, ..] => Some("an address of a metadata service"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("an address for documentation"),
        [0x2001, 0x0000..=0x01ff, ..] => Some("a reserved address"),
        [0x2002, ..] => Some("an address of a 6to4 tunnel"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

/// Returns the IPv4 address that a connection to this address ends at.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., high, low] = address.segments();
    let last = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x0064, 0xff9b, 0, 0, 0, 0, ..] => Some(last),
        // `::` and `::1` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, ..] if u32::from(last) > 1 => Some(last),
        _ => None,
    }
}
