//! Operators as played: nothing without the operator's own pod, and then what its rule says.

use serde_json::{Value, json};

use super::bench::{Bench, deployment};
use super::workloads::job;
use crate::controllers::fields::{Fields, set, set_key};
use crate::kinds::Kind;
use crate::store::Resource;

/// Serves a custom kind, as a CustomResourceDefinition would.
fn define(bench: &Bench, group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) {
    let pod = bench.store.kinds().named("apps", "v1", "Deployment").unwrap();
    let storage = Resource::new(group, plural);
    let custom = Kind {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        plural: plural.into(),
        namespaced,
        custom: true,
        storage: storage.clone(),
        ..Kind::clone(&pod)
    };
    bench.store.kinds().define(&storage, vec![custom]);
}

#[tokio::test]
async fn a_certificate_becomes_a_secret_once_its_operator_is_there() {
    let mut bench = Bench::new().await;
    define(&bench, "cert-manager.io", "v1", "Certificate", "certificates", true);
    bench.create(json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"secretName": "web-tls", "dnsNames": ["web.example.com"], "duration": "2160h"}}));
    bench.settle().await;
    assert!(bench.get("Certificate", "web").at("/status").is_null());
    bench.create(deployment("cert-manager", 1, "quay.io/jetstack/cert-manager-controller:v1.21.1"));
    bench.settle().await;
    let certificate = bench.get("Certificate", "web");
    assert!(certificate.is("Ready"), "{certificate}");
    assert_eq!(certificate.text("/status/notAfter"), "2027-02-21T12:15:00Z");
    let secret = bench.get("Secret", "web-tls");
    let parts: Vec<&str> = secret.entries("/data").map(|(key, _)| key).collect();
    assert_eq!(parts, ["ca.crt", "tls.crt", "tls.key"]);
    assert!(secret.entries("/data").all(|(_, value)| value.as_str().is_some_and(|text| text.len() > 100)));
}

#[tokio::test]
async fn a_certificate_expires_by_a_fault_and_is_new_afterwards() {
    let mut bench = Bench::new().await;
    define(&bench, "cert-manager.io", "v1", "Certificate", "certificates", true);
    define(&bench, "sandbox.aegis.dev", "v1", "Fault", "faults", false);
    bench.create(deployment("cert-manager", 1, "quay.io/jetstack/cert-manager-controller:v1.21.1"));
    bench.create(json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"secretName": "web-tls", "dnsNames": ["web.example.com"], "duration": "2160h"}}));
    bench.settle().await;
    bench.create(json!({"apiVersion": "sandbox.aegis.dev/v1", "kind": "Fault", "metadata": {"name": "old"},
        "spec": {"kind": "certificate-expired", "certificate": "web"}}));
    bench.settle().await;
    let certificate = bench.get("Certificate", "web");
    assert_eq!(certificate.text("/status/conditions/0/reason"), "Expired");
    assert!(certificate.text("/status/notAfter") < "2026-11-24");
    assert_eq!(verified(&bench, "web-tls"), Err(rustls::CertificateError::Expired));
    bench.delete("Fault", "old");
    bench.settle().await;
    let certificate = bench.get("Certificate", "web");
    assert!(certificate.is("Ready") && certificate.text("/status/notAfter") > "2027", "{certificate}");
    assert_eq!(verified(&bench, "web-tls"), Ok(()));
}

/// What a client makes of a Secret's certificate in the cluster's present.
fn verified(bench: &Bench, secret: &str) -> Result<(), rustls::CertificateError> {
    use base64::Engine;
    use rustls::pki_types::pem::PemObject;
    let secret = bench.get("Secret", secret);
    let certificate = |key: &str| {
        let pem = base64::prelude::BASE64_STANDARD.decode(secret.at("/data")[key].as_str().unwrap()).unwrap();
        rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap()
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate("ca.crt")).unwrap();
    let now = bench.store.ambient().now().as_second().unsigned_abs();
    let now = rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    let leaf = certificate("tls.crt");
    let parsed = rustls::server::ParsedCertificate::try_from(&leaf).unwrap();
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    let outcome =
        rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms);
    match outcome {
        Ok(()) => Ok(()),
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ExpiredContext { .. })) => {
            Err(rustls::CertificateError::Expired)
        }
        Err(rustls::Error::InvalidCertificate(problem)) => Err(problem),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_postgres_cluster_gets_its_instances_and_is_healthy_when_they_are() {
    let mut bench = Bench::new().await;
    define(&bench, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    bench.create(
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
        "provisioner": "csi.example.com", "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    bench.create(deployment("cnpg", 1, "ghcr.io/cloudnative-pg/cloudnative-pg:1.28.0"));
    bench.create(json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "pg", "namespace": "default"},
        "spec": {"instances": 3, "storage": {"size": "50Gi", "storageClass": "fast"}}}));
    bench.settle().await;
    let pg = bench.get("Cluster", "pg");
    assert_eq!(pg.text("/status/phase"), "Cluster in healthy state");
    assert_eq!(pg.at("/status/readyInstances"), 3);
    assert_eq!(pg.text("/status/currentPrimary"), "pg-1");
    assert!(bench.get("Pod", "pg-3").is("Ready"));
    assert_eq!(bench.get("PersistentVolumeClaim", "pg-2").text("/status/phase"), "Bound");
    bench.delete("Pod", "pg-2");
    bench.settle().await;
    assert!(bench.get("Pod", "pg-2").is("Ready"));
}

