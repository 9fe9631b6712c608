//! Why a request has no response, or no more of one: in the terms of `wasi:http` for the guest, in words for log and record.

use std::time::Duration;

use turntable_outbound::Failure;
use wasmtime_wasi_http::Error as HttpError;

/// The end of a request.
pub(super) struct Stop {
    /// What the guest gets.
    pub(super) error: HttpError,
    /// What the log and the record say. It names the limit or the grant, and contains nothing that the server sent.
    pub(super) why: String,
}

impl Stop {
    pub(super) fn new(error: HttpError, why: impl Into<String>) -> Self {
        Self { error, why: why.into() }
    }

    /// The request needs a grant.
    pub(super) fn denied(why: impl Into<String>) -> Self {
        Self::new(HttpError::HttpRequestDenied, why)
    }

    /// The guest made a mistake.
    pub(super) fn invalid(why: &str) -> Self {
        Self::new(HttpError::HttpRequestUriInvalid, why)
    }

    /// A limit of the configuration that the error of `wasi:http` cannot name.
    pub(super) fn quota(key: &str, limit: impl std::fmt::Display) -> Self {
        let why = reached(key, limit);
        Self::new(HttpError::InternalError(Some(why.clone())), why)
    }

    /// A limit of the configuration that the error of `wasi:http` stands for.
    pub(super) fn limit(error: HttpError, key: &str, limit: impl std::fmt::Display) -> Self {
        Self::new(error, reached(key, limit))
    }

    /// The same for a time.
    pub(super) fn time(error: HttpError, key: &str, limit: Duration) -> Self {
        Self::limit(error, key, limit.as_millis())
    }

    /// The host cannot do what the configuration says.
    pub(super) fn configuration(error: &anyhow::Error) -> Self {
        Self::new(HttpError::ConfigurationError, format!("{error:#}"))
    }

    /// A call that failed.
    pub(super) fn failed(failure: &Failure) -> Self {
        let error = match failure {
            Failure::Unreachable(_) => HttpError::DestinationIpProhibited,
            Failure::Lookup(_) => HttpError::DnsError { rcode: None, info_code: None },
            Failure::ConnectTimeout => HttpError::ConnectionTimeout,
            Failure::Connect(_) => HttpError::ConnectionRefused,
            Failure::Certificate(_) => HttpError::TlsCertificateError,
            Failure::Tls(_) => HttpError::TlsProtocolError,
            Failure::FirstByteTimeout => HttpError::ConnectionReadTimeout,
            Failure::HeadersTooLarge => HttpError::HttpResponseHeaderSectionSize(None),
            Failure::RequestBody | Failure::Protocol(_) => HttpError::HttpProtocolError,
            Failure::Incomplete => HttpError::HttpResponseIncomplete,
        };
        Self::new(error, failure.to_string())
    }
}

fn reached(key: &str, limit: impl std::fmt::Display) -> String {
    format!("the limit {key} ({limit}) is reached")
}
