//! Certificates that have expired: what cert-manager's Certificates say, and that they are new again when the
//! fault is gone. The Secret behind one stays as it is.

use serde_json::{Value, json};

use super::in_cache;
use crate::controllers::controller::World;
use crate::controllers::fields::{Fields, kind_of, set};

/// The kind that can expire.
pub const CERTIFICATE: &str = "Certificate.cert-manager.io";

/// What its condition says then, as cert-manager does.
const REASON: &str = "Expired";

/// Whether a fault says that this certificate has expired.
pub fn is_hit(object: &Value, world: &World<'_>) -> bool {
    kind_of(object) == CERTIFICATE
        && in_cache(world.cache).iter().any(|fault| {
            fault.is("certificate-expired")
                && fault.hits_namespace(object.namespace())
                && (fault.certificate.is_empty() || fault.certificate == object.name())
        })
}

/// Whether a certificate says that it has expired.
pub fn has_expired(object: &Value) -> bool {
    kind_of(object) == CERTIFICATE
        && object.condition("Ready").is_some_and(|held| held.text("/reason") == REASON)
}

/// The template of a status with the certificate expired since now, or since when it says.
pub fn expired(template: &Value, object: &Value, world: &World<'_>) -> Value {
    let since = match has_expired(object) {
        true => object.text("/status/notAfter").to_owned(),
        false => world.timestamp(),
    };
    let mut status = template.clone();
    set(&mut status, "/notAfter", since.clone().into());
    let condition = json!({
        "type": "Ready", "status": "False", "reason": REASON, "message": format!("Certificate expired on {since}"),
        "observedGeneration": "${generation}",
    });
    set(&mut status, "/conditions", json!([condition]));
    status
}