#[tokio::test]
async fn a_certificate_job_makes_its_secret_and_patches_the_webhook() {
    let mut bench = Bench::new().await;
    bench.create(
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "stack-admission"}, "webhooks": [{"name": "a.example.com",
        "clientConfig": {"service": {"name": "none", "namespace": "default", "path": "/"}}}]}),
    );
    for (name, args) in [
        (
            "create",
            json!([
                "create",
                "--host=stack,stack.default.svc",
                "--namespace=default",
                "--secret-name=stack-admission"
            ]),
        ),
        (
            "patch",
            json!([
                "patch",
                "--webhook-name=stack-admission",
                "--namespace=default",
                "--secret-name=stack-admission"
            ]),
        ),
    ] {
        let mut hook = job(name);
        let container = json!([{"name": "main", "image": "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.6", "args": args}]);
        set(&mut hook, "/spec/template/spec/containers", container);
        bench.create(hook);
        bench.settle().await;
    }
    let secret = bench.get("Secret", "stack-admission");
    assert_eq!(secret.entries("/data").map(|(key, _)| key).collect::<Vec<_>>(), ["ca", "cert", "key"]);
    let webhook = bench.get("ValidatingWebhookConfiguration", "stack-admission");
    assert_eq!(webhook.at("/webhooks/0/clientConfig/caBundle"), secret.at("/data/ca"));
}

#[tokio::test]
async fn a_webhook_is_trusted_once_its_service_answers() {
    let mut bench = Bench::new().await;
    bench.create(
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "hook"}, "webhooks": [{"name": "a.example.com",
        "clientConfig": {"service": {"name": "hook", "namespace": "default", "path": "/"}}}]}),
    );
    bench.settle().await;
    assert!(
        bench.get("MutatingWebhookConfiguration", "hook").at("/webhooks/0/clientConfig/caBundle").is_null()
    );
    bench.create(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook", "namespace": "default"},
        "spec": {"type": "ClusterIP", "selector": {"app": "hook"}, "ports": [{"port": 443, "protocol": "TCP"}]}}));
    bench.create(deployment("hook", 1, "hook:1"));
    bench.settle().await;
    assert!(
        !bench
            .get("MutatingWebhookConfiguration", "hook")
            .text("/webhooks/0/clientConfig/caBundle")
            .is_empty()
    );
}

#[tokio::test]
async fn a_vault_stays_sealed_until_its_label_says_otherwise() {
    let mut bench = Bench::new().await;
    let mut bao = super::workloads::stateful_set("bao", 2);
    let container = json!([{"name": "openbao", "image": "quay.io/openbao/openbao:2.4"}]);
    set(&mut bao, "/spec/template/spec/containers", container);
    set_key(&mut bao, "/spec/template/metadata/labels", "component", "server");
    bench.create(bao);
    bench.settle().await;
    assert_eq!(bench.list("Pod").len(), 1);
    for pod in ["bao-0", "bao-1"] {
        assert_eq!(bench.get("Pod", pod).label("openbao-sealed"), "true");
        let key = bench.key(&bench.get("Pod", pod));
        bench
            .store
            .modify(&key, |pod: &mut Value| set_key(pod, "/metadata/labels", "openbao-sealed", "false"))
            .unwrap();
        bench.settle().await;
    }
    assert_eq!(bench.get("StatefulSet", "bao").at("/status/readyReplicas"), 2);
}

#[tokio::test]
async fn vaults_with_a_key_follow_the_first_that_is_unsealed() {
    let mut bench = Bench::new().await;
    let mut bao = super::workloads::stateful_set("bao", 3);
    let key = json!([{"name": "OPENBAO_UNSEAL_KEY", "value": "k"}]);
    let container = json!([{"name": "openbao", "image": "quay.io/openbao/openbao:2.4", "env": key}]);
    set(&mut bao, "/spec/template/spec/containers", container);
    set_key(&mut bao, "/spec/template/metadata/labels", "component", "server");
    bench.create(bao);
    bench.settle().await;
    assert_eq!(bench.get("StatefulSet", "bao").count("/status/readyReplicas"), 0);
    let first = bench.key(&bench.get("Pod", "bao-0"));
    bench
        .store
        .modify(&first, |pod: &mut Value| set_key(pod, "/metadata/labels", "openbao-sealed", "false"))
        .unwrap();
    bench.settle().await;
    assert_eq!(bench.get("StatefulSet", "bao").count("/status/readyReplicas"), 3);
    bench.delete("Pod", "bao-1");
    bench.settle().await;
    assert_eq!(bench.get("StatefulSet", "bao").count("/status/readyReplicas"), 3);
}
