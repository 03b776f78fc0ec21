//! Policy: budgets, quotas and autoscaling.

pub mod admission_status;
pub mod autoscaler;
pub mod disruption;
pub mod quota;
