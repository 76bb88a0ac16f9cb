# Every target works in a fresh clone, on a Debian machine with Rust.

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# The programs that the tests start:
# - Prometheus and Alertmanager with their tools;
# - blackbox_exporter, which reads the same web configuration file format as this exporter;
# - a browser and its driver;
# - curl, a client that speaks HTTP/2;
# - faketime, mount and util-linux, which set the clock, the disk or the limits of a single process;
# - Python, which checks the dashboards with Grafana's own schema;
# - dpkg, lintian, rpm and systemd, which check the packages.
APT_PACKAGES := prometheus prometheus-alertmanager prometheus-blackbox-exporter chromium chromium-driver curl \
	faketime mount util-linux python3 python3-venv binutils dpkg-dev lintian man-db rpm systemd
VENV := target/venv

# The texts that cargo-about finds can change from one version to the next. A fixed version keeps THIRD-PARTY-NOTICES.md
# the same on every machine.
CARGO_ABOUT_VERSION := 0.9.3
CARGO_DEB_VERSION := 3.8.0
CARGO_GENERATE_RPM_VERSION := 0.21.1
# Where cargo puts the binary, and where `make deb` and `make rpm` put the packages.
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release/myunisoft-exporter
PACKAGES := target/packages

# Many tests spend more time waiting for servers than computing, so more threads than cores are useful.
export RUST_TEST_THREADS ?= 8

.PHONY: help test deps servers lint assets bench cargo-about check-notices deb demo deny detection fuzz kills mutants notices packages \
	packagers rpm screenshots soak

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

test: deps ## Install what the tests need, and run all tests
	$(CARGO) test --locked --workspace
	$(CARGO) test --locked --test system
	$(MAKE) packages

packages: deps packagers ## Test everything that installs the exporter
	$(CARGO) test --locked --test packages

deps: servers $(VENV)/installed ## Install what the tests need (asks for root only if Debian packages are missing)

servers:
	@missing=; for tool in prometheus promtool prometheus-alertmanager amtool prometheus-blackbox-exporter chromium \
		chromedriver curl faketime mount unshare nsenter setpriv prlimit python3 strip dpkg-shlibdeps lintian man rpm systemd-analyze; do \
		command -v $$tool >/dev/null || missing="$$missing $$tool"; \
	done; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
		echo "installing for:$$missing"; \
		$(SUDO) apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qy --no-install-recommends $(APT_PACKAGES); \
	fi

# The marker file is written last, so an interrupted installation starts again.
$(VENV)/installed: tests/requirements.txt | servers
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--requirement $<
	touch $@

lint: ## Check the format and the lints; a warning is an error
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --test system --test packages --test soak --test screenshots -- -D warnings

assets: ## Build the exporter, and write into target/assets what the packages need: stripped binary, completions, manual pages
	$(CARGO) build --release --locked
	deploy/packages/assets.sh $(RELEASE) target/assets

deb: assets packagers ## Build the Debian package in target/packages
	mkdir -p $(PACKAGES)
	$(CARGO) deb --locked --no-build --no-strip --output $(PACKAGES)/

rpm: assets packagers ## Build the RPM package in target/packages
	mkdir -p $(PACKAGES)
	$(CARGO) generate-rpm --output $(PACKAGES)/

packagers:
	@$(CARGO) deb --version 2>/dev/null | grep -qx '$(CARGO_DEB_VERSION)' || \
		$(CARGO) install --locked --version $(CARGO_DEB_VERSION) cargo-deb
	@$(CARGO) generate-rpm --version 2>/dev/null | grep -qx 'cargo-generate-rpm $(CARGO_GENERATE_RPM_VERSION)' || \
		$(CARGO) install --locked --version $(CARGO_GENERATE_RPM_VERSION) cargo-generate-rpm

bench: ## Measure /metrics with 10,000 keys, and compare it with the prometheus crate
	$(CARGO) bench --locked --bench fleet

detection: deps ## Measure the time from an event to its notification, with the shipped durations (15 minutes)
	MYUNISOFT_AS_SHIPPED=1 $(CARGO) test --locked --test system alerting:: -- --nocapture

deny: ## Check licences, sources and bans of all dependencies (installs cargo-deny if it is missing)
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check licenses bans sources

notices: cargo-about ## Write THIRD-PARTY-NOTICES.md, the licences in the binary (installs cargo-about if it is missing)
	$(CARGO) about generate --frozen --fail --output-file THIRD-PARTY-NOTICES.md about.hbs

check-notices: cargo-about ## Fail if THIRD-PARTY-NOTICES.md is out of date (installs cargo-about if it is missing)
	@fresh=$$(mktemp) && trap 'rm -f "$$fresh"' EXIT && \
	$(CARGO) about generate --frozen --fail --output-file "$$fresh" about.hbs && \
	if ! cmp -s THIRD-PARTY-NOTICES.md "$$fresh"; then \
		echo "THIRD-PARTY-NOTICES.md is out of date: run 'make notices' and commit the file" >&2; \
		exit 1; \
	fi

# cargo-about runs without network (--frozen), so the crates of all platforms must be on the disk first.
cargo-about:
	@$(CARGO) about --version 2>/dev/null | grep -qx 'cargo-about $(CARGO_ABOUT_VERSION)' || \
		$(CARGO) install --locked --version $(CARGO_ABOUT_VERSION) --features cli cargo-about
	@$(CARGO) fetch --locked

fuzz: ## Test every parser with 100,000 mutated inputs (15 minutes)
	PROPTEST_CASES=100000 $(CARGO) test --locked --release --lib fuzz_tests::

mutants: ## Change the rules about keys one place at a time; each change must fail a test (hours; installs cargo-mutants if it is missing)
	command -v cargo-mutants >/dev/null || $(CARGO) install --locked cargo-mutants
	$(CARGO) mutants

kills: ## Kill the exporter 200 times at random moments (five minutes)
	MYUNISOFT_KILLS=200 $(CARGO) test --locked --test system kills::

soak: ## Run for an hour (SOAK_SECONDS) under load and faults, and check that memory and other figures stay flat
	$(CARGO) test --locked --release --test soak

screenshots: deps ## Take the screenshots in docs/images: the demo, in a headless browser (two minutes)
	$(CARGO) test --locked --test screenshots

demo: ## Run the exporter against a simulated API
	$(CARGO) run --release --locked -- demo
