//! Whether a webhook comes from somebody who has the key, and was sent now. Pure: headers, body, key and time come in.
//!
//! | form | headers | over | replay |
//! |---|---|---|---|
//! | `standard` (Standard Webhooks 1.0.0) | `webhook-id`, `webhook-timestamp`, `webhook-signature` | `id.timestamp.body` | five minutes, and once an id |
//! | `github` | `X-Hub-Signature-256`, `X-GitHub-Delivery` | body | once a delivery |
//!
//! Signatures are compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use super::instant_of;

/// How far the sender's clock may be from ours: the specification's own tolerance.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// How a webhook is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signature {
    /// As the Standard Webhooks specification says.
    #[default]
    Standard,
    /// As GitHub does, and many that follow it.
    Github,
}

/// A webhook that is what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The delivery: the same when it is sent again.
    pub id: String,
    /// When it was sent, where that is signed.
    pub instant: Option<Timestamp>,
}

impl Signature {
    /// Every word of it.
    pub const WORDS: &[&str] = &["standard", "github"];

    /// By its word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Standard, Self::Github]
            .into_iter()
            .zip(Self::WORDS)
            .find(|(_, known)| **known == word)
            .map(|(it, _)| it)
    }

    /// Checks a webhook.
    ///
    /// # Errors
    /// Why it is not believed, for whoever sets the sender up. Says nothing about the key.
    pub fn verify<'h>(
        self,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        key: &str,
        now: Timestamp,
    ) -> Result<Verified, String> {
        let wanted = |name: &str| {
            let given = header(name).filter(|given| !given.trim().is_empty());
            given.ok_or_else(|| format!("the header `{name}` is missing"))
        };
        match self {
            Self::Standard => standard(
                wanted("webhook-id")?,
                wanted("webhook-timestamp")?,
                wanted("webhook-signature")?,
                body,
                key,
                now,
            ),
            Self::Github => github(wanted("x-github-delivery")?, wanted("x-hub-signature-256")?, body, key),
        }
    }
}

fn standard(
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    key: &str,
    now: Timestamp,
) -> Result<Verified, String> {
    let sent = timestamp.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
    let sent = sent.ok_or("`webhook-timestamp` is no time in seconds since 1970")?;
    if now.duration_since(sent).abs() > TOLERANCE {
        return Err("it was sent more than five minutes ago, or the clocks are that far apart".to_owned());
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let mac = mac(&key_bytes(key)?, &signed);
    // Several may be given while a key is changed.
    let fits = |signature: &str| {
        let encoded = signature.strip_prefix("v1,")?;
        let bytes = STANDARD.decode(encoded).ok()?;
        mac.clone().verify_slice(&bytes).ok()
    };
    if !signatures.split_whitespace().any(|signature| fits(signature).is_some()) {
        return Err("the signature does not fit".to_owned());
    }
    Ok(Verified { id: id.to_owned(), instant: Some(instant_of(sent, id)) })
}

fn github(delivery: &str, signature: &str, body: &[u8], key: &str) -> Result<Verified, String> {
    let bytes = signature.strip_prefix("sha256=").and_then(|text| hex::decode(text).ok());
    let bytes = bytes.ok_or("`X-Hub-Signature-256` is not `sha256=` and hexadecimal digits")?;
    mac(key.as_bytes(), body).verify_slice(&bytes).map_err(|_| "the signature does not fit".to_owned())?;
    Ok(Verified { id: delivery.to_owned(), instant: None })
}

fn mac(key: &[u8], signed: &[u8]) -> Hmac<Sha256> {
    // A key of any length will do (RFC 2104).
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(signed);
    mac
}

fn key_bytes(key: &str) -> Result<Vec<u8>, String> {
    match key.strip_prefix("whsec_") {
        Some(encoded) => {
            STANDARD.decode(encoded).map_err(|_| "the key here is not base64 after `whsec_`".to_owned())
        }
        None => Ok(key.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries: key, id, time, body and signature are theirs.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &str = "1614265330";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const BODY: &str = "{\"test\": 2432232314}";

    fn verify(signature: &str, body: &str, now: i64) -> Result<Verified, String> {
        let header = |name: &str| match name {
            "webhook-id" => Some(ID),
            "webhook-timestamp" => Some(AT),
            "webhook-signature" => Some(signature),
            _ => None,
        };
        let now = Timestamp::from_second(now).unwrap();
        Signature::Standard.verify(header, body.as_bytes(), KEY, now)
    }

    #[test]
    fn a_standard_webhook_holds_for_its_body_and_five_minutes() {
        let verified = verify(SIGNED, BODY, 1_614_265_331).unwrap();
        assert_eq!(verified.id, ID);
        assert_eq!(verified.instant.unwrap().as_second(), 1_614_265_330);
        // The same delivery is the same instant whenever it comes; another one in that second is not.
        assert_eq!(verify(SIGNED, BODY, 1_614_265_600).unwrap().instant, verified.instant);
        assert_ne!(Some(instant_of(verified.instant.unwrap(), "msg_other")), verified.instant);
        assert!(verify(&format!("v1,AAAA {SIGNED}"), BODY, 1_614_265_331).is_ok());
        assert!(
            verify(SIGNED, "{\"test\": 2432232315}", 1_614_265_331).unwrap_err().contains("does not fit")
        );
        assert!(verify("v1a,AAAA", BODY, 1_614_265_331).unwrap_err().contains("does not fit"));
        assert!(verify(SIGNED, BODY, 1_614_265_631).unwrap_err().contains("five minutes"));
        assert!(verify(SIGNED, BODY, 1_614_265_029).unwrap_err().contains("five minutes"));
    }

    #[test]
    fn a_github_webhook_holds_for_its_body() {
        // From GitHub's documentation of `X-Hub-Signature-256`.
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let header = |name: &str| match name {
            "x-github-delivery" => Some("72d3162e"),
            "x-hub-signature-256" => Some(signature),
            _ => None,
        };
        let verify = |body: &str| {
            Signature::Github.verify(
                header,
                body.as_bytes(),
                "It's a Secret to Everybody",
                Timestamp::UNIX_EPOCH,
            )
        };
        assert_eq!(verify("Hello, World!").unwrap(), Verified { id: "72d3162e".to_owned(), instant: None });
        assert!(verify("Hello, World").is_err());
        let nothing = Signature::Github.verify(|_| None, b"", "k", Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(nothing, "the header `x-github-delivery` is missing");
    }
}
