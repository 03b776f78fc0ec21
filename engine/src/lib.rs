//! The engine runs one runbook durably. It knows no cloud and no cluster, prints nothing, and takes the
//! clock, the dice and every client as parameters.
//!
//! ```text
//! runbook text -> Runbook -> Run -> Call -> Journal -> Event -> Report
//! ```
//!
//! - [`function`]: a host function described once, and the registry of all of them
//! - [`secret`]: secrets and the redactor
//! - [`runbook`]: script and header, read and checked without running
//! - [`diagnostic`]: what is wrong with a script, with a caret
//! - [`codes`]: the error codes an operator can meet

pub mod clock;
pub mod codes;
pub mod diagnostic;
pub mod error;
pub mod function;
pub mod run;
pub mod runbook;
pub mod secret;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod units;

pub use error::{CallError, Code};
pub use secret::Secret;
pub use units::Period;
