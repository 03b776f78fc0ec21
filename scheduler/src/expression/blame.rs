//! Which field of a cron expression is wrong, and why: each is read by itself, with all others as they are never wrong.
//! What the crates say names no field, or a position that nobody counts.

/// A field as people know it.
pub(super) struct Field {
    name: &'static str,
    least: u32,
    most: u32,
}

impl Field {
    pub(super) const fn new(name: &'static str, least: u32, most: u32) -> Self {
        Self { name, least, most }
    }

    /// What is wrong with its text, of which `why` is what a crate says.
    fn wrong(&self, text: &str, why: &str) -> String {
        let Self { name, least, most } = self;
        let beyond = numbers(text).find(|number| !(*least..=*most).contains(number));
        match beyond {
            Some(number) => format!("{name}: {number} is not within {least}-{most}"),
            None if text.contains('-') && is_backward(text) => {
                format!("{name}: `{text}` ends before it begins")
            }
            None => format!("{name}: `{text}` is not understood: {why}"),
        }
    }
}

/// The first field that cannot be read beside others that say everything; `None`: they only do not fit together.
pub(super) fn field(
    text: &str,
    fields: &[(Field, &'static str)],
    read: impl Fn(&str) -> Result<(), String>,
) -> Option<String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let alone = |at: usize, part: &str| {
        let one = |(index, (_, neutral)): (usize, &(Field, &'static str))| {
            if index == at { part.to_owned() } else { (*neutral).to_owned() }
        };
        let all: Vec<String> = fields.iter().take(parts.len()).enumerate().map(one).collect();
        read(&all.join(" ")).err()
    };
    let blamed = fields.iter().zip(&parts).enumerate();
    blamed.filter_map(|(at, ((field, _), part))| Some(field.wrong(part, &alone(at, part)?))).next()
}

/// Numbers that stand for times: not steps, nor how manieth.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    let times = text.split(',').filter_map(|item| item.split(['/', '#']).next());
    times.flat_map(|item| item.split('-')).filter_map(|number| number.parse().ok())
}

fn is_backward(text: &str) -> bool {
    let range = |item: &str| {
        item.split('/')
            .next()
            .and_then(|range| range.split_once('-'))
            .map(|(a, b)| (a.parse::<u32>(), b.parse::<u32>()))
    };
    text.split(',').filter_map(range).any(|(from, to)| matches!((from, to), (Ok(from), Ok(to)) if from > to))
}
