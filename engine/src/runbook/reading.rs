//! Reads a runbook and everything it imports without running any of it: resolves literal imports inside the
//! project, parses every text, reads the header, and collects all that is wrong on the way.

use std::collections::BTreeMap;
use std::path::Path;

use rhai::{AST, ASTNode, Expr, Position, Scope, Stmt};

use super::sources::{candidates, is_embedded};
use super::{Header, PARAMS, Project, Runbook, Sources, compiler, header};
use crate::codes;
use crate::diagnostic::{Diagnostic, Problems, from_parse_error};
use crate::files::{WRITTEN, read_text};

/// What one pass over the texts found.
pub(super) struct Reading {
    pub(super) sources: Sources,
    pub(super) scripts: BTreeMap<String, AST>,
    pub(super) header: Option<Header>,
    pub(super) problems: Vec<Diagnostic>,
}

impl Reading {
    pub(super) fn of_file(path: &Path, embedded: &BTreeMap<String, String>) -> Self {
        let project = Project::of(path);
        let main = project.name_of(path);
        match read_text(path, WRITTEN) {
            Ok(text) => Self::of(&main, text, &Outside::Files { project: &project, embedded }),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                let problems = vec![Diagnostic::new(codes::IMPORT, message)];
                let sources = Sources::new(main, "");
                Self { sources, scripts: BTreeMap::new(), header: None, problems }
            }
        }
    }

    pub(super) fn of_sources(sources: Sources) -> Self {
        let main = sources.main().to_owned();
        let text = sources.text(&main).unwrap_or_default().to_owned();
        Self::of(&main, text, &Outside::Stored(sources))
    }

    fn of(main: &str, text: String, outside: &Outside<'_>) -> Self {
        let sources = Sources::new(main, text);
        let mut reading = Self { sources, scripts: BTreeMap::new(), header: None, problems: Vec::new() };
        reading.parse(main, &mut Vec::new(), outside);
        if let Some(script) = reading.scripts.get(main) {
            let (found, problems) = header::read(script, main, &reading.sources);
            reading.header = found;
            reading.problems.extend(problems);
        }
        reading
    }

    /// Parses a text, then what it imports. `open` are the texts whose imports are being followed.
    fn parse(&mut self, name: &str, open: &mut Vec<String>, outside: &Outside<'_>) {
        let text = self.sources.text(name).unwrap_or_default();
        let script = match compile(name, text) {
            Ok(script) => script,
            Err(error) => return self.problems.push(from_parse_error(&error, name, &self.sources)),
        };
        let imports = imports(&script);
        self.scripts.insert(name.to_owned(), script);
        open.push(name.to_owned());
        for (literal, position) in imports {
            let result =
                literal.ok_or_else(dynamic).and_then(|literal| self.follow(name, &literal, open, outside));
            if let Err(problem) = result {
                self.problems.push(problem.at(self.sources.place(name, position)));
            }
        }
        open.pop();
    }

    fn follow(
        &mut self,
        importer: &str,
        literal: &str,
        open: &mut Vec<String>,
        outside: &Outside<'_>,
    ) -> Result<(), Diagnostic> {
        let (name, text) = outside.find(importer, literal)?;
        if open.contains(&name) {
            let circle = format!("{} -> {name}", open.join(" -> "));
            return Err(Diagnostic::new(codes::IMPORT, format!("`{name}` imports itself"))
                .note(circle)
                .hint("move what both need into a third file".to_owned()));
        }
        if self.sources.text(&name).is_none() {
            self.sources.add(name.clone(), text);
            self.parse(&name, open, outside);
        }
        Ok(())
    }

    pub(super) fn into_runbook(self, path: &Path) -> Result<Runbook, Problems> {
        match self.header {
            Some(header) if self.problems.is_empty() => {
                Ok(Runbook { path: path.to_owned(), header, sources: self.sources, scripts: self.scripts })
            }
            _ => Err(Problems { diagnostics: self.problems, sources: self.sources }),
        }
    }
}

/// Parses one text, leniently about variables: `check` knows more about them.
pub(super) fn compile(name: &str, text: &str) -> Result<AST, rhai::ParseError> {
    let mut scope = Scope::new();
    scope.push_constant(PARAMS, ());
    let mut script = compiler().compile_with_scope(&scope, text)?;
    script.set_source(name);
    Ok(script)
}

/// Every `import`, with its literal when it is one.
fn imports(script: &AST) -> Vec<(Option<String>, Position)> {
    let mut found = Vec::new();
    script.walk(&mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last() {
            let literal = match &import.0 {
                Expr::StringConstant(text, _) => Some(text.to_string()),
                _ => None,
            };
            found.push((literal, import.0.position()));
        }
        true
    });
    found.dedup_by_key(|(_, position)| *position);
    found
}

fn dynamic() -> Diagnostic {
    Diagnostic::new(codes::IMPORT, "an import must name its file literally").hint(
        "write `import \"nodes\" as nodes;`, so that a run knows all its code before it starts".to_owned(),
    )
}

/// Where imported texts come from.
enum Outside<'a> {
    /// A project on disk and the libraries inside the binary.
    Files { project: &'a Project, embedded: &'a BTreeMap<String, String> },
    /// Texts that were stored earlier.
    Stored(Sources),
}

impl Outside<'_> {
    /// The name and text of an import.
    fn find(&self, importer: &str, literal: &str) -> Result<(String, String), Diagnostic> {
        let names = candidates(importer, literal);
        if names.is_empty() {
            return Err(outside_of_project(literal));
        }
        for name in &names {
            if let Some(text) = self.text(name, literal)? {
                return Ok((name.clone(), text));
            }
        }
        Err(self.not_found(literal, &names))
    }

    fn text(&self, name: &str, literal: &str) -> Result<Option<String>, Diagnostic> {
        match self {
            Self::Stored(sources) => Ok(sources.text(name).map(str::to_owned)),
            Self::Files { embedded, .. } if is_embedded(name) => Ok(embedded.get(name).cloned()),
            Self::Files { project, .. } => read_inside(project, name, literal),
        }
    }

    fn not_found(&self, literal: &str, names: &[String]) -> Diagnostic {
        let looked: Vec<&str> = names.iter().map(String::as_str).collect();
        let known = match self {
            Self::Files { embedded, .. } => embedded.keys().map(String::as_str).collect(),
            Self::Stored(_) => Vec::new(),
        };
        let hint = crate::text::did_you_mean(literal, known)
            .unwrap_or_else(|| format!("looked for {}", crate::text::list(&looked)));
        Diagnostic::new(codes::IMPORT, format!("there is no `{literal}` to import")).hint(hint)
    }
}

/// Reads a file of the project, unless a symbolic link leads out of it.
fn read_inside(project: &Project, name: &str, literal: &str) -> Result<Option<String>, Diagnostic> {
    let Ok(file) = project.root.join(name).canonicalize() else { return Ok(None) };
    if !file.starts_with(&project.root) {
        return Err(outside_of_project(literal));
    }
    read_text(&file, WRITTEN)
        .map(Some)
        .map_err(|error| Diagnostic::new(codes::IMPORT, format!("cannot read `{name}`: {error}")))
}

fn outside_of_project(literal: &str) -> Diagnostic {
    Diagnostic::new(codes::IMPORT, format!("`{literal}` is outside of the project")).hint(
        "imports come from the runbook's own folder, the project's `lib/`, or the embedded `std/`; \
         copy the file into `lib/`"
            .to_owned(),
    )
}
