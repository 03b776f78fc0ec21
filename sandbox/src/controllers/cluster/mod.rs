//! The cluster itself: namespaces and what is in each, ownership, aggregated APIs, old events.

pub mod api_service;
pub mod event_expiry;
pub mod garbage;
pub mod namespace;
pub mod root_ca;
pub mod service_account;
