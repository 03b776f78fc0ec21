//! What every store of journals keeps to. `promises` are the cases; each runs on SQLite and on a real PostgreSQL.
//! `shared` is about engines that share a database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod promises;
mod shared;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aegis_engine::journal::postgres::Database;
use aegis_engine::journal::{PostgresStore, SqliteStore, Store};
use aegis_engine::testing::PostgresServer;
use aegis_engine::testing::postgres::opened;

/// One promise over one store, opened as often as it likes: each time is another process.
type Promise = fn(&dyn Fn() -> Arc<dyn Store>);

fn on_sqlite(promise: Promise) {
    let directory = tempfile::tempdir().unwrap();
    promise(&|| Arc::new(SqliteStore::open(directory.path()).unwrap()));
}

fn on_postgres(name: &str, promise: Promise) {
    let url = server().create(name);
    promise(&|| Arc::new(PostgresStore::open(&opened(&url, Duration::from_secs(90))).unwrap()));
}

/// One server a test process.
fn server() -> Arc<PostgresServer> {
    static SERVER: OnceLock<std::sync::Mutex<std::sync::Weak<PostgresServer>>> = OnceLock::new();
    let known = SERVER.get_or_init(std::sync::Mutex::default);
    let mut known = known.lock().unwrap();
    let server = known.upgrade().unwrap_or_else(|| Arc::new(PostgresServer::start()));
    *known = Arc::downgrade(&server);
    server
}

/// A database of its own, for engines with a short patience.
fn database(server: &PostgresServer, name: &str, takeover_after: Duration) -> impl Fn() -> Database {
    let url = server.create(name);
    move || opened(&url, takeover_after)
}

macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::on_sqlite(super::promises::$name); })*
        }

        /// One after the other: the server is started once.
        #[test]
        fn postgres_keeps_every_promise() {
            let server = server();
            let all: &[(&str, Promise)] = &[$((stringify!($name), promises::$name)),*];
            for (name, promise) in all {
                println!("{name}");
                on_postgres(&name.chars().take(60).collect::<String>(), *promise);
            }
            drop(server);
        }
    };
}

promises! {
    what_is_appended_is_read_in_order_with_its_chain,
    a_run_begins_once,
    nothing_is_appended_to_a_run_that_never_began,
    decisions_are_found_behind_a_position,
    how_a_run_stands_is_known_without_reading_it,
    runs_are_listed_newest_first_with_their_status,
    texts_are_kept_under_their_hash,
    a_look_at_a_run_names_every_text_that_is_missing,
    a_claim_keeps_others_away_until_it_is_dropped,
    the_halt_is_seen_by_everybody,
    a_lease_is_held_by_one_run_and_its_token_grows,
    a_lease_that_ran_out_goes_to_the_next,
    appends_of_many_processes_are_one_chain,
    whatever_a_text_contains_comes_back,
}
