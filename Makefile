# Two commands: `make run` serves, `make test` checks everything. Both install what is missing first.

DATA ?= data
LISTEN ?= 127.0.0.1:9000
MEMORY ?= 1GiB

.PHONY: run test build bench compare costs costs-update setup-build setup-test lint deny docs unit black-box

run: build
	exec target/release/anode serve --data $(DATA) --listen $(LISTEN) --memory $(MEMORY)

build: setup-build
	cargo build --release --locked --package anode

bench: setup-build
	cargo build --release --locked --package anode --package anode-bench

# Every check that must pass before a change lands; .ci/run calls it.
test: setup-test
	$(MAKE) lint deny unit docs black-box

lint:
	cargo fmt --all -- --check
	cargo clippy --profile ci --locked --workspace --all-targets -- -D warnings

deny:
	# Its metadata wants the crates of every platform, also of those that nothing here builds for.
	cargo fetch --quiet --locked
	cargo deny --offline --workspace check bans licenses sources

unit:
	cargo test --profile ci --locked --workspace

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --profile ci --locked --workspace --no-deps --document-private-items

# What operations cost, counted in the simulation, against perf/costs.toml: docs/costs.md. It is part of `unit`.
costs:
	cargo test --profile ci --locked --workspace --test costs

costs-update:
	cargo test --profile ci --locked --workspace --test costs -- --update

black-box:
	cargo build --profile ci --locked --package anode --package anode-bench
	.tools/venv/bin/python -m pytest tests --numprocesses 2 --quiet

setup-build:
	@.ci/setup build

setup-test:
	@.ci/setup test

# Side by side with the limits of the machine (fio, nginx) and every other object store on the PATH, in turns; then the
# report, BENCHMARKS.md, which says what each figure means. Some minutes a round and server.
compare: bench
	target/release/bench-compare
	target/release/bench-report --add target/compare.jsonl
