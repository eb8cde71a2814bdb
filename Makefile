# Every tool and its version stands here, and nowhere else.
BUF           := v1.75.0
PROTOC_GEN_GO := v1.36.12
PROTOC_GEN_VT := v0.6.0
GOLANGCI_LINT := v2.15.0

TOOLS   := $(CURDIR)/.tools
buf     := $(TOOLS)/buf-$(BUF)/buf
gen_go  := $(TOOLS)/protoc-gen-go-$(PROTOC_GEN_GO)/protoc-gen-go
gen_vt  := $(TOOLS)/protoc-gen-go-vtproto-$(PROTOC_GEN_VT)/protoc-gen-go-vtproto
linter  := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT)/golangci-lint
servers := deploy/local/servers
# Two packages at a time: each may have servers of its own to feed.
go_test := go test -p 2 -timeout 20m

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

##@ Every day

.PHONY: help
help: ## Say what each target does.
	@awk '/^##@ /{print substr($$0, 5)} match($$0, /^[a-z-]+:.*## /){split($$0, part, ":"); \
		printf "  %-18s %s\n", part[1], substr($$0, RLENGTH + 1)}' Makefile

.PHONY: check
check: fmt-check lint generate-check test demo bench-short ## Everything CI asks of a change.

.PHONY: build
build: ## Build bin/aval.
	go build -trimpath -o bin/aval ./cmd/aval

.PHONY: demo
demo: build ## Build it and run the demonstration: needs Go alone.
	bin/aval demo || [ $$? -eq 3 ] # the sample has invalid rows, on purpose

.PHONY: test
test: unit race test-integration ## Every test, also over real Kafka and real Redis, which it fetches and starts.

.PHONY: fmt
fmt: $(linter) ## Rewrite files into the house format.
	$(linter) fmt

##@ Depth

.PHONY: unit
unit: ## Unit tests, the long ones with less: no network, nothing to install.
	$(go_test) -short ./...

.PHONY: race
race: ## The concurrent packages, under the race detector.
	@command -v "$$(go env CC)" >/dev/null || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends gcc libc6-dev; } >&2 || \
		{ echo "the race detector needs a C compiler: install gcc" >&2; exit 1; }
	$(go_test) -short -race ./pipeline/...

.PHONY: simulate
simulate: ## Worlds that fail in every way, from seeds: SEED=, and ROUNDS= or TIME=15s of them.
	go test -count 1 -v -timeout 0 -run TestNothingIsLostWhateverFails ./consumers/simulation \
		$(if $(SEED),-seed $(SEED)) $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(TIME),-for $(TIME))

.PHONY: mutants
mutants: ## Break it on purpose, in one line at a time, and say who notices (SEED=, NAMES="'one' 'another'").
	go run ./deploy/mutants $(if $(SEED),-seed $(SEED)) $(NAMES)

.PHONY: mutants-short
mutants-short: ## The same of three faults, chosen by a fresh seed.
	go run ./deploy/mutants -count 3 -rounds 100 -first

.PHONY: test-integration
test-integration: ## The same contracts, over the embedded servers and over real ones.
	$(servers) with --name test -- $(go_test) -tags integration ./...

##@ Measuring

.PHONY: bench
bench: build ## Measure it on real servers: every figure in one table, beside what it should be (SHORT=1: a few seconds).
	@$(servers) with --name bench -- sh -c 'bin/aval bench all $(if $(SHORT),--short --progress none --log-level warn) \
		--kafka "$$AVAL_TEST_KAFKA" --redis "$$AVAL_TEST_REDIS"'

.PHONY: bench-short
bench-short: ## The same in a short form: that nothing is lost and no figure is missing, whatever the speed.
	@$(MAKE) --no-print-directory bench SHORT=1

##@ Gates

.PHONY: fmt-check
fmt-check: $(linter) ## Say which files the house format would change.
	$(linter) fmt --diff

.PHONY: lint
lint: $(linter) ## Style, bugs, and who may import whom.
	$(linter) run ./...

.PHONY: generate
generate: $(buf) $(gen_go) $(gen_vt) ## Generate Go from the messages in schemas/.
	cd schemas && PATH="$(dir $(gen_go)):$(dir $(gen_vt)):$$PATH" $(buf) generate

.PHONY: generate-check
generate-check: $(buf) $(gen_go) $(gen_vt) ## Messages: style, no break with the commit before, generated code is current.
	cd schemas && $(buf) lint
	@if git rev-parse --quiet --verify HEAD~1:schemas/buf.yaml >/dev/null; then \
		cd schemas && set -x && $(buf) breaking --against '../.git#ref=HEAD~1,subdir=schemas'; \
	fi
	@rm -rf .cache/generated && mkdir -p .cache/generated
	cd schemas && PATH="$(dir $(gen_go)):$(dir $(gen_vt)):$$PATH" $(buf) generate -o ../.cache/generated
	@for file in $$(cd .cache/generated && find . -name '*.pb.go') $$(cd schemas && find . -name '*.pb.go'); do \
		diff -u "schemas/$$file" ".cache/generated/$$file" || { echo "schemas/ is not current: make generate"; exit 1; }; \
	done

##@ Running it

.PHONY: up
up: ## Start real Kafka and real Redis on this machine, and print their addresses.
	@$(servers) up

.PHONY: down
down: ## Stop them, and delete what they stored.
	@$(servers) down

.PHONY: clean
clean: ## Stop every local server; delete what was built and run. Fetched tools stay.
	@for run in .local/run/*/; do [ ! -d "$$run" ] || $(servers) down --name "$$(basename "$$run")"; done
	rm -rf bin .cache .local/run .local/failed

$(buf):
	GOBIN=$(@D) go install github.com/bufbuild/buf/cmd/buf@$(BUF)

$(gen_go):
	GOBIN=$(@D) go install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO)

$(gen_vt):
	GOBIN=$(@D) go install github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto@$(PROTOC_GEN_VT)

$(linter):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
