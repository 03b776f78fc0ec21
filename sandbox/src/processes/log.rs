//! What a container wrote: a file a start, each line with its moment and stream, as kubelets keep logs.
//!
//! ```text
//!   2026-11-23T05:12:00.123456789Z stdout F a whole line
//!   2026-11-23T05:12:01.000000000Z stderr P the beginning of a line that is still being written
//! ```

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::running::Stream;
use crate::ambient::Ambient;

/// A log larger than this begins anew, and keeps what was written before in a file beside it: the default of kubelets.
const LARGEST: u64 = 10 << 20;
/// A line longer than this is written in parts, as container runtimes do.
const LONGEST_PART: usize = 16 << 10;

/// The log of one start of a container, while it is written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Mutex<Option<File>>,
    ambient: Ambient,
    changed: watch::Sender<u64>,
}

impl Log {
    pub(super) fn create(path: &Path, ambient: Ambient) -> Self {
        if let Some(folder) = path.parent() {
            let _ = fs::create_dir_all(folder);
        }
        let file = File::create(path);
        if let Err(error) = &file {
            tracing::warn!(path = %path.display(), %error, "a container's log cannot be written");
        }
        Self { path: path.to_owned(), file: Mutex::new(file.ok()), ambient, changed: watch::channel(0).0 }
    }

    pub(super) fn writer(self: &Arc<Self>, stream: Stream) -> Writer {
        Writer { log: self.clone(), stream, rest: Vec::new() }
    }

    /// Tells readers to look again.
    pub(super) fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Told whenever something was written.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, stream: Stream, parts: &[(&[u8], bool)]) {
        let now = self.ambient.now().strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string();
        let name = if stream == Stream::Out { "stdout" } else { "stderr" };
        let mut bytes = Vec::new();
        for (part, is_whole) in parts {
            bytes
                .extend_from_slice(format!("{now} {name} {} ", if *is_whole { 'F' } else { 'P' }).as_bytes());
            bytes.extend_from_slice(part);
            bytes.push(b'\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.as_ref().and_then(|file| file.metadata().ok()).is_some_and(|file| file.len() >= LARGEST) {
            let _ = fs::rename(&self.path, self.path.with_extension("log.1"));
            *file = File::create(&self.path).ok();
        }
        if let Some(file) = &mut *file {
            // A disk that is full loses log lines, not the process.
            let _ = file.write_all(&bytes);
        }
        drop(file);
        self.touch();
    }
}

/// Splits one stream into lines.
pub(super) struct Writer {
    log: Arc<Log>,
    stream: Stream,
    rest: Vec<u8>,
}

impl Writer {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut parts: Vec<(&[u8], bool)> = Vec::new();
        let mut rest = &self.rest[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            parts.push((&rest[..end], true));
            rest = &rest[end + 1..];
        }
        if rest.len() > LONGEST_PART {
            parts.push((rest, false));
            rest = &[];
        }
        if !parts.is_empty() {
            self.log.append(self.stream, &parts);
            self.rest = rest.to_vec();
        }
    }

    pub(super) fn finish(&mut self) {
        if !self.rest.is_empty() {
            self.log.append(self.stream, &[(&self.rest, false)]);
            self.rest.clear();
        }
    }
}

/// Which part of a log is wanted, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only the last lines.
    pub tail: Option<usize>,
    /// Only what was written at or after this moment.
    pub since: Option<Timestamp>,
    /// Each line begins with its moment.
    pub timestamps: bool,
    /// No more bytes than this.
    pub limit: Option<usize>,
}

