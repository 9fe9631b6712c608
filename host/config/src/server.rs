//! `[server]`: the public listener and what it accepts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::sections::{GIB, KIB, MIB, WAIT_MS, each, first_set, listen_address};
use super::table::Table;
use super::text::{host_name, origin};

/// The public listener and what it accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// `listen`, default `127.0.0.1:3978`.
    pub listen: SocketAddr,
    /// `mode`: `development` serves the chat page and hands out Direct Line tokens; default `production`.
    pub development: bool,
    /// `allow-anonymous-remote`, default false: serve bots without an app id on a listener that is not on loopback.
    pub allow_anonymous_remote: bool,
    /// `host-names`: further names by which clients may address this listener, besides its own address and `localhost`.
    pub host_names: Vec<String>,
    /// `allowed-origins`: web origins that may use Direct Line, besides the origin of the chat page.
    pub allowed_origins: Vec<String>,
    /// `body-bytes-max`, default 512 KiB. Larger bodies get 413.
    pub body_bytes_max: usize,
    /// `upload-bytes-max`, default 4 MiB for each Direct Line upload.
    pub upload_bytes_max: usize,
    /// `acknowledge-ms`, default 5,000. A normal activity whose turn lasts longer gets 202 while the turn continues.
    pub acknowledge_after: Duration,
    /// `invoke-deadline-ms`, default 9,000. An invoke whose turn lasts longer gets 504.
    pub invoke_deadline: Duration,
    /// `expect-replies-deadline-ms`, default 14,000. An expectReplies activity whose turn lasts longer gets 504.
    pub expect_replies_deadline: Duration,
    /// `keep-alive-ms`, default 75,000: idle time after which a connection of either listener is closed. It should
    /// exceed the idle time of load balancers, usually 60 s: a load balancer that reuses a connection while the host
    /// closes it answers its client 502.
    pub keep_alive: Duration,
    /// `shutdown-grace-ms`, default 10,000: how long accepted turns may continue after a stop signal.
    pub shutdown_grace: Duration,
    /// `turns-queued-per-conversation-max`, default 32. Further activities get 429.
    pub turns_queued_per_conversation_max: usize,
    /// `turns-queued-max`, default 4,096 over all conversations. Further activities get 429.
    pub turns_queued_max: usize,
    /// `held-bytes-max`, default 64 MiB: memory of requests that are in progress, over all bots: bodies that arrive,
    /// activities until their turn ends, answers until they are sent. Further requests get 503.
    pub held_bytes_max: usize,
    /// `held-bytes-per-bot-max`, default half of `held-bytes-max`. Further requests for the bot get 429.
    pub held_bytes_per_bot_max: usize,
    /// `held-bytes-per-peer-max`, default half of `held-bytes-max`, for each address of clients. Further requests from
    /// the address get 429.
    pub held_bytes_per_peer_max: usize,
    /// `json-values-max`, default 65,536: values in one body of JSON. Bodies with more get 413.
    pub json_values_max: usize,
    /// `connections-max`, default 4,096 for each listener. If all are taken, the connection that has been idle longest is
    /// closed for a new one.
    pub connections_max: usize,
    /// `connections-per-peer-max`, default a quarter of `connections-max`, for each address of clients that is not in
    /// `proxies`.
    pub connections_per_peer_max: usize,
    /// `direct-line-history-bytes-max`, default 32 MiB: histories of all conversations of the local Direct Line. Beyond it the
    /// conversation that was used least recently ends.
    pub direct_line_history_bytes_max: usize,
    /// `write-stall-ms`, default 30,000: a connection whose client reads nothing for that long is closed.
    pub write_stall: Duration,
    /// `proxies`: addresses of proxies in front of the host, such as `10.0.0.0/8`. What they say about the address of a
    /// client is believed. Default: none.
    pub proxies: Vec<IpNet>,
    /// `proxy-protocol`, default false: connections from `proxies` begin with a header of the PROXY protocol, version 1 or
    /// 2. If false, the header `X-Forwarded-For` of their requests names the client.
    pub proxy_protocol: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3978)),
            development: false,
            allow_anonymous_remote: false,
            host_names: Vec::new(),
            allowed_origins: Vec::new(),
            body_bytes_max: 512 << 10,
            upload_bytes_max: 4 << 20,
            acknowledge_after: Duration::from_millis(5_000),
            invoke_deadline: Duration::from_millis(9_000),
            expect_replies_deadline: Duration::from_millis(14_000),
            keep_alive: Duration::from_millis(75_000),
            shutdown_grace: Duration::from_millis(10_000),
            turns_queued_per_conversation_max: 32,
            turns_queued_max: 4_096,
            held_bytes_max: 64 << 20,
            held_bytes_per_bot_max: 32 << 20,
            held_bytes_per_peer_max: 32 << 20,
            json_values_max: 65_536,
            connections_max: 4_096,
            connections_per_peer_max: 1_024,
            direct_line_history_bytes_max: 32 << 20,
            write_stall: Duration::from_millis(30_000),
            proxies: Vec::new(),
            proxy_protocol: false,
        }
    }
}

