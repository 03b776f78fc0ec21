//! Label and field selectors: which objects a list, a watch or a controller means.

use serde_json::Value;

/// A conjunction of requirements on labels; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    label: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl LabelSelector {
    /// Matches everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether this matches everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Matches the objects that carry all of `labels` (a map of strings, as in `matchLabels`).
    pub fn equal_to(labels: &Value) -> Self {
        let pairs = labels.as_object().into_iter().flatten();
        let equals = |(label, value): (&String, &Value)| Requirement {
            label: label.clone(),
            test: Test::In(vec![value.as_str().unwrap_or_default().to_owned()]),
        };
        Self(pairs.map(equals).collect())
    }

    /// Reads a `metav1.LabelSelector` (`matchLabels` and `matchExpressions`). An empty one matches
    /// everything, an absent one (null) nothing.
    pub fn from_object(selector: &Value) -> Option<Self> {
        selector.as_object()?;
        let mut all = Self::equal_to(&selector["matchLabels"]);
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let label = expression["key"].as_str()?.to_owned();
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            let test = match expression["operator"].as_str()? {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                _ => return None,
            };
            all.0.push(Requirement { label, test });
        }
        Some(all)
    }

    /// Reads the text form, such as `app=web,tier in (a, b),!old`. The error is a sentence about
    /// the first thing that does not fit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens::new(text);
        let mut all = Vec::new();
        while tokens.peek().is_some() {
            match tokens.peek() {
                Some(Token::Word(_) | Token::Operator("!")) | None => {}
                Some(token) => {
                    return Err(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        token.text()
                    ));
                }
            }
            let requirement = parse_requirement(&mut tokens);
            all.push(requirement.map_err(|problem| format!("unable to parse requirement: {problem}"))?);
            match tokens.next() {
                None => break,
                Some(Token::Comma) if tokens.peek().is_some() => {}
                Some(Token::Comma) => return Err("found '', expected: identifier after ','".into()),
                Some(token) => {
                    return Err(format!("found '{}', expected: ',' or 'end of string'", token.text()));
                }
            }
        }
        Ok(Self(all))
    }

    /// Whether an object's labels match.
    pub fn matches(&self, object: &Value) -> bool {
        self.matches_labels(&object["metadata"]["labels"])
    }

    /// Whether a map of labels matches.
    pub fn matches_labels(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels[&*requirement.label].as_str()))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Test::NotIn(values) => !value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Above(bound) => number().is_some_and(|number| number > *bound),
            Test::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Operator(&'static str),
    Comma,
    Open,
    Close,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Operator(operator) => operator,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
        }
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn peek(&mut self) -> Option<Token> {
        let rest = self.rest;
        let token = self.next();
        self.rest = rest;
        token
    }

    fn next(&mut self) -> Option<Token> {
        const SYMBOLS: [(&str, Token); 9] = [
            ("==", Token::Operator("==")),
            ("!=", Token::Operator("!=")),
            ("=", Token::Operator("=")),
            ("!", Token::Operator("!")),
            (">", Token::Operator(">")),
            ("<", Token::Operator("<")),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
        ];
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return None;
        }
        for (symbol, token) in SYMBOLS {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return Some(token);
            }
        }
        let ends_word = |c: char| c.is_whitespace() || "=!<>,()".contains(c);
        let end = self.rest.find(ends_word).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Token::Word(word.to_owned()))
    }
}

fn parse_requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    match tokens.next() {
        Some(Token::Operator("!")) => {
            let label = expect_label(tokens.next())?;
            Ok(Requirement { label, test: Test::Absent })
        }
        first => {
            let label = expect_label(first)?;
            let test = parse_test(tokens)?;
            Ok(Requirement { label, test })
        }
    }
}

fn expect_label(token: Option<Token>) -> Result<String, String> {
    match token {
        Some(Token::Word(word)) => check_label(&word).map(|()| word),
        Some(token) => Err(format!("found '{}', expected: identifier", token.text())),
        None => Err("found '', expected: identifier".into()),
    }
}