/// Reads a log from a byte on; answers the text and where the next reading begins.
pub fn read(path: &Path, from: usize, wanted: &Wanted) -> std::io::Result<(Vec<u8>, usize)> {
    let mut file = File::open(path)?;
    // A log that is shorter than what was read of it has begun anew.
    let from = if file.metadata()?.len() < from as u64 { 0 } else { from };
    file.seek(SeekFrom::Start(from as u64))?;
    let mut fresh = Vec::new();
    file.read_to_end(&mut fresh)?;
    // The last line may be half written.
    let end = fresh.iter().rposition(|byte| *byte == b'\n').map_or(0, |position| position + 1);
    let lines = fresh[..end].split_inclusive(|byte| *byte == b'\n').filter_map(Line::parse);
    let mut lines: Vec<Line<'_>> = lines.filter(|line| line.is_since(wanted.since)).collect();
    if let Some(tail) = wanted.tail {
        lines.drain(..start_of_tail(&lines, tail));
    }
    let mut text = Vec::new();
    let mut begins = true;
    for line in &lines {
        if begins && wanted.timestamps {
            text.extend_from_slice(line.time.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(line.text);
        if line.is_whole {
            text.push(b'\n');
        }
        begins = line.is_whole;
    }
    text.truncate(wanted.limit.unwrap_or(usize::MAX));
    Ok((text, from + end))
}

/// Where the last `count` lines begin; parts of one line count once.
fn start_of_tail(lines: &[Line<'_>], count: usize) -> usize {
    let mut left = count;
    for (index, line) in lines.iter().enumerate().rev() {
        let ends = line.is_whole || index + 1 == lines.len();
        if ends && left == 0 {
            return index + 1;
        }
        left -= usize::from(ends);
    }
    0
}

struct Line<'a> {
    time: &'a str,
    is_whole: bool,
    text: &'a [u8],
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        parts.next()?;
        let is_whole = parts.next()? == b"F";
        Some(Self { time, is_whole, text: parts.next().unwrap_or_default() })
    }

    fn is_since(&self, moment: Option<Timestamp>) -> bool {
        moment.is_none_or(|moment| self.time.parse::<Timestamp>().is_ok_and(|time| time >= moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(chunks: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let ambient = Ambient::pinned("2026-01-02T03:04:05Z".parse().unwrap(), 1);
        let log = Arc::new(Log::create(&path, ambient.clone()));
        let mut writer = log.writer(Stream::Out);
        for chunk in chunks {
            writer.write(chunk.as_bytes());
            ambient.advance(std::time::Duration::from_secs(1));
        }
        writer.finish();
        (folder, path)
    }

    fn shown(path: &Path, wanted: Wanted) -> String {
        String::from_utf8(read(path, 0, &wanted).unwrap().0).unwrap()
    }

    #[test]
    fn lines_are_kept_whole_however_they_came() {
        let (_folder, path) = written(&["a", "b\nc\n", "last"]);
        assert_eq!(shown(&path, Wanted::default()), "ab\nc\nlast");
        assert_eq!(shown(&path, Wanted { tail: Some(2), ..Wanted::default() }), "c\nlast");
        assert_eq!(shown(&path, Wanted { tail: Some(0), ..Wanted::default() }), "");
        assert_eq!(shown(&path, Wanted { limit: Some(4), ..Wanted::default() }), "ab\nc");
    }

    #[test]
    fn old_lines_are_left_out_and_moments_are_told() {
        let (_folder, path) = written(&["one\n", "two\n", "three\n"]);
        let since = Some("2026-01-02T03:04:06Z".parse().unwrap());
        let wanted = Wanted { since, timestamps: true, ..Wanted::default() };
        let expected = "2026-01-02T03:04:06.000000000Z two\n2026-01-02T03:04:07.000000000Z three\n";
        assert_eq!(shown(&path, wanted), expected);
    }

    #[test]
    fn a_log_that_grows_too_large_begins_anew_and_its_reader_with_it() {
        let line = "x".repeat(99) + "\n";
        let (_folder, path) = written(&vec![line.repeat(1000).as_str(); 120]);
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        assert!(size(&path) < LARGEST && size(&path.with_extension("log.1")) >= LARGEST);
        let (text, _) = read(&path, usize::try_from(LARGEST).unwrap(), &Wanted::default()).unwrap();
        assert!(text.starts_with(b"xxx"));
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let (_folder, path) = written(&["one\n"]);
        let (_, position) = read(&path, 0, &Wanted::default()).unwrap();
        fs::write(
            &path,
            format!("{}2026-01-02T03:04:09Z stdout F two\nhalf", fs::read_to_string(&path).unwrap()),
        )
        .unwrap();
        assert_eq!(read(&path, position, &Wanted::default()).unwrap().0, b"two\n");
    }
}
