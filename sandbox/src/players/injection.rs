//! What Istio's sidecar injector does to a pod, for the admission of pods to call.
//!
//! A gateway's container image `auto` becomes the proxy; any other pod gets the proxy as a sidecar.

use serde_json::{Value, json};

use crate::controllers::fields::{Fields, set, set_key};

/// The image put in: its version is told by nothing in the cluster.
const PROXY: &str = "docker.io/istio/proxyv2:1.30.3";

/// Whether a webhook is Istio's injector.
pub fn is_injector(webhook: &Value) -> bool {
    webhook.text("/name").ends_with("sidecar-injector.istio.io")
}

/// Changes a pod as the injector would; a pod that has its proxy stays as it is.
pub fn inject(pod: &mut Value) {
    if !pod.annotation("sidecar.istio.io/status").is_empty()
        || pod.label("sidecar.istio.io/inject") == "false"
    {
        return;
    }
    let mut filled = false;
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        if container.text("/image") == "auto" {
            container["image"] = PROXY.into();
            filled = true;
        }
    }
    let has_proxy =
        pod.list("/spec/containers").iter().any(|container| container.text("/name") == "istio-proxy");
    if !filled && !has_proxy {
        let mut inits = pod.list("/spec/initContainers").to_vec();
        inits.push(json!({
            "name": "istio-proxy", "image": PROXY, "restartPolicy": "Always", "args": ["proxy", "sidecar"],
            // As strict as a restricted namespace wants it, like the real one.
            "securityContext": {
                "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
                "runAsNonRoot": true, "runAsUser": 1337, "runAsGroup": 1337, "capabilities": { "drop": ["ALL"] },
            },
        }));
        set(pod, "/spec/initContainers", inits.into());
    }
    let status =
        json!({ "initContainers": null, "containers": ["istio-proxy"], "revision": "default" }).to_string();
    set_key(pod, "/metadata/annotations", "sidecar.istio.io/status", status);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_gets_a_real_image_and_an_application_a_sidecar() {
        let mut gateway =
            json!({"metadata": {}, "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]}});
        inject(&mut gateway);
        assert_eq!(gateway.text("/spec/containers/0/image"), PROXY);
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "main", "image": "a"}]}});
        inject(&mut pod);
        inject(&mut pod);
        assert_eq!(pod.list("/spec/initContainers").len(), 1);
    }
}
