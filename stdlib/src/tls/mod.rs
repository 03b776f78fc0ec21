//! TLS for every client: rustls with the ring provider and the platform's certificates, plus the ones of the
//! file that `SSL_CERT_FILE` names (private authorities). `client.rs` reads that file.

pub(crate) mod client;

/// Makes ring the process's cryptography. The first line of every `main` and of every test that makes a
/// client; calling it again does nothing.
pub fn install_ring() {
    // An error means that a provider is installed already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
