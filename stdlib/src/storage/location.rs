//! What a URL means. Keys are taken letter by letter: S3 allows `//`, `%` and `..` in them.

use aegis_engine::{CallError, codes};

/// The kind of storage a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `s3://`
    S3,
    /// `file://`
    File,
}

/// A bucket (empty for files) and a key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) kind: Kind,
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Location {
    /// The URL of one object.
    pub(super) fn object(url: &str) -> Result<Self, CallError> {
        let location = Self::prefix(url)?;
        if location.key.is_empty() || location.key.ends_with('/') {
            return Err(
                CallError::argument(format!("`{url}` names no object")).hint("add a key: `s3://BUCKET/KEY`")
            );
        }
        Ok(location)
    }

    /// The URL of an object or of all that start with it.
    pub(super) fn prefix(url: &str) -> Result<Self, CallError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| unreadable(url))?;
        match scheme {
            "s3" => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(unreadable(url));
                }
                Ok(Self { kind: Kind::S3, bucket: bucket.to_owned(), key: key.to_owned() })
            }
            "file" => match rest.strip_prefix('/') {
                Some(path) => Ok(Self { kind: Kind::File, bucket: String::new(), key: path.to_owned() }),
                None => Err(CallError::argument(format!("`{url}` names a host"))
                    .hint("write three slashes: `file:///PATH`")),
            },
            "gs" | "gcs" => Err(later(
                scheme,
                "reach the bucket as `s3://` through `https://storage.googleapis.com` with HMAC keys",
            )),
            "az" | "azure" | "abfs" => Err(later(scheme, "copy with `exec` and `azcopy` until then")),
            _ => Err(unreadable(url)),
        }
    }

    /// The URL again.
    pub(super) fn url(&self) -> String {
        match self.kind {
            Kind::S3 => format!("s3://{}/{}", self.bucket, self.key),
            Kind::File => format!("file:///{}", self.key),
        }
    }

    /// The same bucket, another key.
    pub(super) fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// Where the overlay of a plan keeps it.
    pub(super) fn overlay_key(&self) -> String {
        format!("storage:{}", self.url())
    }
}

/// The scope of a capability: the URL as it stands. One that cannot be read fails in the call itself.
pub(super) fn scope(url: &str) -> Option<String> {
    Location::prefix(url).ok().map(|location| location.url())
}

fn unreadable(url: &str) -> CallError {
    CallError::argument(format!("`{url}` is not a storage URL"))
        .hint("write `s3://BUCKET/KEY` or `file:///PATH`")
}

fn later(scheme: &str, meanwhile: &str) -> CallError {
    CallError::new(codes::STORAGE, format!("`{scheme}://` URLs come in a later version")).hint(meanwhile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_letter_by_letter() {
        let location = Location::object("s3://backups/a//b%20/../c").unwrap();
        assert_eq!((location.bucket.as_str(), location.key.as_str()), ("backups", "a//b%20/../c"));
        assert_eq!(location.url(), "s3://backups/a//b%20/../c");
        assert_eq!(Location::prefix("s3://backups").unwrap().key, "");
        assert_eq!(Location::object("file:///a/b").unwrap().key, "a/b");
    }

    #[test]
    fn what_cannot_be_stored_to_says_what_can() {
        let told = |url| {
            let error = Location::object(url).unwrap_err();
            (error.code, error.message)
        };
        assert_eq!(told("gs://b/k"), ("A0501".into(), "`gs://` URLs come in a later version".into()));
        assert_eq!(told("az://b/k").0, "A0501");
        assert_eq!(told("s3://bucket"), ("A0101".into(), "`s3://bucket` names no object".into()));
        assert_eq!(told("file://etc/x").1, "`file://etc/x` names a host");
        assert_eq!(told("backups/k").1, "`backups/k` is not a storage URL");
    }
}
