//! The engine runs one runbook durably. It knows no cloud and no cluster, prints nothing, and takes the
//! clock, the dice and every client as parameters.
//!
//! ```text
//! runbook text -> Runbook -> Run -> Call -> Journal -> Event -> Report
//! ```
//!
//! - [`function`]: a host function described once, and the registry of all of them
//! - [`secret`]: secrets and the redactor
//! - [`codes`]: the error codes an operator can meet

pub mod clock;
pub mod codes;
pub mod error;
pub mod function;
pub mod run;
pub mod secret;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod units;

pub use error::{CallError, Code};
pub use secret::Secret;
pub use units::Period;
