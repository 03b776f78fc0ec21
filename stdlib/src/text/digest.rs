//! Encodings, hashes and names made of chance.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::pure;

/// Both paddings are met in the wild: Kubernetes pads, JSON web tokens do not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Arguments of `base64_encode` and `base64_decode`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Base64Arguments {
    /// The text to encode or decode.
    text: String,
    /// True: the alphabet for URLs and file names (`-` and `_`, encoded without padding).
    #[serde(default)]
    url: bool,
}

pub(super) struct Base64Encode;

#[async_trait]
impl HostFunction for Base64Encode {
    type Arguments = Base64Arguments;

    fn describe() -> Description {
        Description {
            summary: "Encodes text as base64.",
            positional: &["text"],
            returns: "string: base64 of the UTF-8 bytes",
            fails_when: "Never.",
            example: "text::base64_encode(\"hello\")",
            ..pure("base64_encode")
        }
    }

    async fn perform(_: &Context, arguments: Base64Arguments) -> Result<Value, CallError> {
        let engine = if arguments.url { URL_SAFE_NO_PAD } else { STANDARD };
        Ok(Value::String(engine.encode(arguments.text)))
    }
}

pub(super) struct Base64Decode;

#[async_trait]
impl HostFunction for Base64Decode {
    type Arguments = Base64Arguments;

    fn describe() -> Description {
        Description {
            summary: "Decodes base64 to text, with or without padding.",
            positional: &["text"],
            returns: "string: the decoded text",
            fails_when: "The text is not base64, or the bytes in it are not UTF-8 text.",
            example: "text::base64_decode(\"aGVsbG8=\")",
            ..pure("base64_decode")
        }
    }

    async fn perform(_: &Context, arguments: Base64Arguments) -> Result<Value, CallError> {
        let letters = if arguments.url { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        let compact: String = arguments.text.split_whitespace().collect();
        let bytes = GeneralPurpose::new(letters, LENIENT)
            .decode(compact)
            .map_err(|error| CallError::argument("the text is not base64").because(error))?;
        String::from_utf8(bytes).map(Value::String).map_err(|_| {
            CallError::argument("the decoded bytes are not text")
                .hint("scripts hold text only; leave binary data encoded")
        })
    }
}

/// Arguments of `sha256`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sha256Arguments {
    /// The text to hash.
    text: String,
}

pub(super) struct Sha256Of;

#[async_trait]
impl HostFunction for Sha256Of {
    type Arguments = Sha256Arguments;

    fn describe() -> Description {
        Description {
            summary: "Hashes text with SHA-256.",
            positional: &["text"],
            returns: "string: 64 lower-case hexadecimal digits",
            fails_when: "Never.",
            example: "text::sha256(\"hello\")",
            ..pure("sha256")
        }
    }

    async fn perform(_: &Context, arguments: Sha256Arguments) -> Result<Value, CallError> {
        Ok(Value::String(hex::encode(Sha256::digest(arguments.text))))
    }
}

/// `uuid` takes no arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UuidArguments {}

pub(super) struct UuidOf;

#[async_trait]
impl HostFunction for UuidOf {
    type Arguments = UuidArguments;

    fn describe() -> Description {
        Description {
            summary: "Makes a random UUID (version 4); a resumed run gets the same one again.",
            returns: "string: a UUID in lower case",
            undo: "none: nothing changes",
            fails_when: "Never.",
            example: "text::uuid()",
            ..Description::of("uuid", Effect::Ambient)
        }
    }

    async fn perform(context: &Context, _: UuidArguments) -> Result<Value, CallError> {
        let bits = u128::from(context.random()) << 64 | u128::from(context.random());
        let uuid = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        Ok(Value::String(uuid.to_string()))
    }
}
