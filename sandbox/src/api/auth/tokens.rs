//! Bearer tokens: the administrator's, and the signed ones that service accounts get.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{MASTERS, User};
use crate::api::Api;
use crate::processes::Account;
use crate::store::Resource;

/// How tokens are signed: of what anyone can check, the one whose key is made at once.
pub(in crate::api) const ALGORITHM: &str = "EdDSA";
/// Who signs, and for whom tokens are meant by default.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// What the claims of tokens that live as long as a Secret begin with.
const LASTING: &str = "kubernetes.io/serviceaccount";

/// What one cluster knows its users by.
#[derive(Clone)]
pub struct Identity {
    administrator: String,
    signer: Arc<Ed25519KeyPair>,
    authority: String,
}

impl Identity {
    /// The administrator's token, the secret from which the key that signs service account tokens is made, and the
    /// certificate authority (PEM, empty without TLS) that pods get to know the API by.
    #[expect(clippy::expect_used, reason = "a SHA-256 has the length of a seed")]
    pub fn new(administrator: String, secret: &[u8], authority: String) -> Self {
        let signer = Ed25519KeyPair::from_seed_unchecked(&Sha256::digest(secret));
        Self { administrator, signer: Arc::new(signer.expect("a seed has 32 bytes")), authority }
    }

    /// The certificate authority of the API, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.signer.sign(text.as_bytes()))
    }

    /// The public key by which anyone can check a token, as a JSON web key.
    pub(in crate::api) fn public_key(&self) -> Value {
        let key = self.signer.public_key().as_ref();
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(key));
        json!({
            "use": "sig", "kty": "OKP", "crv": "Ed25519", "kid": id, "alg": ALGORITHM, "x": URL_SAFE_NO_PAD.encode(key),
        })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Api {
    /// The user a token belongs to; none when nobody's.
    pub(in crate::api) fn user_of_token(&self, token: &str) -> Option<User> {
        let identity = self.identity();
        if same(token.as_bytes(), identity.administrator.as_bytes()) {
            let mut user = User::new("admin", &[MASTERS]);
            user.uid = "admin".into();
            return Some(user);
        }
        let (text, signature) = token.rsplit_once('.')?;
        if !same(signature.as_bytes(), identity.sign(text).as_bytes()) {
            return None;
        }
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?).ok()?;
        if claims["exp"].is_null() {
            return self.user_of_lasting_token(token, &claims);
        }
        if claims["exp"].as_i64()? <= self.store().ambient().now().as_second() {
            return None;
        }
        let place = &claims["kubernetes.io"];
        let account = &place["serviceaccount"];
        let (namespace, name, uid) =
            (place["namespace"].as_str()?, account["name"].as_str()?, account["uid"].as_str()?);
        // A token is worth as much as the account it was issued to.
        let stored = self.store().get(&Resource::core("serviceaccounts").key(namespace, name))?;
        let credential = format!("JTI={}", claims["jti"].as_str().unwrap_or_default());
        let user = User { credential, ..User::service_account(namespace, name, uid) };
        (stored["metadata"]["uid"] == uid).then_some(user)
    }

    /// A token for a pod's volume; none when its service account is gone.
    pub(crate) fn token_of(&self, account: &Account, audiences: &[String], seconds: i64) -> Option<String> {
        let key = Resource::core("serviceaccounts").key(&account.namespace, &account.name);
        let found = self.store().get(&key)?;
        let own = [Self::default_audience()];
        let audiences = if audiences.is_empty() { &own[..] } else { audiences };
        let (name, uid) = &account.pod;
        let bound = json!({"kind": "Pod", "name": name, "uid": uid});
        Some(self.issue_token(&found, audiences, seconds, &bound).0)
    }

    /// Issues a token for a service account; answers it with the moment it expires.
    pub(in crate::api) fn issue_token(
        &self,
        account: &Value,
        audiences: &[String],
        seconds: i64,
        bound: &Value,
    ) -> (String, String) {
        let ambient = self.store().ambient();
        let now = ambient.now();
        let expires = now + SignedDuration::from_secs(seconds);
        let metadata = &account["metadata"];
        let mut place = json!({
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        });
        if let Some(kind) = bound["kind"].as_str() {
            place[kind.to_lowercase()] = json!({"name": bound["name"], "uid": bound["uid"]});
        }
        let (namespace, name) = (
            metadata["namespace"].as_str().unwrap_or_default(),
            metadata["name"].as_str().unwrap_or_default(),
        );
        let claims = json!({
            "aud": audiences, "iss": ISSUER, "jti": ambient.uid("tokens"),
            "iat": now.as_second(), "nbf": now.as_second(), "exp": expires.as_second(),
            "sub": format!("system:serviceaccount:{namespace}:{name}"), "kubernetes.io": place,
        });
        (self.signed(&claims), crate::ambient::format_seconds(expires))
    }

    /// The user of a token that lives as long as the Secret it stands in.
    fn user_of_lasting_token(&self, token: &str, claims: &Value) -> Option<User> {
        let claim = |name: &str| claims[format!("{LASTING}/{name}")].as_str();
        let (namespace, name) = (claim("namespace")?, claim("service-account.name")?);
        let uid = claim("service-account.uid")?;
        let secret = self.store().get(&Resource::core("secrets").key(namespace, claim("secret.name")?))?;
        let account = self.store().get(&Resource::core("serviceaccounts").key(namespace, name))?;
        let is_held = secret["data"]["token"] == STANDARD.encode(token) && account["metadata"]["uid"] == uid;
        is_held.then(|| User::service_account(namespace, name, uid))
    }

    /// Issues a token for a service account that lives as long as a Secret.
    pub(in crate::api) fn issue_lasting_token(&self, account: &Value, secret: &Value) -> String {
        let text =
            |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text(account, "namespace"), text(account, "name"));
        let mut claims = json!({
            "iss": "kubernetes/serviceaccount", "sub": format!("system:serviceaccount:{namespace}:{name}"),
        });
        for (claim, value) in [
            ("namespace", namespace),
            ("secret.name", text(secret, "name")),
            ("service-account.name", name),
            ("service-account.uid", text(account, "uid")),
        ] {
            claims[format!("{LASTING}/{claim}")] = value.into();
        }
        self.signed(&claims)
    }

    fn signed(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(&json!({"alg": ALGORITHM, "kid": self.identity().public_key()["kid"]})),
            part(claims)
        );
        format!("{text}.{}", self.identity().sign(&text))
    }

    /// The audience of tokens that name none.
    pub(in crate::api) fn default_audience() -> String {
        ISSUER.into()
    }
}

/// Compares in a time that does not tell where two texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_checked_with_the_public_key() {
        let identity = Identity::new(String::new(), b"secret", String::new());
        let key = URL_SAFE_NO_PAD.decode(identity.public_key()["x"].as_str().unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(identity.sign("header.claims")).unwrap();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
        assert!(key.verify(b"header.claims", &signature).is_ok());
        assert!(key.verify(b"header.other", &signature).is_err());
    }
}
