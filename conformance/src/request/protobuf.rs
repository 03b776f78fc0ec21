//! Learnt values inside of protobuf bodies.
//!
//! Kubernetes wraps an object as `k8s\0` and an `Unknown` message, whose field 2 is the object. Every
//! length-delimited field may be a message or a text; texts that were learnt are replaced, and the
//! lengths around them follow.

use crate::learnt::Learnt;

const MAGIC: &[u8] = b"k8s\0";
/// `Unknown.raw`, `metadata` of an object, `resourceVersion` of its metadata.
const RAW: u64 = 2;
const METADATA: u64 = 1;
const VERSION: u64 = 6;

/// A body with every learnt value in it replaced.
pub(super) fn here(body: &[u8], learnt: &Learnt) -> Vec<u8> {
    let Some(unknown) = body.strip_prefix(MAGIC) else {
        return body.to_vec();
    };
    let rewritten = message(unknown, &mut Vec::new(), learnt);
    rewritten.map_or_else(|| body.to_vec(), |rewritten| [MAGIC, &rewritten].concat())
}

/// A message rewritten; none when the bytes are no message.
fn message(mut bytes: &[u8], place: &mut Vec<u64>, learnt: &Learnt) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        push_varint(&mut out, tag);
        if tag >> 3 == 0 {
            return None;
        }
        match tag & 7 {
            0 => push_varint(&mut out, varint(&mut bytes)?),
            1 => out.extend_from_slice(take(&mut bytes, 8)?),
            5 => out.extend_from_slice(take(&mut bytes, 4)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                place.push(tag >> 3);
                let field = field(take(&mut bytes, length)?, place, learnt);
                place.pop();
                push_varint(&mut out, field.len() as u64);
                out.extend_from_slice(&field);
            }
            _ => return None,
        }
    }
    Some(out)
}

fn field(bytes: &[u8], place: &mut Vec<u64>, learnt: &Learnt) -> Vec<u8> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.bytes().all(|byte| byte == b'\n' || byte >= b' ')
        && !text.is_empty()
    {
        let is_version = place[..] == [RAW, METADATA, VERSION];
        let here = if is_version { learnt.version_here(text) } else { learnt.text_here(text) };
        return here.into_bytes();
    }
    message(bytes, place, learnt).unwrap_or_else(|| bytes.to_vec())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_version_moves_the_lengths_around_it() {
        let mut learnt = Learnt::default();
        learnt.version("7", "4711");
        // Unknown { raw: object { metadata: { resourceVersion: "7" } } }
        let body = [MAGIC, &[0x12, 5, 0x0a, 3, 0x32, 1, b'7']].concat();
        let wanted = [MAGIC, &[0x12, 8, 0x0a, 6, 0x32, 4], b"4711"].concat();
        assert_eq!(here(&body, &learnt), wanted);
    }
}
