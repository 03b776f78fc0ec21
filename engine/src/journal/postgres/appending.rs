//! Appending to a run in one transaction: its row is locked, which orders its writers, and carries the head of its chain.

use jiff::Timestamp;
use sqlx::Row as _;

use super::database::{Connection, Failed};
use super::rows::{number, position};
use crate::journal::{Body, Status, stored};

/// Positions and hashes of appended entries.
type Links = Vec<(u64, String)>;

/// Appends entries. When it is asked `again`, because the answer was lost, they may have been kept then.
pub(super) async fn append(
    connection: &mut Connection,
    run: &str,
    bodies: &[(Timestamp, Body)],
    texts: &[(String, String)],
    again: bool,
) -> Result<Links, Failed> {
    let head = head(connection, run).await?;
    match if again { kept(connection, run, texts).await? } else { None } {
        Some(links) => Ok(links),
        None => insert(connection, run, head, bodies, texts).await,
    }
}

/// Where a run's chain ends; holds its row.
async fn head(connection: &mut Connection, run: &str) -> Result<Option<(i64, String)>, Failed> {
    let row = sqlx::query_as("SELECT last, head FROM runs WHERE id = $1 FOR UPDATE")
        .bind(run)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The answer to an earlier question was lost: were these entries kept then?
async fn kept(
    connection: &mut Connection,
    run: &str,
    texts: &[(String, String)],
) -> Result<Option<Links>, Failed> {
    let Some((at, body)) = texts.first() else { return Ok(None) };
    let first: Option<i64> =
        sqlx::query_scalar("SELECT max(seq) FROM entries WHERE run = $1 AND at = $2 AND body = $3")
            .bind(run)
            .bind(at)
            .bind(body)
            .fetch_one(&mut *connection)
            .await?;
    let Some(first) = first else { return Ok(None) };
    let rows =
        sqlx::query("SELECT seq, hash FROM entries WHERE run = $1 AND seq >= $2 ORDER BY seq LIMIT $3")
            .bind(run)
            .bind(first)
            .bind(number(texts.len()))
            .fetch_all(connection)
            .await?;
    rows.iter()
        .map(|row| Ok((position(row.try_get(0)?), row.try_get(1)?)))
        .collect::<Result<_, Failed>>()
        .map(Some)
}

async fn insert(
    connection: &mut Connection,
    run: &str,
    head: Option<(i64, String)>,
    bodies: &[(Timestamp, Body)],
    texts: &[(String, String)],
) -> Result<Links, Failed> {
    let (last, hash) = head.unwrap_or_default();
    stored::begins_once(run, position(last), bodies)?;
    let entries = stored::linked(position(last), hash, texts);
    let (last, head) =
        entries.last().map(|entry| (number(entry.seq), entry.hash.as_str())).unwrap_or_default();
    if let Some((_, Body::Started(started))) = bodies.first() {
        sqlx::query("INSERT INTO runs VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)")
            .bind(run)
            .bind(&started.title)
            .bind(&started.runbook)
            .bind(&started.target)
            .bind(&started.person.0)
            .bind(Status::Running.word())
            .bind(&texts[0].0)
            .bind(last)
            .bind(head)
            .execute(&mut *connection)
            .await?;
    }
    let status = bodies.iter().rev().find_map(|(_, body)| Status::after(body)).map(Status::word);
    let updated = texts.last().map(|(at, _)| at);
    sqlx::query(
        "WITH kept AS (
           INSERT INTO entries
           SELECT $1, seq, at, body, hash
           FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) AS new (seq, at, body, hash))
         UPDATE runs SET last = $6, head = $7, status = coalesce($8, status),
           changed = CASE WHEN $10 THEN pg_current_xact_id() ELSE changed END,
           updated = CASE WHEN $8 IS NULL THEN updated ELSE $9 END
         WHERE id = $1",
    )
    .bind(run)
    .bind(entries.iter().map(|entry| number(entry.seq)).collect::<Vec<i64>>())
    .bind(entries.iter().map(|entry| entry.at.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.body.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.hash.as_str()).collect::<Vec<_>>())
    .bind(last)
    .bind(head)
    .bind(status)
    .bind(updated)
    .bind(bodies.iter().any(|(_, body)| Status::is_news(body)))
    .execute(connection)
    .await?;
    Ok(entries.into_iter().map(|entry| (entry.seq, entry.hash)).collect())
}
