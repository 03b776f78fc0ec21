//! Keys and certificates for those who ask: cert-manager, hook Jobs, webhook servers.
//!
//! All are issued by one authority a process makes for itself; it signs nothing outside the sandbox.

use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::controllers::controller::World;
use crate::controllers::fields::Fields;

/// A certificate with its key and the certificate of the authority, all PEM.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The authority's certificate.
    pub authority: String,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// Issues a certificate for some names, valid for 90 days from the cluster's present. Empty when the
/// key library refuses, which leaves a Secret without data rather than a wrong one.
pub fn issue(names: &[String], world: &World<'_>) -> Pair {
    issue_until(names, world.now(), world.now() + SignedDuration::from_hours(90 * 24))
}

/// Issues a certificate for some names that is valid from one moment to another.
pub fn issue_until(names: &[String], from: Timestamp, until: Timestamp) -> Pair {
    sign(names, from, until).unwrap_or_else(|error| {
        tracing::warn!(%error, ?names, "a certificate cannot be issued");
        Pair::default()
    })
}

/// The certificate of the authority, PEM.
pub fn authority_certificate() -> String {
    authority().map(|authority| authority.certificate.clone()).unwrap_or_default()
}

/// Text in base64, as Secrets hold it.
pub fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// The names a Certificate asks for, or those of a Service of its name.
pub fn names_of(object: &Value) -> Vec<String> {
    let listed = object.list("/spec/dnsNames").iter().filter_map(Value::as_str);
    let common = Some(object.text("/spec/commonName")).filter(|name| !name.is_empty());
    let mut names: Vec<String> = listed.chain(common).map(str::to_owned).collect();
    if names.is_empty() {
        names.push(format!("{}.{}.svc", object.name(), object.namespace()));
    }
    names.dedup();
    names
}

fn sign(names: &[String], from: Timestamp, until: Timestamp) -> Result<Pair, rcgen::Error> {
    let authority = authority().ok_or(rcgen::Error::CouldNotParseCertificate)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
    params.not_before = std::time::SystemTime::from(from).into();
    params.not_after = std::time::SystemTime::from(until).into();
    let certificate = params.signed_by(&key, &authority.issuer)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem(), authority: authority.certificate.clone() })
}

fn authority() -> Option<&'static Authority> {
    static AUTHORITY: OnceLock<Option<Authority>> = OnceLock::new();
    AUTHORITY.get_or_init(|| found().ok()).as_ref()
}

fn found() -> Result<Authority, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "aegis sandbox");
    let certificate = params.self_signed(&key)?.pem();
    Ok(Authority { issuer: Issuer::new(params, key), certificate })
}
