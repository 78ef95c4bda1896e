# Two commands do all the set-up on a fresh machine: `make run` and `make test`.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2

.PHONY: run test lint format docs bench bench-kafka librdkafka fuzz crash clean lock debian kafka-tools kafka-tools-offered \
  clients clients-quick client-java client-go client-node client-rust test-clients compatibility \
  diff-kafka mutate coverage

run: $(VENV)/.server
	$(BIN)/streambus dev

# Everything that CI runs.
test: $(VENV)/.dev debian kafka-tools-offered clients-quick lint
	$(PYTEST) -q -n $(WORKERS) --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy streambus app
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The tables of docs/ that are made of the code.
docs: $(VENV)/.dev
	$(BIN)/python -m tests.tidy.generated

# Broker CPU per request and per GB, so that no change slows the hot path unseen.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.hot_path

# The race against Apache Kafka, into docs/performance.md. It goes on where it was cut:
# `make bench-kafka RACE="--rounds 1 --only 1k-1,open-1"`; `RACE=--help` lists what it takes.
# `make bench-kafka RACE="--profile 1k-12"` shows where the time goes (Debian: linux-perf).
RACE ?=
bench-kafka: $(VENV)/.dev librdkafka
	$(BIN)/python -m benchmarks.race $(RACE)

# What the load generators are built with.
librdkafka:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  command -v cc >/dev/null && [ -e /usr/include/librdkafka/rdkafka.h ] || \
	    { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      librdkafka-dev gcc libc6-dev >/dev/null; }; \
	else echo "not root on Debian: the race needs a C compiler and the headers of librdkafka"; fi

# A million inputs for each door; `make fuzz SEED=7 INPUTS=100000` for another run.
INPUTS ?= 1000000
SEED ?= 1
LIVES ?= 300
REST_SECONDS ?= 3600
LIVE_SECONDS ?= 600
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz.records $(INPUTS) $(SEED)
	$(BIN)/python -m tests.fuzz.frames $(INPUTS) $(SEED)
	$(BIN)/python -m tests.fuzz.wal $(INPUTS) $(SEED)
	$(BIN)/python -m tests.fuzz.rest $(REST_SECONDS) $(SEED)
	$(BIN)/python -m tests.fuzz.live $(LIVE_SECONDS) $(SEED)
	$(BIN)/python -m tests.property.admission $(INPUTS) $(SEED)
	$(BIN)/python -m tests.sim.run $(LIVES) $(SEED)

# 300 kills with -9 over all profiles (30 of them run in `make test`).
ROUNDS ?= 300
crash: $(VENV)/.dev
	CRASH_ROUNDS=$(ROUNDS) $(PYTEST) -q tests/crash --timeout 3600

# Clients that we did not write, in their own languages (tests/clients/README.md), built into
# .cache/clients from versions and hashes that are committed beside their programs.
CLIENTS := .cache/clients
clients: $(VENV)/.dev debian client-java client-go client-node client-rust

client-java: $(CLIENTS)/java/classes/Speaker.class
client-go: $(CLIENTS)/go/speak
client-node: $(CLIENTS)/node/.fetched

# Those that build in seconds, where their toolchains are; the tests skip the others, and say so.
clients-quick:
	@MAKE="$(MAKE)" tests/clients/quick.sh

test-clients: clients
	$(PYTEST) -q -n $(WORKERS) --dist loadfile tests/clients

# Run them all, and write docs/compatibility.md from what came out.
compatibility: clients
	-CLIENTS_RUN=$(CLIENTS)/run.json $(PYTEST) -q -p no:xdist tests/clients \
	  --deselect tests/clients/test_compatibility_page.py
	$(BIN)/python -m tests.clients.compatibility $(CLIENTS)/run.json

$(CLIENTS)/java/.fetched: $(addprefix tests/clients/java/,pom.xml jars.sha256)
	rm -rf $(@D)
	mvn -q -B -Dstyle.color=never -f tests/clients/java/pom.xml \
	  -DoutputDirectory=$(CURDIR)/$(@D)/jars \
	  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
	touch $@

$(CLIENTS)/java/classes/Speaker.class: $(CLIENTS)/java/.fetched tests/clients/java/src/main/java/Speaker.java
	cd $(CLIENTS)/java/jars && sha256sum *.jar | diff $(CURDIR)/tests/clients/java/jars.sha256 -
	javac --release 11 -Xlint:all -d $(@D) -cp '$(CLIENTS)/java/jars/*' \
	  tests/clients/java/src/main/java/Speaker.java

GO := cd tests/clients/go && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly go
$(CLIENTS)/go/.fetched: $(addprefix tests/clients/go/,go.mod go.sum)
	mkdir -p $(@D)
	$(GO) mod download
	touch $@

$(CLIENTS)/go/speak: $(CLIENTS)/go/.fetched $(addprefix tests/clients/go/,main.go admin.go)
	$(GO) build -buildvcs=false -ldflags='-s -w' -o $(CURDIR)/$@ .

$(CLIENTS)/node/.fetched: $(addprefix tests/clients/node/,package.json package-lock.json .npmrc)
	mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

