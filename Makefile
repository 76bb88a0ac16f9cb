# Everything here runs from a fresh clone on a machine with Rust and Debian's packages.

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What the tests start beside the exporter: the real Prometheus and Alertmanager, and their tools.
APT_PACKAGES := prometheus prometheus-alertmanager
TOOLS := prometheus promtool prometheus-alertmanager amtool

# Many tests wait for servers more than they compute.
export RUST_TEST_THREADS ?= 8

.PHONY: help test deps lint bench demo detection

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

test: deps ## Install what the tests need, and run them all
	$(CARGO) test --locked

deps: ## Install the servers that the tests talk to (asks for root only if one is missing)
	@missing=; for tool in $(TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
		echo "installing for:$$missing"; \
		$(SUDO) apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qy --no-install-recommends $(APT_PACKAGES); \
	fi

lint: ## Check format and lints, warnings being errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

bench: ## Measure /metrics at 10,000 keys against its peer
	$(CARGO) bench --locked

detection: deps ## Measure from what happens to who is notified, with all durations as shipped (a quarter of an hour)
	MYUNISOFT_AS_SHIPPED=1 $(CARGO) test --locked --test it alerting:: -- --nocapture

demo: ## Run the exporter against a simulated API
	$(CARGO) run --release --locked -- demo
