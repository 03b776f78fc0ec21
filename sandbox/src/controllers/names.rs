//! Names that controllers make up from templates. Random suffixes come from `Ambient::suffix`.
//!
//! The alphabet has no vowels and no look-alikes, as the API server's has not. A template's hash is
//! FNV-1a over its canonical JSON (the real one hashes a Go dump, so values differ while looking alike).

use serde_json::Value;
use sha2::{Digest, Sha256};

const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a pod template, about ten letters long. `collisions` is the owner's `collisionCount`.
pub fn template_hash(template: &Value, collisions: i64) -> String {
    let mut text = template.to_string();
    if collisions > 0 {
        text.push_str(&collisions.to_string());
    }
    spell(&fnv1a(text.as_bytes()).to_string())
}

/// Digits rewritten in the alphabet, so that a hash can be part of a name.
fn spell(digits: &str) -> String {
    digits.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

/// What an API server calls itself by: 16 bytes of a SHA-256 in lower-case base32, as the real one.
pub fn identity(host: &str) -> String {
    const DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
    const LENGTH: usize = 26;
    let hash = Sha256::digest(host.as_bytes());
    let bit = |index: usize| (hash[index / 8] >> (7 - index % 8)) & 1;
    let digit = |place: usize| {
        (place * 5..place * 5 + 5).fold(0, |sum, index| {
            // The last digit is filled up with zeros.
            sum << 1 | usize::from(if index < 128 { bit(index) } else { 0 })
        })
    };
    (0..LENGTH).map(|place| char::from(DIGITS[digit(place)])).collect()
}

/// 32-bit FNV-1a.
pub fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_hash_is_stable_and_moves_with_the_template_and_collisions() {
        let template = json!({"spec": {"containers": [{"image": "nginx:1.25"}]}});
        assert_eq!(template_hash(&template, 0), template_hash(&template.clone(), 0));
        assert_ne!(template_hash(&template, 0), template_hash(&template, 1));
        assert_ne!(template_hash(&template, 0), template_hash(&json!({}), 0));
    }

    #[test]
    fn an_identity_is_a_hash_in_base32() {
        assert_eq!(identity("vm"), "lphjr5z7h3imqn7sokpnsue3ha");
    }

    #[test]
    fn fnv1a_gives_the_published_value() {
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
