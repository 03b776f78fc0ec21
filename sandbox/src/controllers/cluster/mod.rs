//! The cluster itself: namespaces and what is in each, ownership, roles and tokens, aggregated APIs, old events.

pub mod api_service;
pub mod event_expiry;
pub mod garbage;
pub mod namespace;
pub mod role_aggregation;
pub mod root_ca;
pub mod service_account;
pub mod token_secrets;
