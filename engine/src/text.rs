//! Small helpers for sentences: lists, plurals, the nearest spelling.

/// `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``.
#[must_use]
pub fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// "did you mean `namespace`?" when a known name is near enough to be a slip of the fingers.
#[must_use]
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?"))
}

/// The known name nearest to a wrong one: at most a third of its letters differ (one at least; exchanging two
/// neighbours counts as one).
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).max(1);
    let scored = known.into_iter().map(|name| (strsim::damerau_levenshtein(wrong, name), name));
    scored.filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name)
}

/// What a parser of another project says, as one sentence: without the excerpt it draws under its words.
#[must_use]
pub fn one_sentence(told: &str) -> String {
    if !told.contains('\n') {
        return told.to_owned();
    }
    let drawn = |line: &&str| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        line.is_empty() || rest.starts_with(['|', '^']) || rest.starts_with("-->") || rest == "..."
    };
    let lines = told.lines().map(|line| line.trim().trim_start_matches("error: ").trim_end_matches(':'));
    lines.filter(|line| !drawn(line)).collect::<Vec<_>>().join(": ")
}

/// Text from elsewhere for a terminal: control characters, which could move its cursor or change its title,
/// become their pictures (`␛`). Line ends and tabs stay.
#[must_use]
pub fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    let hostile = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(hostile) {
        return text.into();
    }
    let picture = |c: char| match u32::from(c) {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(|c| if hostile(c) { picture(c) } else { c }).collect::<String>().into()
}

/// A word of a line for a shell, quoted where it has to be.
#[must_use]
pub fn shell_word(word: &str) -> std::borrow::Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''")).into()
}

/// `1 call`, `3 calls`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_near_and_another_word_is_not() {
        let known = ["log", "cos", "name", "namespace", "prod"];
        let near = |wrong| nearest(wrong, known);
        assert_eq!(
            [near("lgo"), near("prd"), near("namespcae")],
            [Some("log"), Some("prod"), Some("namespace")]
        );
        assert_eq!([near("foo"), near("nope"), near("x")], [None, None, None]);
    }

    #[test]
    fn a_drawing_of_another_parser_becomes_a_sentence() {
        let toml = "TOML parse error at line 1, column 3\n  |\n1 | a = \n  |   ^\nexpected a value\n";
        assert_eq!(one_sentence(toml), "TOML parse error at line 1, column 3: expected a value");
        assert_eq!(one_sentence("connection refused"), "connection refused");
    }

    #[test]
    fn what_would_steer_a_terminal_is_shown_instead() {
        assert_eq!(printable("\u{1b}[31mred\u{7}\n\tx\u{9b}"), "\u{241b}[31mred\u{2407}\n\tx\u{fffd}");
        assert_eq!(printable("plain ünïcode"), "plain ünïcode");
    }
}
