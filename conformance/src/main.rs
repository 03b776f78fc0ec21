//! `just conformance [DIR]`: replays recordings and tells how equal the sandbox is.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]

use std::path::PathBuf;
use std::process::ExitCode;

use aegis_conformance::{Recording, Scenario, Shown, differences, page, recordings, replay, table};
use anyhow::Context;
use clap::Parser;
use futures::StreamExt;

/// How many scenarios run side by side; each mostly waits.
const SIDE_BY_SIDE: usize = 3;

/// Replays recorded exchanges with a real Kubernetes API server against the sandbox.
#[derive(Parser)]
#[command(name = "conformance")]
struct Arguments {
    /// The directory of recordings.
    #[arg(default_value = "../shared/recordings")]
    directory: PathBuf,
    /// Only scenarios whose name contains this (again for several).
    #[arg(long, short)]
    scenario: Vec<String>,
    /// Show only this line, in full.
    #[arg(long)]
    seq: Option<u64>,
    /// Show only the table.
    #[arg(long)]
    summary: bool,
    /// Show equal lines as well.
    #[arg(long)]
    equal: bool,
    /// Also write the page of the reference here.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Fail when fewer than these per cent are equal, overall or (with 3 less) in one scenario.
    #[arg(long)]
    at_least: Option<f64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match told(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn told(arguments: &Arguments) -> anyhow::Result<()> {
    let recordings = chosen(arguments)?;
    let shown = Shown { summary: arguments.summary, seq: arguments.seq, equal: arguments.equal };
    let scenarios = run(recordings, &shown).await?;
    print!("{}", table(&scenarios));
    if let Some(path) = &arguments.page {
        std::fs::write(path, page(&scenarios))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    check(&scenarios, arguments.at_least)
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Vec<Recording>> {
    let mut recordings = recordings(&arguments.directory)?;
    if !arguments.scenario.is_empty() {
        recordings.retain(|recording| arguments.scenario.iter().any(|name| recording.name.contains(name)));
    }
    if let Some(seq) = arguments.seq {
        recordings.retain(|recording| recording.lines.iter().any(|line| line.seq == seq));
    }
    anyhow::ensure!(!recordings.is_empty(), "no recording in `{}` fits", arguments.directory.display());
    Ok(recordings)
}

/// Replays side by side; what differs in a scenario is printed when it is done and those before it are.
async fn run(recordings: Vec<Recording>, shown: &Shown) -> anyhow::Result<Vec<Scenario>> {
    let replays = recordings.into_iter().map(|recording| async move {
        let name = recording.name.clone();
        let task = tokio::spawn(async move { replay(&recording).await });
        task.await?.with_context(|| format!("`{name}` cannot be replayed"))
    });
    let mut scenarios = Vec::new();
    let mut done = futures::stream::iter(replays).buffered(SIDE_BY_SIDE);
    while let Some(scenario) = done.next().await {
        let scenario = scenario?;
        print!("{}", differences(&scenario, shown));
        eprintln!("{}: {} of {} equal", scenario.name, scenario.equal(), scenario.outcomes.len());
        scenarios.push(scenario);
    }
    Ok(scenarios)
}

fn check(scenarios: &[Scenario], at_least: Option<f64>) -> anyhow::Result<()> {
    let Some(least) = at_least else { return Ok(()) };
    let (equal, total) =
        scenarios.iter().fold((0, 0), |sum, one| (sum.0 + one.equal(), sum.1 + one.outcomes.len()));
    let percent = 100.0 * equal as f64 / total.max(1) as f64;
    anyhow::ensure!(percent >= least, "{percent:.1} % are equal, fewer than {least} %");
    for scenario in scenarios {
        let percent = scenario.percent();
        anyhow::ensure!(
            percent >= least - 3.0,
            "`{}`: {percent:.1} % are equal, fewer than {} %",
            scenario.name,
            least - 3.0
        );
    }
    Ok(())
}
