//! The assertion by which an app proves that it has the key of its certificate.

use std::path::Path;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};

/// How long an assertion is valid, in seconds.
const LIFE_S: u64 = 300;
/// The largest file of certificates, in bytes.
const CHAIN_BYTES_MAX: u64 = 256 << 10;

/// Signs an assertion of an app for a token server. `now` is the time of day in seconds since 1970.
///
/// # Errors
/// The certificate or its key cannot be used.
pub(crate) fn assertion(
    app_id: &str,
    server: &str,
    chain: &Path,
    key: &SecretString,
    now: u64,
) -> anyhow::Result<SecretString> {
    let certificates = certificates(chain).with_context(|| format!("the certificate {}", chain.display()))?;
    let leaf = certificates.first().context("the certificate has no content")?;
    let thumbprint = Sha256::digest(STANDARD.decode(leaf).context("the certificate is not base64")?);
    // Entra finds the certificate by its thumbprint, or trusts its issuer by the chain.
    let header = json!({
        "alg": "RS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint), "x5c": certificates
    });
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
    let claims = json!({
        "aud": server, "iss": app_id, "sub": app_id, "jti": hex::encode(id),
        // The clock of the server may be a little behind.
        "nbf": now.saturating_sub(60), "exp": now + LIFE_S
    });
    let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encoded(&header), encoded(&claims));
    // The error may quote the key.
    let key = EncodingKey::from_rsa_pem(key.expose_secret().as_bytes())
        .map_err(|_| anyhow::anyhow!("the key of the certificate is not an RSA key in PEM"))?;
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::RS256)
        .map_err(|_| anyhow::anyhow!("the key of the certificate cannot sign"))?;
    Ok(SecretString::from(format!("{message}.{signature}")))
}

/// Returns the certificates of a PEM file in base64, the one of the app first.
fn certificates(path: &Path) -> anyhow::Result<Vec<String>> {
    let size = std::fs::metadata(path)?.len();
    ensure!(size <= CHAIN_BYTES_MAX, "it is larger than {CHAIN_BYTES_MAX} bytes");
    let text = std::fs::read_to_string(path)?;
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = blocks.filter_map(|block| block.split_once("-----END CERTIFICATE-----"));
    let found: Vec<String> = bodies.map(|(body, _)| body.split_whitespace().collect()).collect();
    ensure!(!found.is_empty(), "it has no certificate in PEM");
    Ok(found)
}
