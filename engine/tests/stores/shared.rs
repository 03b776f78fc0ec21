//! Engines that share a database: claims that are taken over, servers that go and come back, tables of another version.

use std::time::{Duration, Instant};

use aegis_engine::journal::postgres::Database;
use aegis_engine::journal::{PostgresStore, Store, StoreError};
use aegis_engine::testing::postgres::opened;

use crate::promises::{at, cancel, resumed, started};
use crate::{database, server};

fn waited_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

fn store(database: &Database) -> PostgresStore {
    PostgresStore::open(database).unwrap()
}

#[test]
fn a_claim_is_renewed_as_long_as_its_engine_lives() {
    let server = server();
    let open = database(&server, "renewed", Duration::from_secs(2));
    let (one, two) = (store(&open()), store(&open()));
    let claim = one.claim("a").unwrap().unwrap();
    let began = Instant::now();
    waited_for("six seconds", || {
        assert!(two.claim("a").unwrap().is_none() && claim.fence().holds());
        began.elapsed() > Duration::from_secs(6)
    });
}

#[test]
fn what_a_lost_claim_appends_is_refused() {
    let server = server();
    let open = database(&server, "lost", Duration::from_secs(90));
    let (one, two) = (store(&open()), store(&open()));
    let claim = one.claim("a").unwrap().unwrap();
    one.write("a", &[(at(0), started("one"))], &claim.fence()).unwrap();
    server.execute("lost", "UPDATE aegis.claims SET expires = '-infinity'");
    let next = two.claim("a").unwrap().unwrap();
    assert!(next.fence().token() > claim.fence().token());
    let refused = one.write("a", &[(at(1), resumed())], &claim.fence()).unwrap_err();
    assert_eq!(refused, StoreError::ClaimLost("a".into()));
    assert!(!claim.fence().holds(), "and it knows");
    two.write("a", &[(at(1), resumed())], &next.fence()).unwrap();
    // Nor does it take or give back locks, which the next process of the run has.
    let minute = Duration::from_secs(60);
    let taken = one.acquire("db", "a", at(1), minute, Some(&claim.fence()));
    assert_eq!(taken.unwrap_err(), StoreError::ClaimLost("a".into()));
    two.acquire("db", "a", at(1), minute, Some(&next.fence())).unwrap().unwrap();
    assert!(one.release("db", "a", Some(&claim.fence())).is_err());
    assert_eq!(two.acquire("db", "b", at(1), minute, None).unwrap().unwrap_err().run, "a");
    // Giving back what was lost takes nothing from the new holder.
    drop(claim);
    assert!(one.claim("a").unwrap().is_none());
    assert_eq!(two.entries("a", 0).unwrap().len(), 2);
}

#[test]
fn a_claim_that_cannot_be_renewed_ends_by_itself_before_another_engine_may_have_it() {
    let server = server();
    let open = database(&server, "ended", Duration::from_secs(2));
    let one = store(&open());
    let claim = one.claim("a").unwrap().unwrap();
    server.stop();
    let fence = claim.fence();
    waited_for("the claim ends", || !fence.holds());
    server.go_on();
    assert!(matches!(
        one.write("a", &[(at(0), started("one"))], &fence),
        Ok(_) | Err(StoreError::ClaimLost(_))
    ));
}

#[test]
fn an_append_waits_for_a_server_that_comes_back() {
    let server = server();
    let open = database(&server, "back", Duration::from_secs(90));
    let one = store(&open());
    let claim = one.claim("a").unwrap().unwrap();
    one.write("a", &[(at(0), started("one"))], &claim.fence()).unwrap();
    let fence = claim.fence();
    server.stop();
    std::thread::scope(|scope| {
        let written = scope.spawn(|| one.write("a", &[(at(1), resumed()), (at(1), cancel("x"))], &fence));
        // Long enough for a person at a prompt, too short for a claim.
        assert!(matches!(one.entries("a", 0), Err(StoreError::Unreachable(..))));
        assert!(!written.is_finished());
        server.go_on();
        assert_eq!(written.join().unwrap().unwrap().len(), 2);
    });
    assert_eq!(one.entries("a", 0).unwrap().len(), 3, "once");
}

#[test]
fn a_server_that_is_not_there_is_told_without_the_password() {
    let nobody = opened("postgres://ada:hunter22@127.0.0.1:1/aegis", Duration::from_secs(90));
    let error = PostgresStore::open(&nobody).err().unwrap();
    assert_eq!(error.code().0, "A0302");
    assert_eq!(
        error.to_string(),
        "the database `127.0.0.1:1/aegis` cannot be reached: no connection within 3 s: connection refused"
    );
    assert!(!format!("{error:?} {:?}", error.hint()).contains("hunter22"));
}

#[test]
fn tables_of_a_newer_aegis_are_left_alone() {
    let server = server();
    let open = database(&server, "newer", Duration::from_secs(90));
    drop(store(&open()));
    server.execute("newer", "UPDATE aegis.versions SET version = 99");
    let error = PostgresStore::open(&open()).err().unwrap();
    assert_eq!(error.code().0, "A0205");
    assert!(error.to_string().ends_with("have version 99, this aegis knows up to 1"), "{error}");
}

#[test]
fn engines_that_open_a_new_database_together_make_its_tables_once() {
    let server = server();
    let open = database(&server, "together", Duration::from_secs(90));
    std::thread::scope(|scope| {
        let opening: Vec<_> =
            (0..6).map(|_| scope.spawn(|| PostgresStore::open(&open()).map(drop))).collect();
        for opened in opening {
            opened.join().unwrap().unwrap();
        }
    });
}
