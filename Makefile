# Everything the project does to itself, by one word each: make help.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
FUZZTIME ?= 1m
BENCH ?= .

# The modules that go.work joins.
ALL_MODULES := $(shell $(GO) work edit -json | sed -n 's/.*"DiskPath": "\(.*\)".*/\1/p')
# Those that are tested each time, and all their packages: in a workspace one go command takes them
# together. judges/clusters stands on etcd and NATS: make clusters.
MODULES := $(filter-out ./judges/clusters,$(ALL_MODULES))
PACKAGES := $(patsubst %,%/...,$(MODULES))
# The judges take root, the kernel and minutes; without them a test run is for any desk.
DESK := $(filter-out ./judges/...,$(PACKAGES))
JUDGES := $(filter ./judges/...,$(PACKAGES))

LINT_VERSION := v2.15.0
LINT := bin/golangci-lint-$(LINT_VERSION)

# What must build beside this machine: other kernels, and one where an int has 32 bits.
CROSS := darwin/arm64 windows/amd64 freebsd/amd64 linux/386

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: test
test: needs fmt-check policy rfc-check tidy-check lint cross unit sim-check race judges ## all that CI runs: every target below up to judges

.PHONY: needs
needs: ## install what the tests need beside Go and make (as root), or say what is missing
	@.ci/needs

.PHONY: fmt-check
fmt-check: ## is every file formatted?
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not formatted (make fmt):" $$bad >&2; exit 1; fi

.PHONY: policy
policy: ## the laws of the tree: imports, purity, the funnel, lengths, modules
	$(GO) test -count=1 . ./internal/policy

.PHONY: rfc-check
rfc-check: ## has each requirement of RFC 9293 its code and its test, or a debt?
	$(GO) run ./internal/requirements -check

# By itself each module must say what it needs: go.work joins them here and nowhere else.
.PHONY: tidy-check
tidy-check: ## does each go.mod say what its module needs, without go.work?
	@for m in $(ALL_MODULES); do echo "go mod tidy $$m"; (cd $$m && GOWORK=off $(GO) mod tidy -diff); done

.PHONY: lint
lint: $(LINT) ## golangci-lint in every module
	@for m in $(MODULES); do echo "golangci-lint $$m"; (cd $$m && "$(CURDIR)/$(LINT)" run --allow-parallel-runners --config "$(CURDIR)/.golangci.yml" ./...); done

# Built once, in about a minute; the version is in the name, so a new one is built anew.
$(LINT):
	GOBIN="$(CURDIR)/bin" GOWORK=off $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv bin/golangci-lint $@

.PHONY: cross
cross: ## do library and command compile, tests too, for other systems?
	@for t in $(CROSS); do echo "go vet $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) vet $(filter ./... ./cmd/vitro/...,$(PACKAGES)); done

.PHONY: unit
unit: ## tests, fuzz seeds among them
	$(GO) test $(DESK)

.PHONY: race
race: ## the same under the race detector, but for what sim simulates longest
	$(GO) test -race -short -timeout 15m $(DESK)

.PHONY: judges
judges: ## the kernel and real programs as peers: as root, in network namespaces
	$(if $(JUDGES),$(GO) test -count=1 -timeout 15m $(JUDGES),@echo "no module judges in this tree")

# RACE=-race runs them under the race detector, and so the clusters below.
.PHONY: programs
programs: ## gRPC, QUIC, SSH, raft, Redis, Postgres, WebSocket, HTTP and RPC over lab, each with SEEDS (10) seeds
	$(GO) test $(RACE) -count=1 -timeout 60m ./judges/programs -args -seeds=$(or $(SEEDS),10)

# Not part of make test: to compile them takes a minute or two the first time, to run them half a
# minute. go vet is what lints them. VITRO_LINK=delay=5ms,loss=1% impairs the network.
.PHONY: clusters
clusters: ## three etcd for ten virtual minutes and three NATS servers for an hour, unmodified, by the overlay
	$(GO) build -o bin/vitro ./cmd/vitro
	$(GO) test $(RACE) -v -count=1 -timeout 10m -overlay "$$(bin/vitro overlay)" ./judges/clusters/...

