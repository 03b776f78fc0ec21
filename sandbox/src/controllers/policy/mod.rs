//! Policy: budgets, quotas and autoscaling.

pub mod autoscaler;
pub mod disruption;
pub mod quota;
