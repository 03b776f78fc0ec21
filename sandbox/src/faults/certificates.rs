//! Certificates that have expired: what cert-manager's Certificates say, and what is in their Secrets. When the fault is
//! gone both are new again, as after a renewal.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::in_cache;
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, kind_of, remove_key, set, set_key};
use crate::players::certificates;

/// Puts certificates that have expired into Secrets, and takes them out again.
pub const CONTROLLER: Controller =
    Controller { name: "aegis-faults", manager: "aegis-faults", wakes, reconcile };

/// On a Secret whose certificate a fault has made expire.
const EXPIRED: &str = "sandbox.aegis.dev/expired";
/// For how long an expired certificate was valid, and for how long a new one is.
const VALID: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The kind that can expire.
pub const CERTIFICATE: &str = "Certificate.cert-manager.io";

/// What its condition says then, as cert-manager does.
const REASON: &str = "Expired";

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let mut keys = super::wakes_all(change, cache, CERTIFICATE);
    keys.extend(change.itself(CERTIFICATE));
    keys
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(certificate) = world.cache.find(key) else { return plan };
    let secret = world.cache.get("Secret", certificate.namespace(), certificate.text("/spec/secretName"));
    let Some(secret) = secret.filter(|secret| secret.at("/data").is_object()) else { return plan };
    let (is_hit, is_old) = (is_hit(certificate, world), !secret.annotation(EXPIRED).is_empty());
    if is_hit == is_old {
        return plan;
    }
    let until = if is_hit { world.now() - SignedDuration::from_secs(1) } else { world.now() + VALID };
    let pair = certificates::issue_until(&certificates::names_of(certificate), until - VALID, until);
    let mut wanted = Value::clone(secret);
    set_key(&mut wanted, "/data", "tls.crt", certificates::base64(&pair.certificate));
    set_key(&mut wanted, "/data", "tls.key", certificates::base64(&pair.key));
    match is_hit {
        true => set_key(&mut wanted, "/metadata/annotations", EXPIRED, "true"),
        false => remove_key(&mut wanted, "/metadata/annotations", EXPIRED),
    }
    plan.push(Write::Replace(wanted));
    plan
}

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