# Not part of make test, as make clusters is not.
.PHONY: overlaid
overlaid: ## grpc-go, quic-go and go-redis, unmodified, over a bad link by the overlay: what they do with file descriptors
	$(GO) build -o bin/vitro ./cmd/vitro
	VITRO_LINK=delay=5ms,loss=1% $(GO) test -v -count=1 -timeout 10m -overlay "$$(bin/vitro overlay)" ./judges/overlaid

# RACE=-race runs them under the race detector; SUITES="net net/http" picks some.
.PHONY: go-tests
go-tests: ## Go's own tests of net, net/http, crypto/tls, ... over vitro, plain and impaired; RACE=-race, SUITES=packages
	$(GO) build -o bin/vitro ./cmd/vitro
	$(GO) run ./judges/gotests -overlay "$$(bin/vitro overlay)" $(RACE) $(SUITES)
	VITRO_LINK=delay=1ms,loss=1% $(GO) run ./judges/gotests -overlay "$$(bin/vitro overlay)" $(RACE) $(SUITES)

.PHONY: fuzz-seeds
fuzz-seeds: ## the seeds of every fuzz target, alone
	$(GO) test -run '^Fuzz' $(PACKAGES)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (1m); FUZZ=regexp picks some
	@$(GO) test -list '^Fuzz' $(PACKAGES) | awk '/^Fuzz/ { f[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, f[i]; n = 0 }' | \
	{ grep -E '$(or $(FUZZ),.)' || { echo "no fuzz target matches" >&2; exit 1; }; } | \
	while read -r package target; do \
		echo "$$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" < /dev/null; \
	done

.PHONY: sim-table
sim-table: ## write the golden table of simulated transfers anew (a minute)
	$(GO) test -count=1 -timeout 20m -run '^TestTable$$' ./sim -table=write

.PHONY: sim-check
sim-check: ## compare simulated transfers with their golden table, sim/testdata/table.txt
	$(GO) test -count=1 -timeout 20m -run '^TestTable$$' ./sim -table=check

.PHONY: lossless
lossless: ## a hundred GiB over links that lose nothing: is anything sent again?
	$(GO) test -v -count=1 -timeout 60m -run '^TestLossless$$' . -lossless 42
	$(GO) test -v -count=1 -timeout 60m -run '^TestLossless$$' ./sim -lossless 1500

.PHONY: bench
bench: ## benchmarks in memory beside the kernel's loopback, and over TUN (root); BENCH=regexp picks some
	@uname -srm; sed -n 's/^model name.*: //p' /proc/cpuinfo 2>/dev/null | sort | uniq -c || true; $(GO) version
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PACKAGES)
	@if [ "$$(id -u)" = 0 ] && [ -c /dev/net/tun ]; then $(GO) build -o bin/vitro ./cmd/vitro && \
		for mtu in 1500 9000 65535; do unshare --net bin/vitro bench --tun vitro0 --addr 10.1.0.2/24 --mtu $$mtu; done; \
	else echo "not root, or no /dev/net/tun: nothing is measured over a TUN"; fi

.PHONY: bench-peers
bench-peers: ## vitro, gVisor and the kernel side by side, in twenty minutes: bench/results.md, bench/results.json (as root all of it)
	$(GO) run ./bench -out bench $(PEERS)

.PHONY: cover
cover: ## which statements no test reaches: coverage.out, and the sum
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -func=coverage.out | tail -n 1

.PHONY: rfc
rfc: ## write RFC.md from the tags in the tree
	$(GO) run ./internal/requirements

.PHONY: build
build: ## bin/vitro, and everything else compiled
	$(GO) build $(PACKAGES)
	$(if $(filter ./cmd/vitro,$(MODULES)),$(GO) build -o bin/vitro ./cmd/vitro,@echo "no module cmd/vitro in this tree")

.PHONY: fmt
fmt: ## gofmt everything
	gofmt -l -w .

.PHONY: clean
clean: ## remove what was built
	rm -rf bin coverage.out
