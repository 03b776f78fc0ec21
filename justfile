# The workshop: every task that people and CI do here.

# Lists the tasks.
default:
    @just --list

# Builds the platform on the embedded sandbox: the main job.
bootstrap *arguments:
    cargo run -p aegis -- run runbooks/bootstrap.rhai {{arguments}}

# Installs the third-party programs that tests talk to into .tools/.
tools:
    .ci/tools

# All tests; arguments select some.
test *arguments:
    scripts/test {{arguments}}

# What must hold before a change lands.
ci:
    .ci/run

# Format and lints.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- --deny warnings

# Licences, advisories, duplicate and abandoned crates.
deny:
    cargo deny check

# Writes docs/reference/ from the descriptions in the code.
reference:
    cargo run -q -p aegis -- docs --markdown docs/reference

# Requests nobody would write, against the sandbox; CI makes 20,000 of them.
fuzz inputs="1000000":
    AEGIS_FUZZ_INPUTS={{inputs}} cargo test --release -p aegis-sandbox --test fuzz -- --nocapture

# Several engines on one PostgreSQL, interrupted many times; CI does it nine times.
engines interruptions="1000":
    cargo build -p aegis
    AEGIS_INTERRUPTIONS={{interruptions}} AEGIS_OUTAGE=60 cargo test -p aegis-tests --test engines -- --nocapture --test-threads 1

# Speed against this machine's own floor.
bench *arguments:
    cargo build --release -p aegis -p aegis-benches
    target/release/aegis-benches {{arguments}}

# The binary people install.
release:
    cargo build --release -p aegis

# How equal the sandbox is to recordings of a real API server: `just conformance [DIR] [--scenario NAME] [--seq N] [--summary] [--page FILE]`.
conformance *arguments:
    cargo run -q -p aegis-conformance -- {{arguments}}
