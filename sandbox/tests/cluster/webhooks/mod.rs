//! Admission webhooks that are called for real, and those that are taken to say yes.
//!
//! Here are those of everyday writes; `reach` has what else they are asked about, and when.

mod reach;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use kube::api::{Api, ObjectMeta, PostParams};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::{Cluster, config_map, config_maps};

/// A webhook on a port of this machine: its port, its certificate as a `caBundle`, what it was asked.
struct Webhook {
    port: u16,
    bundle: String,
    asked: mpsc::UnboundedReceiver<Value>,
}

impl Webhook {
    /// Answers every review with what `answer` makes of its request; its certificate is for `host`.
    async fn start(host: &str, answer: fn(&Value) -> Value) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, asked) = mpsc::unbounded_channel();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let tell = tell.clone();
                let service = hyper::service::service_fn(
                    move |request: http::Request<hyper::body::Incoming>| {
                        let tell = tell.clone();
                        async move {
                            let body = axum::body::Body::new(request.into_body());
                            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                            let review: Value = serde_json::from_slice(&body).unwrap();
                            let mut response = answer(&review["request"]);
                            response["uid"] = review["request"]["uid"].clone();
                            let _ = tell.send(review["request"].clone());
                            let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
                            Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::from(
                                review.to_string(),
                            )))
                        }
                    },
                );
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { port, bundle: STANDARD.encode(certified.cert.pem()), asked }
    }
}

impl Webhook {
    fn url(&self) -> Value {
        json!({"url": format!("https://localhost:{}/", self.port), "caBundle": self.bundle})
    }

    /// What it was asked since the last look.
    fn take_asked(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

/// A configuration for ConfigMaps in `default`.
async fn configure(cluster: &Cluster, sort: &str, client_config: Value, more: Value) {
    let mut webhook = json!({
        "name": "guard.example.com", "clientConfig": client_config, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "timeoutSeconds": 2,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
    });
    for (field, value) in more.as_object().unwrap() {
        webhook[field] = value.clone();
    }
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{sort}WebhookConfiguration"),
        "metadata": {"name": format!("{}-guard", sort.to_lowercase())}, "webhooks": [webhook],
    });
    let path = format!("/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations", sort.to_lowercase());
    let (code, answer) = cluster.sandbox.ask("POST", &path, Some(&configuration)).await.unwrap();
    assert_eq!(code, 201, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_by_url_changes_and_refuses_objects_and_is_told_who_asks() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let mut changes = Webhook::start("localhost", |_| {
        let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}]);
        json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string()), "warnings": ["mind the gap"]})
    })
    .await;
    let url = format!("https://localhost:{}/mutate", changes.port);
    configure(&cluster, "Mutating", json!({"url": url, "caBundle": changes.bundle}), json!({})).await;
    let refuses = Webhook::start("localhost", |request| {
        let name = request["object"]["metadata"]["name"].as_str().unwrap();
        let seen = request["object"]["metadata"]["labels"]["seen"] == "yes";
        json!({"allowed": seen && name != "bad", "status": {"code": 403, "message": format!("no {name} here")}})
    })
    .await;
    let url = format!("https://localhost:{}/validate", refuses.port);
    configure(&cluster, "Validating", json!({"url": url, "caBundle": refuses.bundle}), json!({})).await;

    let made = maps.create(&PostParams::default(), &config_map("good", "1")).await.unwrap();
    assert_eq!(made.metadata.labels.unwrap()["seen"], "yes");
    let asked = changes.asked.recv().await.unwrap();
    assert_eq!(
        (&asked["operation"], &asked["resource"]["resource"]),
        (&json!("CREATE"), &json!("configmaps"))
    );
    assert_eq!(asked["userInfo"]["groups"][0], "system:masters");
    match maps.create(&PostParams::default(), &config_map("bad", "1")).await {
        Err(kube::Error::Api(status)) => {
            let expected = "admission webhook \"guard.example.com\" denied the request: no bad here";
            assert_eq!((status.code, status.message.as_str()), (403, expected));
        }
        other => panic!("not refused: {other:?}"),
    }
    // Elsewhere nobody asks.
    let elsewhere: Api<k8s_openapi::api::core::v1::ConfigMap> =
        Api::namespaced(cluster.client().await, "kube-public");
    elsewhere.create(&PostParams::default(), &config_map("bad", "1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_does_not_answer_fails_the_write_unless_it_may_be_ignored() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let stranger = Webhook::start("localhost", |_| json!({"allowed": true})).await;
    // Nobody vouches for its certificate.
    let url = format!("https://localhost:{}/", stranger.port);
    configure(&cluster, "Validating", json!({"url": url}), json!({})).await;
    match maps.create(&PostParams::default(), &config_map("a", "1")).await {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, 500);
            assert!(
                status.message.contains("failed calling webhook \"guard.example.com\""),
                "{}",
                status.message
            );
        }
        other => panic!("not refused: {other:?}"),
    }
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/validating-guard";
    cluster.sandbox.ask("DELETE", path, None).await.unwrap();
    configure(&cluster, "Validating", json!({"url": url}), json!({"failurePolicy": "Ignore"})).await;
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn istio_puts_its_proxy_into_pods_of_namespaces_that_want_it() {
    let cluster = Cluster::start().await;
    let injector = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "istio-sidecar-injector"},
        "webhooks": [{
            "name": "namespace.sidecar-injector.istio.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "istiod", "namespace": "default", "path": "/inject"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
        }],
    });
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istiod"}, "spec": {"ports": [{"port": 443}]}});
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mesh", "labels": {"istio-injection": "enabled"}}});
    for (path, object) in [
        ("/api/v1/namespaces/default/services", service),
        ("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", injector),
        ("/api/v1/namespaces", space),
    ] {
        let (code, answer) = cluster.sandbox.ask("POST", path, Some(&object)).await.unwrap();
        assert_eq!(code, 201, "{answer}");
    }
    let client = cluster.client().await;
    for (namespace, proxies) in [("mesh", 1), ("default", 0)] {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client.clone(), namespace);
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(
            json!({"metadata": ObjectMeta { name: Some("a".into()), ..Default::default() }, "spec": {"containers": [{"name": "main", "image": "a"}]}}),
        )
        .unwrap();
        let made = pods.create(&PostParams::default(), &pod).await.unwrap();
        let inits = made.spec.unwrap().init_containers.unwrap_or_default();
        assert_eq!(inits.len(), proxies, "{namespace}");
        // What was put in has its defaults as well.
        assert!(inits.iter().all(|init| init.image_pull_policy.is_some()));
    }
}
