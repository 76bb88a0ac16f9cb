# Everything here runs from a fresh clone on a machine with Rust and Debian's packages.

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What the tests start beside the exporter: the real Prometheus and its promtool.
APT_PACKAGES := prometheus
TOOLS := prometheus promtool

.PHONY: help test deps lint bench demo

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

demo: ## Run the exporter against a simulated API
	$(CARGO) run --release --locked -- demo
