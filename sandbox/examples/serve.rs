//! Serves a sandbox from a directory until interrupted, and prints how to reach it:
//! `cargo run -p aegis-sandbox --example serve -- DIRECTORY`.

use std::io::Write;

use aegis_sandbox::{Options, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: serve DIRECTORY")?;
    let started = std::time::Instant::now();
    let sandbox = Sandbox::join(&directory, Options::default())?;
    sandbox.ready().await?;
    let kubeconfig = std::path::Path::new(&directory).join("kubeconfig");
    std::fs::write(&kubeconfig, sandbox.kubeconfig())?;
    let mut out = std::io::stdout();
    writeln!(out, "{} after {:?}", sandbox.endpoint(), started.elapsed())?;
    writeln!(out, "export KUBECONFIG={}", kubeconfig.display())?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
