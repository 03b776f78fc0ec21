//! ServiceAccount: every pod runs as an account and can read its token.

use super::{Denial, Request, items};
use serde_json::{Value, json};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Tokens are asked for an hour and a little, so that they are renewed in time.
const TOKEN_SECONDS: u32 = 3607;

pub(super) fn admit(request: &Request<'_>, pod: &mut Value, _: &mut Vec<String>) -> Result<(), Denial> {
    let mirror = pod["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some();
    if !request.creates("", "Pod") || mirror {
        return Ok(());
    }
    let named = pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty());
    let name = named.unwrap_or("default").to_owned();
    pod["spec"]["serviceAccountName"] = json!(name);
    pod["spec"]["serviceAccount"] = json!(name);
    let account = request.find("", "serviceaccounts", request.namespace, &name);
    // A namespace's default account follows the namespace; a pod may come before it.
    if account.is_none() && name != "default" {
        let place = request.namespace;
        return Err(Denial::Forbidden(format!(
            "error looking up service account {place}/{name}: serviceaccount {name:?} not found"
        )));
    }
    let account = account.map(|account| Value::clone(&account)).unwrap_or_default();
    if items(pod, "/spec/imagePullSecrets").is_empty() && account["imagePullSecrets"].is_array() {
        pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    if mounts_token(&pod["spec"], &account) {
        mount(request, pod);
    }
    Ok(())
}

/// The pod decides, else the account, else yes.
fn mounts_token(spec: &Value, account: &Value) -> bool {
    let field = "automountServiceAccountToken";
    spec[field].as_bool().or(account[field].as_bool()).unwrap_or(true)
}

fn mount(request: &Request<'_>, pod: &mut Value) {
    let existing = items(pod, "/spec/volumes").iter().find_map(|volume| {
        volume["name"].as_str().filter(|name| name.starts_with("kube-api-access-")).map(str::to_owned)
    });
    let purpose = format!("tokens/{}/{}", request.namespace, super::name_of(pod));
    let new = || format!("kube-api-access-{}", request.store.ambient().suffix(&purpose, 5));
    let volume = existing.clone().unwrap_or_else(new);
    let mut used = false;
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            used |= mount_in(container, &volume);
        }
    }
    if used && existing.is_none() {
        if !pod["spec"]["volumes"].is_array() {
            pod["spec"]["volumes"] = json!([]);
        }
        if let Some(volumes) = pod["spec"]["volumes"].as_array_mut() {
            volumes.push(token_volume(&volume));
        }
    }
}

/// Mounts the token unless the container has something at its place.
fn mount_in(container: &mut Value, volume: &str) -> bool {
    if items(container, "/volumeMounts").iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
        return false;
    }
    if !container["volumeMounts"].is_array() {
        container["volumeMounts"] = json!([]);
    }
    if let Some(mounts) = container["volumeMounts"].as_array_mut() {
        mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
    }
    true
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}
