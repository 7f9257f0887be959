# lippycat: `make demo` shows it, `make test` checks everything that CI checks.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET)/release/lippycat
PREFIX ?= /usr/local
DEMO := $(TARGET)/demo
# What a throw-away machine with a systemd of its own needs, and what the package is checked with.
MACHINE := systemd iproute2 procps libcap2-bin logrotate man-db tcpreplay jq adduser init-system-helpers lintian

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

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
	packaging/install-build-deps $(MACHINE)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --quiet
	$(CARGO) build --locked
	packaging/lint $(TARGET)
	packaging/test-install $(TARGET)/debug/lippycat
	packaging/deb/build $(TARGET)/debug/lippycat $(TARGET) >$(TARGET)/package
	# A machine of its own mostly waits; meanwhile the tests are built.
	packaging/test-package "$$(<$(TARGET)/package)" >$(TARGET)/package.log 2>&1 & package=$$!; \
	    $(CARGO) test --locked --no-run </dev/null || status=$$?; wait $$package || status=$$?; \
	    cat $(TARGET)/package.log; exit $${status:-0}
	$(CARGO) test --locked --no-fail-fast </dev/null

# These take minutes and want a machine that does little else; nightly, and before a release.
.PHONY: test-machine
test-machine: deps ## as root: the operations document, in a machine with a systemd of its own, and 30,000 calls at once
	packaging/install-build-deps $(MACHINE) net-tools bc file prometheus sip-tester tcpdump
	$(CARGO) test --locked --test lippycat -- --ignored operations:: disk:: </dev/null

.PHONY: test-peers
test-peers: deps ## as root: sipp through a Kamailio, with the sniffer between them
	packaging/install-build-deps systemd iproute2 iputils-ping kamailio sip-tester tcpdump tshark
	$(CARGO) test --locked --test lippycat peers:: -- --ignored </dev/null

SOAK_MINUTES ?= 30
.PHONY: soak
soak: build ## as root: live traffic for SOAK_MINUTES (30): memory flat, nothing dropped
	packaging/install-build-deps systemd iproute2 tcpreplay jq
	packaging/soak $(BINARY) $(SOAK_MINUTES)

.PHONY: bench
bench: build ## CPU seconds as a ratio to tcpdump's (benches/README.md)
	benches/ratio.sh $(BINARY)

.PHONY: install
install: build ## into $(PREFIX): binary, man pages, completions, documents
	packaging/install $(BINARY) "$(DESTDIR)$(PREFIX)"

.PHONY: install-service
install-service: install ## and what makes a systemd service of it
	packaging/install-service "$(PREFIX)" "$(DESTDIR)"

# A tenth less CPU time for signalling; takes twenty minutes and rustup's llvm-tools.
.PHONY: release
release: deps ## the binary and a Debian package, built for the ways that traffic takes through it
	mkdir -p $(TARGET)
	packaging/release $(TARGET) >$(TARGET)/profiled-binary
	packaging/deb/build "$$(<$(TARGET)/profiled-binary)" $(TARGET)

.PHONY: deb
deb: build ## a Debian package, in $(TARGET)/debian
	packaging/deb/build $(BINARY) $(TARGET)

.PHONY: clean
clean: ## what was built
	$(CARGO) clean
