# lippycat: `make demo` shows it, `make test` checks everything that CI checks.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET)/release/lippycat
PREFIX ?= /usr/local
DEMO := $(TARGET)/demo

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: deps
deps: # what a build needs that cargo does not bring; silent when all is there
	@packaging/install-build-deps

.PHONY: build
build: deps ## the release binary
	$(CARGO) build --release --locked

.PHONY: demo
demo: build ## analyses a shipped capture: its calls, a ladder, a PCAP per call
	@packaging/demo $(BINARY) $(DEMO) </dev/null

# What is installed and packaged here is the program that the tests build: how the release is optimised would add a
# third of the time and nothing to what is checked.
.PHONY: test
test: deps ## everything that CI checks
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --quiet
	$(CARGO) build --locked
	packaging/lint $(TARGET)
	packaging/test-install $(TARGET)/debug/lippycat
	packaging/deb/build $(TARGET)/debug/lippycat $(TARGET)
	$(CARGO) test --locked --no-fail-fast </dev/null

.PHONY: bench
bench: build ## CPU seconds as a ratio to tcpdump's (benches/README.md)
	benches/ratio.sh $(BINARY)

.PHONY: install
install: build ## into $(PREFIX): binary, man pages, completions, documents
	packaging/install $(BINARY) "$(DESTDIR)$(PREFIX)"

.PHONY: install-service
install-service: install ## and what makes a systemd service of it
	packaging/install-service "$(PREFIX)" "$(DESTDIR)"

.PHONY: deb
deb: build ## a Debian package, in $(TARGET)/debian
	packaging/deb/build $(BINARY) $(TARGET)

.PHONY: clean
clean: ## what was built
	$(CARGO) clean
