//! A file of iCalendar as a tree of components and properties (RFC 5545, section 3.1), each with the line it begins in:
//! folded lines are put together first, byte by byte, for some writers fold in the middle of a letter.

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// One lower-case sentence.
    pub message: String,
    /// One line of advice.
    pub hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(line: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: Some(hint.into()) }
    }
}

/// `BEGIN:NAME` to `END:NAME`.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) properties: Vec<Property>,
    pub(super) components: Vec<Self>,
}

/// `NAME;PARAMETER=VALUE:VALUE`. Names are in capital letters.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) value: String,
    pub(super) line: usize,
}

impl Component {
    /// The first property of a name.
    pub(super) fn find(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// Every property of a name: some may come more than once.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }

    /// The text of a property; empty without it.
    pub(super) fn text(&self, name: &str) -> String {
        self.find(name).map(Property::text).unwrap_or_default()
    }

    /// Components of a name in it.
    pub(super) fn within<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.components.iter().filter(move |component| component.name == name)
    }
}

impl Property {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its value without the backslashes of section 3.3.11.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.value.len());
        let mut letters = self.value.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => {
                    text.extend(letters.next().map(|next| if matches!(next, 'n' | 'N') { ' ' } else { next }))
                }
                other => text.push(other),
            }
        }
        text
    }
}

const CUT: &str = "it was cut off: fetch it again";
const NO_CALENDAR: &str = "a calendar begins with `BEGIN:VCALENDAR`: was something else fetched?";

/// The calendars of a file.
pub(super) fn calendars(bytes: &[u8]) -> Result<Vec<Component>, Mistake> {
    let lines = unfolded(bytes);
    let last = lines.len().saturating_sub(1);
    let (mut open, mut calendars): (Vec<Component>, Vec<Component>) = (Vec::new(), Vec::new());
    for (at, (line, text)) in lines.into_iter().enumerate() {
        let property = match property(line, &text) {
            Some(property) => property,
            None if at == last && !open.is_empty() => break,
            None => {
                return Err(Mistake::new(
                    line,
                    format!("{} is no line of a calendar", shown(&text)),
                    NO_CALENDAR,
                ));
            }
        };
        let named = property.value.trim().to_ascii_uppercase();
        match (property.name.as_str(), open.last_mut()) {
            ("BEGIN", None) if named != "VCALENDAR" => {
                return Err(Mistake::new(
                    line,
                    format!("`{named}` stands outside of a calendar"),
                    NO_CALENDAR,
                ));
            }
            ("BEGIN", _) => {
                open.push(Component { name: named, line, properties: Vec::new(), components: Vec::new() });
            }
            ("END", Some(inner)) if inner.name == named => {
                let ended = open.pop();
                open.last_mut().map_or(&mut calendars, |outer| &mut outer.components).extend(ended);
            }
            ("END", Some(inner)) => return Err(crossed(inner, &named, line)),
            (_, Some(inner)) => inner.properties.push(property),
            (_, None) => {
                return Err(Mistake::new(
                    line,
                    format!("{} stands outside of a calendar", shown(&text)),
                    NO_CALENDAR,
                ));
            }
        }
    }
    match open.last() {
        Some(inner) => {
            let message = format!(
                "the file ends in the middle of the `{}` that begins in line {}",
                inner.name, inner.line
            );
            Err(Mistake::new(ending(bytes), message, CUT))
        }
        None if calendars.is_empty() => Err(Mistake::new(1, "the file is empty", NO_CALENDAR)),
        None => Ok(calendars),
    }
}

fn crossed(inner: &Component, named: &str, line: usize) -> Mistake {
    let message = format!(
        "`END:{named}` stands where the `{}` that begins in line {} has to end",
        inner.name, inner.line
    );
    Mistake::new(line, message, format!("a line is missing before it: `END:{}`", inner.name))
}

/// Logical lines with the number of their first; what is no text is shown as such.
fn unfolded(bytes: &[u8]) -> Vec<(usize, String)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line.split_first(), lines.last_mut()) {
            (None, _) => {}
            (Some((b' ' | b'\t', rest)), Some((_, before))) => before.extend_from_slice(rest),
            (Some(_), _) => lines.push((at + 1, line.to_vec())),
        }
    }
    lines.into_iter().map(|(line, text)| (line, String::from_utf8_lossy(&text).into_owned())).collect()
}

/// The number of the last line that is not empty.
fn ending(bytes: &[u8]) -> usize {
    let text = bytes.trim_ascii_end();
    text.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn property(line: usize, text: &str) -> Option<Property> {
    let colon = outside_of_quotes(text, ':').next()?;
    let (head, value) = (&text[..colon], &text[colon + 1..]);
    let mut parts = Vec::new();
    let mut start = 0;
    for semicolon in outside_of_quotes(head, ';').chain([head.len()]) {
        parts.push(&head[start..semicolon]);
        start = semicolon + 1;
    }
    let (name, parameters) = parts.split_first()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let parameter = |part: &&str| {
        let (name, value) = part.split_once('=')?;
        Some((name.to_ascii_uppercase(), value.trim_matches('"').to_owned()))
    };
    let parameters = parameters.iter().map(parameter).collect::<Option<_>>()?;
    is_name.then(|| Property { name: name.to_ascii_uppercase(), parameters, value: value.to_owned(), line })
}

fn outside_of_quotes(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.char_indices().filter_map(move |(at, letter)| {
        quoted ^= letter == '"';
        (letter == wanted && !quoted).then_some(at)
    })
}

/// The beginning of a line, for people.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("`{short}...`") } else { format!("`{short}`") }
}