/// Reads `[server]` except `default-bot`, which is checked after the bots are read.
pub(super) fn read(table: &mut Table<'_>) -> Server {
    let mut server = Server::default();
    if let Some((text, span)) = table.string("listen") {
        match listen_address(text) {
            Ok(address) => server.listen = address,
            Err(why) => table.problem(span, format!("`server.listen`: {why}")),
        }
    }
    table.choice("mode", &mut server.development, &[("development", true), ("production", false)]);
    table.bool("allow-anonymous-remote", &mut server.allow_anonymous_remote);
    each(table, "host-names", &mut server.host_names, host_name);
    each(table, "allowed-origins", &mut server.allowed_origins, origin);
    table.bytes("body-bytes-max", &mut server.body_bytes_max, KIB..=64 * MIB);
    table.bytes("upload-bytes-max", &mut server.upload_bytes_max, KIB..=256 * MIB);
    table.millis("acknowledge-ms", &mut server.acknowledge_after, WAIT_MS);
    table.millis("invoke-deadline-ms", &mut server.invoke_deadline, WAIT_MS);
    table.millis("expect-replies-deadline-ms", &mut server.expect_replies_deadline, WAIT_MS);
    table.millis("keep-alive-ms", &mut server.keep_alive, WAIT_MS);
    table.millis("shutdown-grace-ms", &mut server.shutdown_grace, 0..=*WAIT_MS.end());
    table.number("turns-queued-per-conversation-max", &mut server.turns_queued_per_conversation_max, 1..=10_000);
    table.number("turns-queued-max", &mut server.turns_queued_max, 1..=1_000_000);
    let (per_conversation, all) = (server.turns_queued_per_conversation_max, server.turns_queued_max);
    if per_conversation > all {
        let span = first_set(table, &["turns-queued-per-conversation-max", "turns-queued-max"]);
        let message = format!(
            "`server.turns-queued-per-conversation-max` ({per_conversation}) is above `server.turns-queued-max` ({all}), so it can never be reached"
        );
        table.problem(span, message);
    }
    held_bytes(table, &mut server);
    connections(table, &mut server);
    server
}

/// Reads the bounds on the memory of requests. Each must have room for the largest request, or nobody could send it.
fn held_bytes(table: &mut Table<'_>, server: &mut Server) {
    table.bytes("held-bytes-max", &mut server.held_bytes_max, MIB..=64 * GIB);
    server.held_bytes_per_bot_max = server.held_bytes_max / 2;
    server.held_bytes_per_peer_max = server.held_bytes_max / 2;
    table.bytes("held-bytes-per-bot-max", &mut server.held_bytes_per_bot_max, MIB / 2..=64 * GIB);
    table.bytes("held-bytes-per-peer-max", &mut server.held_bytes_per_peer_max, MIB / 2..=64 * GIB);
    table.bytes("direct-line-history-bytes-max", &mut server.direct_line_history_bytes_max, MIB..=64 * GIB);
    table.number("json-values-max", &mut server.json_values_max, 256..=10_000_000);
    let largest = server.body_bytes_max.max(server.upload_bytes_max);
    for (key, bound) in [
        ("held-bytes-max", server.held_bytes_max),
        ("held-bytes-per-bot-max", server.held_bytes_per_bot_max),
        ("held-bytes-per-peer-max", server.held_bytes_per_peer_max),
    ] {
        if bound < largest {
            let message = format!(
                "`server.{key}` ({bound} bytes) has no room for the largest request ({largest} bytes, \
                 `server.body-bytes-max` or `server.upload-bytes-max`); raise the first or lower the others"
            );
            return table
                .problem(first_set(table, &[key, "held-bytes-max", "upload-bytes-max", "body-bytes-max"]), message);
        }
        if bound > server.held_bytes_max {
            let message = format!("`server.{key}` is above `server.held-bytes-max`, so it can never be reached");
            table.problem(table.span_of(key), message);
        }
    }
}

/// Reads what concerns connections and the proxies that they come through.
fn connections(table: &mut Table<'_>, server: &mut Server) {
    table.number("connections-max", &mut server.connections_max, 16..=1_000_000);
    server.connections_per_peer_max = (server.connections_max / 4).max(1);
    table.number("connections-per-peer-max", &mut server.connections_per_peer_max, 1..=1_000_000);
    table.millis("write-stall-ms", &mut server.write_stall, WAIT_MS);
    for (text, span) in table.strings("proxies").unwrap_or_default() {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => server.proxies.push(network),
            Err(_) => table.problem(
                span,
                format!(
                    "`server.proxies`: \"{text}\" is no address and no network; write \"10.0.0.7\" or \"10.0.0.0/8\""
                ),
            ),
        }
    }
    table.bool("proxy-protocol", &mut server.proxy_protocol);
    if server.proxy_protocol && server.proxies.is_empty() {
        let message = "`server.proxy-protocol` has no effect without `server.proxies`, the addresses of the proxies";
        table.problem(table.span_of("proxy-protocol"), message);
    }
}
