//! A release as helm stores it: a Secret `sh.helm.release.v1.NAME.vN` of type `helm.sh/release.v1`, whose
//! `release` field holds the record as base64 of gzip of JSON (and base64 once more, as every Secret field).
//! Reading it takes no helm, costs one request, and is the same for real releases and stand-ins. Pure.

use std::io::{Read, Write};

use aegis_engine::CallError;
use aegis_engine::codes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Type of the Secrets; helm looks for nothing else.
pub(super) const SECRET_TYPE: &str = "helm.sh/release.v1";

/// Chart annotation of a stand-in's record.
pub(super) const STAND_IN: &str = "aegis/stand-in";

/// A record larger than this is not read: the API server refuses objects beyond 1.5 MB, and a gzip may grow a
/// thousandfold.
const LARGEST: u64 = 64 << 20;

/// One revision of a release. Keeps every field of the record, known or not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Release(Value);

impl Release {
    /// Takes a record.
    pub(super) fn new(record: Value) -> Self {
        Self(record)
    }

    /// Reads the Secret that holds it.
    pub(super) fn from_secret(secret: &Value) -> Result<Self, CallError> {
        let name = secret.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let wrong = |cause: String| {
            CallError::new(codes::HELM, format!("the release record in Secret `{name}` is damaged"))
                .because(cause)
        };
        let text = secret.pointer("/data/release").and_then(Value::as_str);
        let text = text.ok_or_else(|| wrong("it has no `release` field".to_owned()))?;
        decode(text).map(Self).map_err(wrong)
    }

