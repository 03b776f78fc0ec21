//! The state directory: a snapshot and the log segments written since.
//!
//! ```text
//!   snapshot            header, then one line an object
//!   log-000001, ..      header, then one line a change; a transaction is one write(2)
//! ```
//!
//! A line is `checksum flag [version, group, plural, namespace, name] object`, where the flag is
//! `+` for a change whose transaction goes on in the next line and `.` for one that ends it, and
//! the object is absent for a removal. The process may be killed at any moment: what a transaction
//! has written is in the system's hands before its answer leaves, and a torn tail is cut off when
//! the directory is opened. It does not survive a power cut with certainty: a sandbox need not.
//!
//! Compaction starts a new segment, writes the next snapshot beside the old one, swaps them with a
//! rename and removes the older segments. Dying in between leaves records that the snapshot has
//! already, which loading skips by their version.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use super::Slot;
use super::state::State;
use super::{Event, EventKind, Key, OpenError, Resource};

/// The format written to both kinds of file. Increase it when an older aegis could misread a line.
const FORMAT: u32 = 1;
const HEADER: &str = "aegis-sandbox";
const SNAPSHOT: &str = "snapshot";

/// A log may grow to this, or to half its snapshot, before it is compacted.
const SMALL_LOG: u64 = 4 << 20;

/// Records at the end of the log that are read as events, so that watches can go on across a
/// change of the serving process. Reading one costs parsing two objects.
const REMEMBERED: usize = 256;

/// The open end of the log.
pub(super) struct Log {
    directory: PathBuf,
    segment: Mutex<Segment>,
    snapshot_size: AtomicU64,
    /// Held while a snapshot is written.
    compacting: Mutex<()>,
    closed: AtomicBool,
}

struct Segment {
    number: u64,
    file: File,
    /// Where its last whole transaction ends.
    end: u64,
    /// How long the older segments are together.
    before: u64,
}

impl Log {
    pub(super) fn open(directory: &Path, now: Timestamp) -> Result<(Self, State), OpenError> {
        let snapshot = Records::read(&directory.join(SNAPSHOT))?;
        let numbers = segments(directory).map_err(|source| file_error(directory, source))?;
        let mut tail = Vec::new();
        let mut before = 0;
        for number in &numbers {
            let path = segment_path(directory, *number);
            let records = Records::read(&path)?;
            cut(&path, records.good).map_err(|source| file_error(&path, source))?;
            before += records.good;
            tail.extend(records.lines);
        }
        let snapshot_size = snapshot.good;
        check_sequence(directory, &snapshot, &tail)?;
        let state = load(snapshot, tail, now);
        let number = numbers.last().copied().unwrap_or(1);
        let path = segment_path(directory, number);
        let mut segment = Segment::open(&path, number, 0).map_err(|source| file_error(&path, source))?;
        segment.before = before.saturating_sub(segment.end);
        let log = Self {
            directory: directory.to_owned(),
            segment: Mutex::new(segment),
            snapshot_size: AtomicU64::new(snapshot_size),
            compacting: Mutex::new(()),
            closed: AtomicBool::new(false),
        };
        Ok((log, state))
    }

