//! Certificates and tokens of one cluster: made once, then read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;
use super::directory::file_error;

/// Names the API is reached by: from here, and from inside the cluster.
const NAMES: &[&str] = &[
    "localhost",
    "127.0.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];
/// Certificates of a sandbox outlive it.
const YEARS: i32 = 20;

/// What one cluster proves itself and knows its administrator by.
#[derive(Clone)]
pub(super) struct Credentials {
    authority: String,
    certificate: String,
    key: String,
    pub(super) token: String,
    pub(super) signing_key: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the files of a directory, or makes them.
    pub(super) fn load_or_make(directory: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|source| file_error(&path, source))
        };
        // The last file that is written says that all are there.
        if !directory.join("token").exists() {
            make(directory)?;
        }
        let signing_key = read("signing.key")?;
        Ok(Self {
            authority: read("ca.crt")?,
            certificate: read("server.crt")?,
            key: read("server.key")?,
            token: read("token")?.trim().to_owned(),
            signing_key: hex::decode(signing_key.trim()).map_err(|error| broken(directory, &error))?,
        })
    }

    /// The certificate authority, as PEM.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// What the listener shows to clients.
    pub(super) fn server_config(&self, path: &Path) -> Result<Arc<ServerConfig>, Error> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let certificates = certificates.map_err(|error| broken(path, &error))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| broken(path, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| broken(path, &error))?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| broken(path, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// A kubeconfig for the administrator.
    pub(super) fn kubeconfig(&self, endpoint: &str) -> String {
        let authority = match endpoint.starts_with("https://") {
            true => format!("    certificate-authority-data: {}\n", STANDARD.encode(&self.authority)),
            false => String::new(),
        };
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\nclusters:\n- name: sandbox\n  cluster:\n    server: {endpoint}\n{authority}contexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: sandbox-admin\n    namespace: default\nusers:\n- name: sandbox-admin\n  user:\n    token: {}\n",
            self.token
        )
    }
}

fn make(directory: &Path) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(|source| file_error(directory, source))?;
    let (authority, certificate, key) = certificates().map_err(|error| broken(directory, &error))?;
    write_secret(&directory.join("ca.crt"), &authority)?;
    write_secret(&directory.join("server.crt"), &certificate)?;
    write_secret(&directory.join("server.key"), &key)?;
    write_secret(&directory.join("signing.key"), &random_hex())?;
    write_secret(&directory.join("token"), &random_hex())
}

/// A certificate authority, and a certificate of the API with its key, all as PEM.
fn certificates() -> Result<(String, String, String), rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "aegis sandbox");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for_years(&mut params);
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(NAMES.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    valid_for_years(&mut params);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((authority.pem(), certificate.pem(), key.serialize_pem()))
}

fn valid_for_years(params: &mut CertificateParams) {
    let year = i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + YEARS, 1, 1);
}

fn random_hex() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// Only the owner may read what proves who they are.
fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| file_error(path, source))
}

fn broken(path: &Path, problem: &dyn std::fmt::Display) -> Error {
    Error::Credentials { path: path.to_owned(), problem: problem.to_string() }
}
