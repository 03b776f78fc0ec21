//! Reads the file with additional certificate authorities.

use std::collections::BTreeMap;

use aegis_engine::{CallError, codes};

/// The PEM text of `SSL_CERT_FILE`, when the environment names one. OpenSSL, curl, Go and Python read the
/// same variable.
pub(crate) fn extra_authorities(
    environment: &BTreeMap<String, String>,
) -> Result<Option<Vec<u8>>, CallError> {
    let Some(path) = environment.get("SSL_CERT_FILE").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    std::fs::read(path).map(Some).map_err(|error| {
        CallError::new(codes::TLS, format!("cannot read the certificates in `{path}`"))
            .because(error)
            .hint("`SSL_CERT_FILE` names this file; correct or unset it")
    })
}