    /// Writes a transaction. When this answers, the changes outlive the process.
    pub(super) fn append(&self, events: &[Event]) -> io::Result<()> {
        let mut text = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let flag = if index + 1 == events.len() { '.' } else { '+' };
            let object = (event.kind != EventKind::Deleted).then(|| event.text());
            write_line(&mut text, flag, event.version, &event.key, object.as_deref());
        }
        let mut segment = self.segment();
        if self.closed.load(Ordering::Acquire) {
            return Err(io::Error::other("the cluster is served no longer"));
        }
        if let Err(error) = segment.file.write_all(&text) {
            // Half a transaction must not stay in front of the next one.
            segment.file.set_len(segment.end)?;
            return Err(error);
        }
        segment.end += text.len() as u64;
        Ok(())
    }

    /// Whether the log has grown enough to be worth a compaction, and none is under way.
    pub(super) fn is_due(&self) -> bool {
        let limit = SMALL_LOG.max(self.snapshot_size.load(Ordering::Relaxed) / 2);
        let segment = self.segment();
        segment.before + segment.end > limit && self.compacting.try_lock().is_ok()
    }

    /// Writes the next snapshot from `read`, which is called after the new segment has begun.
    pub(super) fn compact(&self, read: impl FnOnce() -> (u64, Vec<(Key, Arc<Slot>)>)) -> io::Result<()> {
        let Ok(_under_way) = self.compacting.try_lock() else { return Ok(()) };
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let number = self.start_segment()?;
        let (version, slots) = read();
        self.write_snapshot(version, &slots)?;
        self.remove_segments_before(number)
    }

    /// Lets go of the directory: nothing is written to it after this.
    pub(super) fn close(&self) {
        let _compaction_is_over = self.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        let _append_is_over = self.segment();
        self.closed.store(true, Ordering::Release);
    }

    fn start_segment(&self) -> io::Result<u64> {
        let mut segment = self.segment();
        let number = segment.number + 1;
        *segment = Segment::open(&segment_path(&self.directory, number), number, 0)?;
        Ok(number)
    }

    fn write_snapshot(&self, version: u64, slots: &[(Key, Arc<Slot>)]) -> io::Result<()> {
        let path = self.directory.join("snapshot.new");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        writeln!(out, "{HEADER} {FORMAT} {version}")?;
        let mut size = 0;
        let mut line = Vec::new();
        for (key, slot) in slots {
            line.clear();
            write_line(&mut line, '.', 0, key, Some(&slot.text()));
            out.write_all(&line)?;
            size += line.len() as u64;
        }
        out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        std::fs::rename(&path, self.directory.join(SNAPSHOT))?;
        self.snapshot_size.store(size, Ordering::Relaxed);
        Ok(())
    }

    fn remove_segments_before(&self, number: u64) -> io::Result<()> {
        for old in segments(&self.directory)?.into_iter().filter(|old| *old < number) {
            std::fs::remove_file(segment_path(&self.directory, old))?;
        }
        Ok(())
    }

    fn segment(&self) -> MutexGuard<'_, Segment> {
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    /// Opens a segment whose whole records end at `end`, after `before` bytes in older segments.
    fn open(path: &Path, number: u64, before: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut end = file.metadata()?.len();
        if end == 0 {
            let header = format!("{HEADER} {FORMAT} 0\n");
            file.write_all(header.as_bytes())?;
            end = header.len() as u64;
        }
        Ok(Self { number, file, end, before })
    }
}

/// What was in one file.
#[derive(Default)]
struct Records {
    /// The version in the header.
    version: u64,
    lines: Vec<Record>,
    /// The length of the header and all whole transactions.
    good: u64,
}

struct Record {
    version: u64,
    key: Key,
    object: Option<Bytes>,
}

