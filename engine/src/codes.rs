//! Every code an operator can meet, in one list. `aegis explain CODE` prints the page; the same pages are
//! the error reference in `docs/errors/`.

use crate::error::Code;

/// A code with its title and its page (Markdown: what it means, how to fix it, usual causes).
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// One line.
    pub title: &'static str,
    /// The page.
    pub page: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(#[doc = $title] pub const $name: Code = Code($code);)*
        /// Every code, in order.
        pub const ALL: &[Explanation] = &[$(Explanation {
            code: $name,
            title: $title,
            page: include_str!(concat!("../../docs/errors/", $code, ".md")),
        }),*];
    };
}

codes! {
    SYNTAX = "A0001", "the script does not parse";
    HEADER = "A0002", "the runbook header is missing or wrong";
    PARAMETER = "A0003", "a parameter is missing, unknown or has a wrong value";
    IMPORT = "A0004", "an import cannot be resolved inside the project";
    FUNCTION = "A0005", "the script calls a function that does not exist";
    ARITY = "A0006", "a function is called with the wrong number of arguments";
    CAPTURE = "A0007", "the body of a step changes a variable outside of it";
    VARIABLE = "A0008", "the script uses a variable that does not exist";
    LIMIT = "A0009", "the script went over a limit";
    RESULT = "A0010", "a value cannot be journaled";
    SCRIPT = "A0011", "the script failed by itself";
    SCHEDULE = "A0012", "a schedule is wrong or not known";
    ARGUMENT = "A0101", "a call got arguments it cannot use";
    CAPABILITY = "A0102", "the runbook did not declare a capability it uses";
    PROTECTED = "A0103", "the target is protected";
    HALTED = "A0104", "effects are halted";
    UNKNOWN = "A0105", "nobody can say whether an effect happened";
    TIMEOUT = "A0106", "a timeout ran out";
    CANCELLED = "A0107", "the run was cancelled";
    APPROVAL = "A0108", "an approval was rejected or ran out";
    LOCK = "A0109", "a lock is held by another run";
    DECLINED = "A0110", "a person stopped the run before an effect";
    UNDO = "A0111", "an effect could not be undone";
    WAITING = "A0112", "the run waits for a person";
    WINDOW = "A0113", "it may not run at this time";
    MISMATCH = "A0201", "the script does not match the journal";
    STATE = "A0202", "the state directory cannot be used";
    DISK_FULL = "A0203", "the disk with the state directory is full";
    CORRUPT = "A0204", "a journal record is damaged";
    FORMAT = "A0205", "the journal was written by a newer aegis";
    CLAIMED = "A0206", "another process is running this run";
    NO_RUN = "A0207", "there is no such run";
    NOT_POSSIBLE = "A0208", "the run is not in a state for that";
    CONFIG = "A0300", "the configuration cannot be used";
    TARGET = "A0301", "the target is not complete";
    UNREACHABLE = "A0302", "a server cannot be reached";
    UNAUTHENTICATED = "A0303", "a server does not accept the credentials";
    FORBIDDEN = "A0304", "the credentials do not allow that";
    TLS = "A0305", "a secure connection could not be made";
    NOT_FOUND = "A0306", "the thing asked for does not exist";
    CONFLICT = "A0307", "somebody else changed or owns it";
    INVALID = "A0308", "the server refuses the object";
    NOT_READY = "A0309", "a wait ran out before the condition held";
    API = "A0310", "the Kubernetes API answered with an error";
    DRAIN_BLOCKED = "A0311", "a node cannot be drained";
    NO_TARGET = "A0312", "there is no such target";
    TOOL_MISSING = "A0401", "a tool is not installed";
    TOOL_VERSION = "A0402", "a tool is too old";
    HELM = "A0403", "helm failed";
    RELEASE_PENDING = "A0404", "a Helm release was left half done";
    COMMAND = "A0405", "a command failed";
    STORAGE = "A0501", "object storage answered with an error";
    CHECKSUM = "A0502", "stored bytes are not the bytes that were sent";
    NOTIFY = "A0601", "a notification was not accepted";
    HTTP = "A0602", "an HTTP request failed";
    CHECKS = "A0701", "checks failed";
    SANDBOX = "A0801", "the sandbox cannot do that";
    DEFECT = "A0901", "aegis itself broke off";
}

/// The page of a code, in any spelling of its letter (`a0101`).
#[must_use]
pub fn explain(code: &str) -> Option<&'static Explanation> {
    ALL.iter().find(|entry| entry.code.0.eq_ignore_ascii_case(code.trim()))
}
