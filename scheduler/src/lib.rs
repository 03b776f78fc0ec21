//! When runbooks run by themselves. Exactly one record for every scheduled instant: its run, or why there is none.
//!
//! ```text
//! schedules.toml, headers -> Schedule -> instants -> decide -> Record (durable) -> Order -> a run
//!                            windows, freezes --^                  ^--- the store
//! ```
//!
//! - [`expression`]: what may stand for "when", read on the clock on the wall
//! - [`zone`], [`instants`]: from the clock on the wall to instants, by the declared daylight saving policy
//! - [`schedule`]: a schedule and its policies; [`calendar`]: maintenance windows and freezes
//! - [`reading`]: `schedules.toml` and headers, with everything that is wrong about them
//! - [`decide`]: pure: what happens to each instant that is due
//! - [`trigger`]: what starts runs beside the clock; its events are decided and recorded as instants are
//! - [`record`]: what is kept of an instant; [`store`]: where, as a trait with SQLite behind it
//! - [`queue`]: pure: whose turn it is, where runs wait for room
//! - [`keeper`]: schedules, their standing and the heap of what is due next; [`service`]: the loop over it
//! - [`explain`]: the next instants, and the days on which the clocks change
//!
//! It knows no target and starts no run itself: [`service::Launcher`] does, which the command line provides. Nothing
//! here reads the clock of the machine; [`aegis_engine::clock::Clock`] comes in.

pub mod calendar;
pub mod decide;
pub mod explain;
pub mod expression;
pub mod instants;
pub mod keeper;
pub mod queue;
pub mod reading;
pub mod record;
pub mod schedule;
pub mod service;
pub mod store;
pub mod trigger;
mod wall;
pub mod zone;

pub use calendar::{Gates, Refusal, Subject};
pub use expression::Expression;
pub use instants::{Due, Kind};
pub use keeper::{Keeper, Order};
pub use reading::Plan;
pub use record::{Outcome, Record, Why};
pub use schedule::{Doubled, Missed, Overlap, Policy, Schedule, Skipped};
pub use trigger::Trigger;