    /// The Secret that holds it, as helm would write it.
    pub(super) fn to_secret(&self) -> Result<Value, CallError> {
        let wrong = |error: std::io::Error| {
            CallError::new(codes::HELM, "a release record cannot be packed").because(error)
        };
        let labels = json!({
            "owner": "helm", "name": self.name(), "status": self.status(), "version": self.revision().to_string(),
        });
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE,
            "metadata": { "name": self.secret_name(), "namespace": self.namespace(), "labels": labels },
            "data": { "release": encode(&self.0).map_err(wrong)? },
        }))
    }

    /// Name of the Secret.
    pub(super) fn secret_name(&self) -> String {
        format!("sh.helm.release.v1.{}.v{}", self.name(), self.revision())
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.text("/name")
    }

    pub(super) fn namespace(&self) -> &str {
        self.text("/namespace")
    }

    pub(super) fn revision(&self) -> u64 {
        self.0["version"].as_u64().unwrap_or_default()
    }

    /// `deployed`, `failed`, `superseded`, `uninstalled`, `uninstalling`, `pending-install`, `pending-upgrade` or
    /// `pending-rollback`.
    pub(super) fn status(&self) -> &str {
        self.text("/info/status")
    }

    pub(super) fn chart(&self) -> &str {
        self.text("/chart/metadata/name")
    }

    pub(super) fn chart_version(&self) -> &str {
        self.text("/chart/metadata/version")
    }

    pub(super) fn manifest(&self) -> &str {
        self.text("/manifest")
    }

    pub(super) fn notes(&self) -> &str {
        self.text("/info/notes")
    }

    pub(super) fn description(&self) -> &str {
        self.text("/info/description")
    }

    pub(super) fn first_deployed(&self) -> Option<String> {
        Some(self.text("/info/first_deployed").to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn last_deployed(&self) -> Option<jiff::Timestamp> {
        self.text("/info/last_deployed").parse().ok()
    }

    /// The values it was installed with, without the chart's defaults.
    pub(super) fn config(&self) -> Value {
        let config = &self.0["config"];
        if config.is_object() { config.clone() } else { Value::Object(Map::new()) }
    }

    /// The values it was installed with over the chart's defaults.
    pub(super) fn computed_values(&self) -> Value {
        let defaults = self.0.pointer("/chart/values").filter(|values| values.is_object());
        let mut all = defaults.cloned().unwrap_or_else(|| json!({}));
        json_patch::merge(&mut all, &self.config());
        all
    }

    /// True when a test's pod is deleted as soon as it succeeds, and its logs with it.
    pub(super) fn loses_test_logs(&self) -> bool {
        let has = |hook: &Value, list: &str, wanted: &str| {
            hook[list].as_array().is_some_and(|items| items.iter().any(|item| item == wanted))
        };
        let mut hooks = self.0["hooks"].as_array().into_iter().flatten();
        hooks.any(|hook| has(hook, "events", "test") && has(hook, "delete_policies", "hook-succeeded"))
    }

    pub(super) fn is_stand_in(&self) -> bool {
        let annotations = self.0.pointer("/chart/metadata/annotations");
        annotations.and_then(|annotations| annotations[STAND_IN].as_str()) == Some("true")
    }

    pub(super) fn is_deployed(&self) -> bool {
        self.status() == "deployed"
    }

    /// True when helm was at work on it and did not say that it is done.
    pub(super) fn is_pending(&self) -> bool {
        self.status().starts_with("pending-") || self.status() == "uninstalling"
    }

    /// True when nothing of it is left but its history.
    pub(super) fn is_uninstalled(&self) -> bool {
        self.status() == "uninstalled"
    }

    /// The same record in another state.
    #[must_use]
    pub(super) fn with_status(mut self, status: &str, description: &str) -> Self {
        self.0["info"]["status"] = json!(status);
        self.0["info"]["description"] = json!(description);
        self
    }

    /// The same content as a new revision.
    #[must_use]
    pub(super) fn at_revision(mut self, revision: u64, now: jiff::Timestamp) -> Self {
        self.0["version"] = json!(revision);
        self.0["info"]["last_deployed"] = json!(now.to_string());
        self
    }

    /// As it is answered to scripts.
    pub(super) fn describe(&self) -> Value {
        json!({
            "name": self.name(),
            "namespace": self.namespace(),
            "revision": self.revision(),
            "status": self.status(),
            "chart": format!("{}-{}", self.chart(), self.chart_version()),
            "version": self.chart_version(),
            "app_version": self.text("/chart/metadata/appVersion"),
            "description": self.text("/info/description"),
            "first_deployed": self.text("/info/first_deployed"),
            "last_deployed": self.text("/info/last_deployed"),
            "stand_in": self.is_stand_in(),
        })
    }
}

fn decode(text: &str) -> Result<Value, String> {
    let outer = STANDARD.decode(text.trim()).map_err(|error| error.to_string())?;
    let packed = STANDARD.decode(&outer).map_err(|error| error.to_string())?;
    let mut record = Vec::new();
    // Records of helm before 3.0 final were not compressed; the gzip magic number tells.
    if packed.starts_with(&[0x1f, 0x8b, 0x08]) {
        let unpacked = flate2::read::GzDecoder::new(packed.as_slice()).take(LARGEST).read_to_end(&mut record);
        unpacked.map_err(|error| error.to_string())?;
    } else {
        record = packed;
    }
    serde_json::from_slice(&record).map_err(|error| error.to_string())
}

fn encode(record: &Value) -> std::io::Result<String> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(record.to_string().as_bytes())?;
    Ok(STANDARD.encode(STANDARD.encode(gzip.finish()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release::new(json!({
            "name": "web", "namespace": "shop", "version": 3, "unknown": [1],
            "info": { "status": "pending-upgrade", "last_deployed": "2026-11-23T02:00:00.123456789+09:00" },
            "chart": { "metadata": { "name": "web", "version": "1.2.3" }, "values": { "a": { "b": 1, "c": 2 } } },
            "config": { "a": { "b": 5 } },
        }))
    }

    #[test]
    fn a_record_survives_its_secret() {
        let secret = release().to_secret().unwrap();
        assert_eq!(secret["metadata"]["name"], "sh.helm.release.v1.web.v3");
        let labels = json!({ "owner": "helm", "name": "web", "status": "pending-upgrade", "version": "3" });
        assert_eq!(secret["metadata"]["labels"], labels);
        assert_eq!(Release::from_secret(&secret).unwrap(), release());
    }

    #[test]
    fn a_damaged_record_says_which_secret_it_is() {
        let secret =
            json!({ "metadata": { "name": "sh.helm.release.v1.web.v1" }, "data": { "release": "AAAA" } });
        let error = Release::from_secret(&secret).unwrap_err();
        assert!(
            error
                .message
                .starts_with("the release record in Secret `sh.helm.release.v1.web.v1` is damaged: ")
        );
    }

    #[test]
    fn values_lie_over_the_defaults_of_the_chart() {
        assert_eq!(release().computed_values(), json!({ "a": { "b": 5, "c": 2 } }));
        assert!(release().is_pending());
        assert_eq!(release().last_deployed().unwrap().to_string(), "2026-11-22T17:00:00.123456789Z");
    }
}