client-rust: $(CLIENTS)/rust/.assembled
	cargo build --quiet --locked --manifest-path $(CLIENTS)/rust/Cargo.toml \
	  --target-dir $(CLIENTS)/rust/target

# crates.lock is a Cargo.lock without the lines that say where crates come from. What stands in them
# is cargo's business: they are put back as it writes them here, and it checks the checksums below.
CRATES := tests/clients/rust
$(CLIENTS)/rust/.assembled: $(addprefix $(CRATES)/,Cargo.toml crates.lock) $(shell find $(CRATES)/src -type f)
	mkdir -p $(@D)
	rm -rf $(@D)/src $(@D)/Cargo.lock
	cp -r $(CRATES)/Cargo.toml $(CRATES)/src $(@D)
	cargo generate-lockfile --quiet --manifest-path $(@D)/Cargo.toml
	source="$$(grep -m1 '^source = ' $(@D)/Cargo.lock)" && \
	  awk -v source="$$source" '/^checksum = / { print source } { print }' $(CRATES)/crates.lock \
	  > $(@D)/Cargo.lock
	touch $@

# Every case to Apache Kafka 4.4 and to us (docs/differences.md); Kafka comes through Maven once, into
# .cache/kafka. `make diff-kafka CASES=fetch`, `make diff-kafka RANDOM=500 SEED=7`.
CASES ?=
RANDOM ?= 0
diff-kafka: $(VENV)/.dev
	$(BIN)/python -m tests.diff.run $(CASES) --random $(RANDOM) --seed $(SEED)

# A hundred lines of the cores, each changed a little in a copy of the tree: at least 90 must make a
# test fail (tests/mutation). `make mutate SEED=7 MUTANTS=20` for others.
MUTANTS ?= 100
mutate: $(VENV)/.dev
	$(BIN)/python -m tests.mutation.run $(MUTANTS) $(SEED)

# Which lines the tests reach, by package, and the floors (tests/tidy/floors.py). Kills, clients and
# fuzzers add minutes and no lines, so they are not run.
COVERED := $(addprefix tests/,unit golden transcripts property contract sim integration)
coverage: $(VENV)/.dev
	rm -rf .cache/coverage
	mkdir -p .cache/coverage
	$(BIN)/coverage run -m pytest -q -n $(WORKERS) --dist loadfile $(COVERED)
	$(BIN)/coverage combine --quiet
	$(BIN)/python -m tests.tidy.floors

clean:
	rm -rf $(VENV) build dist *.egg-info .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f streambus/protocol/_kernel*.so streambus/protocol/_kernel.c

# Versions and hashes of everything that is installed; no index addresses.
lock: $(VENV)/.uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header pyproject.toml requirements/build.in \
	  --extra server -o requirements/server.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header pyproject.toml requirements/build.in \
	  --extra server --extra dev -c requirements/server.txt -o requirements/dev.txt

# The virtual environment, with Debian's python3-venv where Python lacks it.
$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "StreamBus needs Python 3.11 or newer; say which: make PYTHON=python3.12 run"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "installing python3-venv"; apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/uv.txt
	touch $@

$(VENV)/.server: $(VENV)/.uv requirements/server.txt pyproject.toml setup.py
	$(UV) --require-hashes -r requirements/server.txt
	$(UV) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.server requirements/dev.txt
	$(UV) --require-hashes -r requirements/dev.txt
	touch $@

# Programs that tests drive and pip cannot install. Without root or Debian the tests that need
# them are skipped, and say so.
debian:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  command -v kcat >/dev/null && command -v strace >/dev/null && command -v cc >/dev/null || \
	    { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      kcat strace gcc libc6-dev >/dev/null; }; \
	else echo "not root on Debian: tests that need kcat, strace or a C compiler may be skipped"; fi

# Apache Kafka's own command-line tools, which tests drive: jars of fixed versions, whose bytes are
# checked. Needs a JDK and Maven (Debian: `apt-get install default-jre-headless maven`).
KAFKA_TOOLS := .cache/kafka-tools
kafka-tools: $(KAFKA_TOOLS)/.fetched
	cd $(KAFKA_TOOLS) && sha256sum --quiet --strict --check $(CURDIR)/tests/clients/kafka-tools.sha256
	test "$$(ls $(KAFKA_TOOLS)/*.jar | wc -l)" = "$$(wc -l < tests/clients/kafka-tools.sha256)"

$(KAFKA_TOOLS)/.fetched: tests/clients/kafka-tools.pom.xml tests/clients/kafka-tools.sha256
	rm -rf $(KAFKA_TOOLS)
	mvn -q -B -Dstyle.color=never -f tests/clients/kafka-tools.pom.xml \
	  -DoutputDirectory=$(CURDIR)/$(KAFKA_TOOLS) \
	  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
	touch $@

# Without Java, Maven or a network the tests that need the tools are skipped, and say so; tools of
# other bytes than ours are an error.
kafka-tools-offered:
	@if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then \
	  echo "no Java or Maven here: tests that need Kafka's own tools are skipped"; \
	elif ! $(MAKE) --no-print-directory $(KAFKA_TOOLS)/.fetched; then \
	  echo "Kafka's own tools cannot be fetched: tests that need them are skipped"; \
	else $(MAKE) --no-print-directory kafka-tools; fi