impl Records {
    /// Reads a file; one that is absent or empty has no records.
    fn read(path: &Path) -> Result<Self, OpenError> {
        let text = match std::fs::read(path) {
            Ok(text) => Bytes::from(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(file_error(path, source)),
        };
        let Some(header_end) = readable(&text).find('\n') else { return Ok(Self::default()) };
        let mut records = Self { version: read_header(path, &text[..header_end])?, ..Self::default() };
        records.read_lines(path, &text, header_end + 1)?;
        Ok(records)
    }

    fn read_lines(&mut self, path: &Path, text: &Bytes, start: usize) -> Result<(), OpenError> {
        let readable = readable(text);
        let mut position = start;
        let mut whole = 0;
        self.good = start as u64;
        while position < text.len() {
            let end =
                readable.get(position..).and_then(|rest| rest.find('\n')).map(|length| position + length);
            let parsed = end.ok_or("it has no end").and_then(|end| read_line(&text.slice(position..end)));
            match (parsed, end) {
                (Ok((ends_transaction, record)), Some(end)) => {
                    self.lines.push(record);
                    position = end + 1;
                    if ends_transaction {
                        self.good = position as u64;
                        whole = self.lines.len();
                    }
                }
                (Err(problem), Some(end)) if end + 1 < text.len() => {
                    let line = self.lines.len() + 2;
                    return Err(OpenError::Damaged { path: path.into(), line, problem: problem.into() });
                }
                // The last line is torn: the process died while it wrote.
                _ => break,
            }
        }
        self.lines.truncate(whole);
        Ok(())
    }
}

/// A file as text, up to the half character that a torn tail may end with. Searching text is fast
/// in every build.
fn readable(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// Versions follow one another; a gap is a lost segment, and no state to go on from.
fn check_sequence(directory: &Path, snapshot: &Records, tail: &[Record]) -> Result<(), OpenError> {
    let since = tail.iter().filter(|record| record.version > snapshot.version);
    for (expected, record) in (snapshot.version + 1..).zip(since) {
        if record.version != expected {
            let problem = format!("versions {expected} to {} are missing", record.version - 1);
            return Err(OpenError::Damaged { path: directory.into(), line: 0, problem });
        }
    }
    Ok(())
}

/// Joins the snapshot with the changes since; the last ones become events.
fn load(snapshot: Records, mut tail: Vec<Record>, now: Timestamp) -> State {
    tail.retain(|record| record.version > snapshot.version);
    let remembered = tail.split_off(tail.len().saturating_sub(REMEMBERED));
    let version = tail.last().map_or(snapshot.version, |record| record.version);
    let mut state = State::starting_at(version);
    for record in snapshot.lines.into_iter().chain(tail) {
        state.set(&record.key, record.object.map(|text| Arc::new(Slot::unread(text))));
    }
    for record in remembered {
        let object = record.object.map(|text| Arc::new(Slot::unread(text)));
        state.replay(now, record.version, record.key, object);
    }
    state
}

fn write_line(out: &mut Vec<u8>, flag: char, version: u64, key: &Key, object: Option<&[u8]>) {
    let place = (version, key.resource.group(), key.resource.plural(), &*key.namespace, &*key.name);
    let start = out.len();
    out.extend_from_slice(b"00000000 ");
    let body = out.len();
    out.push(flag as u8);
    out.push(b' ');
    out.extend_from_slice(serde_json::json!(place).to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(object.unwrap_or_default());
    let checksum = format!("{:08x}", crc32fast::hash(&out[body..]));
    out[start..start + 8].copy_from_slice(checksum.as_bytes());
    out.push(b'\n');
}

/// Reads a line; answers whether it ends its transaction.
fn read_line(line: &Bytes) -> Result<(bool, Record), &'static str> {
    let (checksum, body) = line.split_at_checked(9).ok_or("it is too short")?;
    let checksum = std::str::from_utf8(&checksum[..8]).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok());
    if checksum != Some(crc32fast::hash(body)) {
        return Err("its checksum does not match");
    }
    let ends_transaction = body.first() == Some(&b'.');
    let mut values =
        serde_json::Deserializer::from_slice(&body[2..]).into_iter::<(u64, &str, &str, &str, &str)>();
    let place = values.next().and_then(Result::ok).ok_or("its place does not parse")?;
    let (version, group, plural, namespace, name) = place;
    let object = line.slice(9 + 2 + values.byte_offset() + 1..);
    let key = Resource::new(group, plural).key(namespace, name);
    Ok((ends_transaction, Record { version, key, object: (!object.is_empty()).then_some(object) }))
}

/// Checks the header line and answers its version.
fn read_header(path: &Path, line: &[u8]) -> Result<u64, OpenError> {
    let damaged =
        || OpenError::Damaged { path: path.into(), line: 1, problem: "it is not our header".into() };
    let text = std::str::from_utf8(line).map_err(|_| damaged())?;
    let mut words = text.split(' ');
    let (Some(HEADER), Some(format), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(damaged());
    };
    let found: u32 = format.parse().map_err(|_| damaged())?;
    if found > FORMAT {
        return Err(OpenError::Newer { path: path.into(), found, supported: FORMAT });
    }
    version.parse().map_err(|_| damaged())
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > length { file.set_len(length) } else { Ok(()) }
}

/// The numbers of the segments in a directory, oldest first.
fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("log-"))
            .and_then(|digits| digits.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("log-{number:06}"))
}

fn file_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::File { path: path.into(), source }
}
