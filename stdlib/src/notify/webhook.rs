//! A notification as a signed JSON request, as the Standard Webhooks specification (version 1.0.0) shapes it:
//! `webhook-id`, `webhook-timestamp` and `webhook-signature` over `id.timestamp.body`.

use aegis_engine::{CallError, Secret, codes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use super::message::Message;

/// Headers and body of the request.
pub(super) fn request(message: &Message, key: Option<&Secret>) -> Result<(HeaderMap, Bytes), CallError> {
    let body = serde_json::to_vec(message).map(Bytes::from);
    let body =
        body.map_err(|error| CallError::new(codes::NOTIFY, "cannot render the message").because(error))?;
    let timestamp = message.sent_at.as_second().to_string();
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("idempotency-key", message.id.clone()),
        ("webhook-id", message.id.clone()),
        ("webhook-timestamp", timestamp.clone()),
    ];
    if let Some(key) = key {
        headers.push(("webhook-signature", signature(key, &message.id, &timestamp, &body)?));
    }
    let pairs = headers.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    });
    Ok((pairs.collect(), body))
}

fn signature(key: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Result<String, CallError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key_bytes(key)?)
        .map_err(|error| CallError::new(codes::CONFIG, "the signing key cannot be used").because(error))?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

fn key_bytes(key: &Secret) -> Result<Vec<u8>, CallError> {
    match key.open().strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
            CallError::new(codes::CONFIG, "a signing key that starts with `whsec_` must be base64 after it")
        }),
        None => Ok(key.open().as_bytes().to_vec()),
    }
}
