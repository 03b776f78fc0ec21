//! The product as a process: killed, resumed, planned through a counting server. Prints what it counted.

mod campaign;
mod documents;
mod process;
mod server;
