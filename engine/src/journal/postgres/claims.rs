//! The right to execute a run: a row with a token that grows and a time at which it ends. Every entry that is written
//! under it renews it, and one task renews all of an engine's claims at once for runs that write nothing for a while.
//!
//! An engine believes in its claim for three quarters of that time, counted from before it asked; the last quarter is
//! for letting go of what is under way before somebody else may begin.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::database::{Connection, Database, Failed, Patience};
use crate::journal::{Claim, Fence, StoreError};

/// How the holder of a claim begins whose run an engine watches: the scheduler's queue looks for it, because such a run
/// may be taken by an engine while its claim holds.
const WATCHED: &str = "watched:";

/// The claims of one engine.
pub(super) struct Claims {
    /// Tells this engine's claims from those of others, and its first from its second.
    engine: u64,
    database: Database,
    held: Mutex<HashMap<String, Fence>>,
    /// Its thread ends when this does.
    renewing: OnceLock<Mutex<Sender<()>>>,
}

/// Until when a claim that was asked for now certainly holds.
pub(super) fn certain(takeover_after: Duration) -> Instant {
    Instant::now() + takeover_after * 3 / 4
}

impl Claims {
    /// None yet.
    pub(super) fn new(database: &Database) -> Arc<Self> {
        let (engine, database) = (rand::random(), database.clone());
        Arc::new(Self { engine, database, held: Mutex::default(), renewing: OnceLock::new() })
    }

    /// From the first claim on, one thread renews them as long as somebody uses them.
    fn keep_renewing(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.renewing.get().is_some() {
            return Ok(());
        }
        let (until_dropped, gone) = mpsc::channel();
        if self.renewing.set(Mutex::new(until_dropped)).is_ok() {
            let claims = Arc::downgrade(self);
            std::thread::Builder::new()
                .name("claims".to_owned())
                .spawn(move || renew_all(&claims, &gone))
                .map_err(|error| self.database.unusable(&error.to_string()))?;
        }
        Ok(())
    }

    /// Takes the claim of a run, if nobody has it.
    pub(super) fn take(self: &Arc<Self>, run: &str) -> Result<Option<Box<dyn Claim>>, StoreError> {
        self.keep_renewing()?;
        let length = self.database.takeover_after();
        let prefix = if self.database.is_watched() { WATCHED } else { "" };
        let holder = format!("{prefix}{:x}/{:x}", self.engine, rand::random::<u64>());
        let until = certain(length);
        let token: Option<i64> = self.database.ask(&Patience::Short, async |connection, _| {
            // Asked again, it may be ours already.
            let token = sqlx::query_scalar(
                "INSERT INTO claims AS mine VALUES ($1, 1, $2, clock_timestamp() + make_interval(secs => $3))
                 ON CONFLICT (run) DO UPDATE SET holder = excluded.holder, expires = excluded.expires,
                   token = CASE WHEN mine.holder = excluded.holder THEN mine.token ELSE mine.token + 1 END
                 WHERE mine.expires <= clock_timestamp() OR mine.holder = excluded.holder
                 RETURNING token",
            )
            .bind(run)
            .bind(&holder)
            .bind(length.as_secs_f64())
            .fetch_optional(connection)
            .await?;
            Ok(token)
        })?;
        Ok(token.map(|token| {
            let fence = Fence::until(token, until);
            self.lock().insert(run.to_owned(), fence.clone());
            Box::new(Taken { run: run.to_owned(), fence, claims: Arc::clone(self) }) as Box<dyn Claim>
        }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Fence>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Taken {
    run: String,
    fence: Fence,
    claims: Arc<Claims>,
}

impl Claim for Taken {
    fn fence(&self) -> Fence {
        self.fence.clone()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.run);
        let (run, token) = (&self.run, self.fence.token());
        // One that cannot be given back runs out by itself.
        let _ = self.claims.database.ask(&Patience::None, async |connection, _| {
            sqlx::query("UPDATE claims SET expires = '-infinity' WHERE run = $1 AND token = $2")
                .bind(run)
                .bind(token)
                .execute(connection)
                .await?;
            Ok(())
        });
    }
}

/// Renews every claim of an engine, until the engine is gone.
fn renew_all(claims: &Weak<Claims>, gone: &Receiver<()>) {
    let Some(length) = claims.upgrade().map(|claims| claims.database.takeover_after()) else { return };
    while gone.recv_timeout(length / 6) == Err(RecvTimeoutError::Timeout) {
        let Some(claims) = claims.upgrade() else { return };
        let held = claims.lock().clone();
        if held.is_empty() {
            continue;
        }
        let until = certain(length);
        let asked = claims
            .database
            .ask(&Patience::None, async |connection, _| renew(connection, &held, length).await);
        // Without an answer they run out, and their runs stop.
        let Ok(renewed) = asked else { continue };
        for (run, fence) in &held {
            if renewed.contains(run) {
                fence.renew(until);
            } else {
                fence.lose();
            }
        }
    }
}

async fn renew(
    connection: &mut Connection,
    held: &HashMap<String, Fence>,
    length: Duration,
) -> Result<HashSet<String>, Failed> {
    let runs: Vec<&str> = held.keys().map(String::as_str).collect();
    let tokens: Vec<i64> = held.values().map(Fence::token).collect();
    let renewed: Vec<String> = sqlx::query_scalar(
        "UPDATE claims SET expires = clock_timestamp() + make_interval(secs => $3)
         FROM unnest($1::text[], $2::bigint[]) AS held (of, number)
         WHERE run = held.of AND token = held.number AND expires > '-infinity' RETURNING run",
    )
    .bind(runs)
    .bind(tokens)
    .bind(length.as_secs_f64())
    .fetch_all(connection)
    .await?;
    Ok(renewed.into_iter().collect())
}

/// Holds the claim's row until the entries are kept, and renews it: who takes it over comes before or after.
pub(super) async fn keep(
    connection: &mut Connection,
    run: &str,
    fence: &Fence,
    length: Duration,
) -> Result<(), Failed> {
    let kept = sqlx::query(
        "UPDATE claims SET expires = clock_timestamp() + make_interval(secs => $3) WHERE run = $1 AND token = $2",
    )
    .bind(run)
    .bind(fence.token())
    .bind(length.as_secs_f64())
    .execute(connection)
    .await?;
    if kept.rows_affected() == 0 {
        fence.lose();
        return Err(StoreError::ClaimLost(run.to_owned()).into());
    }
    Ok(())
}
