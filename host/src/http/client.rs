//! The client of a request: the other end of its connection, or whom a configured proxy names (`server.proxies`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::config;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// First bytes of a header of the PROXY protocol, version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, its end of line included.
const LINE_BYTES_MAX: usize = 107;
/// Longest header of version 2 after its length: addresses, and what some proxies add to them.
const BLOCK_BYTES_MAX: usize = 4_096;

/// The other end of a connection, as far as the connection tells; an extension of every request of [`super::serve`].
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerAddress(pub(super) IpAddr);

/// The client of a request; an extension of every request of a listener.
#[derive(Debug, Clone, Copy)]
struct ClientAddress(IpAddr);

/// The proxies in front of a listener.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies {
    networks: Vec<IpNet>,
    /// Whether their connections begin with a header of the PROXY protocol.
    pub(super) speak_first: bool,
}

/// Returns the address of the client of a request. None: no listener served it.
pub(super) fn client_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().map(|client| client.0)
}

impl Proxies {
    pub(super) fn of(server: &config::Server) -> Self {
        Self { networks: server.proxies.clone(), speak_first: server.proxy_protocol }
    }

    /// Returns whether the address is one of the proxies.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Notes the client of a request.
    pub(super) fn note_client(&self, request: &mut Request) {
        if let Some(PeerAddress(peer)) = request.extensions().get().copied() {
            let is_named = !self.speak_first && self.has(peer);
            let named = is_named.then(|| self.forwarded(request.headers())).flatten();
            request.extensions_mut().insert(ClientAddress(named.unwrap_or(peer)));
        }
    }

    /// Returns the last address of `X-Forwarded-For` that is no proxy of ours. Proxies append to what they get, so everything
    /// before it may be invented.
    fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let values: Vec<&str> =
            headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let addresses = values.iter().rev().flat_map(|value| value.rsplit(','));
        addresses.map_while(|text| address(text.trim())).find(|address| !self.has(*address))
    }
}

/// Reads an address, which some proxies write with its port.
fn address(text: &str) -> Option<IpAddr> {
    let socket = || text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(socket).or_else(bracketed)
}

/// Reads the header of the PROXY protocol from the start of a connection and nothing after it. None: the proxy speaks for
/// itself, as its health checks do.
///
/// # Errors
/// The connection begins with anything else.
pub(super) async fn proxy_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == *SIGNATURE { binary_header(stream).await } else { text_header(stream, &start).await }
}

async fn binary_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let [version_and_command, family, high, low] = {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        head
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > BLOCK_BYTES_MAX {
        return Err(malformed("is too long"));
    }
    let mut block = vec![0; length];
    stream.read_exact(&mut block).await?;
    match (version_and_command, family) {
        (0x20, _) => Ok(None),
        (0x21, 0x11) => match block.first_chunk::<4>() {
            Some(source) => Ok(Some(Ipv4Addr::from(*source).into())),
            None => Err(malformed("has no address")),
        },
        (0x21, 0x21) => match block.first_chunk::<16>() {
            Some(source) => Ok(Some(Ipv6Addr::from(*source).into())),
            None => Err(malformed("has no address")),
        },
        (0x21, _) => Ok(None),
        _ => Err(malformed("has an unknown version")),
    }
}

async fn text_header(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> io::Result<Option<IpAddr>> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_BYTES_MAX || !line.starts_with(b"PROXY ") {
            return Err(malformed("is missing"));
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| malformed("is no text"))?;
    let mut words = text.split_ascii_whitespace().skip(1);
    match (words.next(), words.next().and_then(|source| source.parse::<IpAddr>().ok())) {
        (Some("UNKNOWN"), _) => Ok(None),
        (Some("TCP4" | "TCP6"), Some(source)) => Ok(Some(source)),
        _ => Err(malformed("has no address")),
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the header of the PROXY protocol {why}"))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn proxies() -> Proxies {
        Proxies { networks: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()], speak_first: false }
    }

    /// The client of a request that comes from `peer` with these headers.
    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(PeerAddress(peer.parse().unwrap()));
        for value in forwarded {
            request.headers_mut().append(X_FORWARDED_FOR, value.parse().unwrap());
        }
        proxies().note_client(&mut request);
        client_of(request.extensions()).unwrap().to_string()
    }

    #[test]
    fn only_what_a_configured_proxy_appends_is_believed() {
        for (peer, forwarded, wanted) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7, 10.2.3.4"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("2001:db8::1", &["[2001:db9::7]:443"], "2001:db9::7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.1"),
        ] {
            assert_eq!(client(peer, forwarded), wanted, "{peer}: {forwarded:?}");
        }
    }

    async fn header(bytes: &[u8]) -> (Result<Option<IpAddr>, String>, usize) {
        let mut rest = bytes;
        let read = proxy_header(&mut rest).await.map_err(|error| error.to_string());
        (read, rest.len())
    }

    #[tokio::test]
    async fn the_proxy_protocol_names_the_client_and_leaves_the_request() {
        let (v4, v6) = (IpAddr::from([192, 0, 2, 7]), "2001:db8::7".parse::<IpAddr>().unwrap());
        let binary = |command: u8, family: u8, block: &[u8]| {
            let length = u16::try_from(block.len()).unwrap().to_be_bytes();
            [&SIGNATURE[..], &[command, family], &length, block, b"GET"].concat()
        };
        let v4_block = [192, 0, 2, 7, 10, 0, 0, 1, 0, 80, 0, 81, 4, 0, 0];
        let mut v6_block = [0; 36];
        v6_block[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        for (bytes, wanted) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nGET".to_vec(), Some(v4)),
            (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\nGET".to_vec(), Some(v6)),
            (b"PROXY UNKNOWN\r\nGET".to_vec(), None),
            (binary(0x21, 0x11, &v4_block), Some(v4)),
            (binary(0x21, 0x21, &v6_block), Some(v6)),
            (binary(0x20, 0, &[]), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ] {
            assert_eq!(header(&bytes).await, (Ok(wanted), 3), "{bytes:?}");
        }
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 nobody\r\n".to_vec(),
            [&b"PROXY "[..], &[b'x'; 200]].concat(),
            b"PROXY TCP4".to_vec(),
            binary(0x31, 0x11, &v4_block),
            binary(0x21, 0x11, &[1, 2, 3]),
            [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
        ] {
            assert!(header(&bytes).await.0.is_err(), "{bytes:?}");
        }
    }
}
