//! Reading files that come from outside: as text, and never more of one than has a place here. A path may lead
//! to a device without an end.

use std::fs::File;
use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

/// The largest file that people write by hand: runbooks, parameters, configurations. Bytes.
pub const WRITTEN: u64 = 4 << 20;
/// The largest file that programs write for people: bundles of manifests. Bytes.
pub const GENERATED: u64 = 64 << 20;

/// Reads a text of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, is larger, or is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let bytes = read_bytes(path, limit)?;
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not text in UTF-8"))
}

/// Reads at most `limit` bytes, whatever they are.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn read_bytes(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is larger than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_or_is_no_text_is_refused() {
        let told = |path: &str, limit| read_text(Path::new(path), limit).unwrap_err().to_string();
        assert_eq!(told("/dev/zero", 2 << 20), "it is larger than 2 MiB");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0xff, 0xfe]).unwrap();
        assert_eq!(told(file.path().to_str().unwrap(), 2), "it is not text in UTF-8");
        std::fs::write(file.path(), "ab").unwrap();
        assert_eq!(read_text(file.path(), 2).unwrap(), "ab");
    }
}