fn parse_test(tokens: &mut Tokens<'_>) -> Result<Test, String> {
    let Some(token) = tokens.peek() else { return Ok(Test::Exists) };
    if token == Token::Comma {
        return Ok(Test::Exists);
    }
    tokens.next();
    match token {
        Token::Operator("=" | "==") => Ok(Test::In(vec![parse_value(tokens)?])),
        Token::Operator("!=") => Ok(Test::NotIn(vec![parse_value(tokens)?])),
        Token::Operator(">") => parse_number(tokens).map(Test::Above),
        Token::Operator("<") => parse_number(tokens).map(Test::Below),
        Token::Word(word) if word == "in" => parse_values(tokens).map(Test::In),
        Token::Word(word) if word == "notin" => parse_values(tokens).map(Test::NotIn),
        token => Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", token.text())),
    }
}

fn parse_value(tokens: &mut Tokens<'_>) -> Result<String, String> {
    match tokens.peek() {
        None | Some(Token::Comma) => Ok(String::new()),
        Some(Token::Word(word)) => {
            tokens.next();
            check_value(&word).map(|()| word)
        }
        Some(token) => Err(format!("found '{}', expected: identifier", token.text())),
    }
}

fn parse_number(tokens: &mut Tokens<'_>) -> Result<i64, String> {
    let value = parse_value(tokens)?;
    let problem = "for 'Gt', 'Lt' operators, the value must be an integer";
    value.parse().map_err(|_| format!("values[0]: Invalid value: {value:?}: {problem}"))
}

fn parse_values(tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    match tokens.next() {
        Some(Token::Open) => {}
        token => return Err(format!("found '{}', expected: '('", token.as_ref().map_or("", Token::text))),
    }
    let mut values = Vec::new();
    loop {
        match tokens.next() {
            Some(Token::Close) => return Ok(values),
            Some(Token::Comma) => {}
            Some(Token::Word(word)) => {
                check_value(&word)?;
                values.push(word);
            }
            token => {
                let found = token.as_ref().map_or("", Token::text);
                return Err(format!("found '{found}', expected: ',', ')' or identifier"));
            }
        }
    }
}

/// Label keys are an optional DNS prefix and a name of at most 63 characters.
fn check_label(key: &str) -> Result<(), String> {
    let name = key.split_once('/').map_or(key, |(_, name)| name);
    if is_label_text(name) && !name.is_empty() && key.matches('/').count() <= 1 {
        return Ok(());
    }
    Err(format!(
        "key: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    ))
}

fn check_value(value: &str) -> Result<(), String> {
    if is_label_text(value) {
        return Ok(());
    }
    Err(format!(
        "values[0][key]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    ))
}

/// Whether a text may be a label's name or value: at most 63 of `[A-Za-z0-9_.-]`, ends alphanumeric.
pub fn is_label_text(text: &str) -> bool {
    let is_end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && is_end(text.chars().next())
        && is_end(text.chars().next_back())
}

/// A conjunction of equalities on fields, such as `metadata.name=web,status.phase!=Running`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldTest>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldTest {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Reads the text form. The error is a sentence about the first thing that does not fit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(parse_field_test).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this matches everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field paths it looks at.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|test| &*test.path)
    }

    /// The value a path must equal, when the selector says so.
    pub fn equals(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|test| test.path == path && test.equal).map(|test| &*test.value)
    }

    /// Whether an object matches; a field that is absent equals the empty text.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|test| (field_text(object, &test.path) == test.value) == test.equal)
    }
}

fn parse_field_test(part: &str) -> Result<FieldTest, String> {
    for (symbol, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((path, value)) = part.split_once(symbol) {
            return Ok(FieldTest { path: path.to_owned(), value: value.to_owned(), equal });
        }
    }
    Err(format!("invalid selector: '{part}'; can't understand '{part}'"))
}

fn field_text(object: &Value, path: &str) -> String {
    let field = path.split('.').fold(object, |value, segment| &value[segment]);
    match field {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
