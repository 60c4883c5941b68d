.DEFAULT_GOAL := help

GO ?= go
PYTHON ?= python3

# `sam build` sets it; the default is .build/<LogicalId>.
ARTIFACTS_DIR ?= .build/$(@:build-%=%)
# GOARCH counts on the command line only: in the environment it is about other
# programs, and the functions in the template are arm64.
ARCHITECTURE = $(if $(filter command,$(origin GOARCH)),$(GOARCH),arm64)
FUZZTIME ?= 10s
HISTORIES ?= 10000
SEEDS ?= 200
VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo dev)

# A venv with system packages may lack the cfn-lint script, so it runs as a module.
CFN_LINT = .venv/bin/python -c 'import sys; from cfnlint.runner import main; sys.exit(main())'
TOOL = $(GO) tool -modfile=tools/linters/go.mod

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[A-Za-z-]+:.*## / {printf "  %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: venv ## Run the whole product on this machine for a minute (KEEP=1 keeps it running)
	@$(GO) run ./cmd/demo

# testreport runs go test, and counts the skipped tests and why. In `make test` a
# test that needs Python fails without it. The timeout only ends what would hang.
TEST = REQUIRE_PYTHON=true $(GO) run ./tools/testreport -timeout 60m

.PHONY: test
test: venv ## Run all tests, with few random histories (about 6 minutes)
	@$(TEST) ./...

.PHONY: test-short
test-short: ## Run the fast tests, without the real binaries and without Python if there is none
	@$(GO) run ./tools/testreport -short ./...

.PHONY: test-random
test-random: ## Play every case of crashes and overlaps, and many random histories (HISTORIES=10000)
	@$(TEST) ./test/reliability -run 'NoCrashNoFaultAndNoOverlap|RandomHistories|OverlappingPollers|RandomYears' -every 1 \
		-histories $(HISTORIES) -overlaps $$(($(HISTORIES) / 2)) -years $$(($(HISTORIES) / 50))

.PHONY: rules
rules: ## Compare the rules with rules.py on fresh random histories (SEEDS=200)
	@$(TEST) ./test/rules -run FreshHistories -seeds $(SEEDS)

.PHONY: test-year
test-year: ## Watch a year of runs, and compare its events with rules.py (2 minutes)
	@$(TEST) ./test/rules -run WeeksOfRuns -weeks 52

.PHONY: fuzz
fuzz: ## Fuzz the parsers and renderers (FUZZTIME=10s or 1000x each)
	@for package in $$($(GO) list ./internal/...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test $$package -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) || exit 1; \
		done; \
	done

.PHONY: test-long
test-long: fuzz venv ## Fuzz, and run ten times the random histories and a longer outage (an hour)
	@$(MAKE) test-random HISTORIES=100000
	@$(TEST) ./test/reliability -run 'RealBinaries/(poller|Slack)/(one_denied|a_backlog)' -outage-events 500

.PHONY: lint
lint: venv ## Check formatting, code and template
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@echo cfn-lint template.yaml docs/examples
	@$(CFN_LINT) template.yaml docs/examples/*.yaml

.PHONY: vulncheck
vulncheck: ## Check what the functions call for known vulnerabilities
	@out=$$($(TOOL) govulncheck ./functions/... 2>&1); code=$$?; echo "$$out"; \
	case "$$out" in *"fetching vulnerabilities"*) echo "The vulnerability database is not reachable: nothing was checked.";; esac; \
	exit $$code

.PHONY: sbom
sbom: build ## Write the functions' software bills of materials (CycloneDX) to .build
	$(TOOL) cyclonedx-gomod bin -std -json -noserial -notimestamp -version "$(VERSION)" -output .build/poller.cdx.json .build/PollerFunction/bootstrap
	$(TOOL) cyclonedx-gomod bin -std -json -noserial -notimestamp -version "$(VERSION)" -output .build/notifier.cdx.json .build/NotifierFunction/bootstrap

.PHONY: fmt
fmt: ## Format the code
	$(GO) fmt ./...

.PHONY: golden
golden: venv ## Update the golden files from the current output
	$(GO) test ./internal/event ./test/rules -update
	$(GO) test ./internal/message ./internal/slack ./internal/email ./test/template ./cmd/idmapping -update

.PHONY: check-messages
check-messages: tools/check-messages/node_modules/.package-lock.json ## Check the golden messages with npm's Slack types and HTML checks (needs Node 20)
	@node tools/check-messages/email.mjs; code=$$?; node tools/check-messages/slack.mjs && exit $$code

tools/check-messages/node_modules/.package-lock.json: tools/check-messages/package-lock.json
	@echo "Installing the checks of tools/check-messages from npm"
	@npm ci --prefix tools/check-messages --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

.PHONY: pictures
pictures: ## Update the pictures in docs (needs chromium)
	@$(GO) run ./tools/pictures

.PHONY: bench
bench: venv ## Measure the figures of the design and fail if one does not hold (BASELINE=dir compares, ONLY=starts selects)
	@$(GO) run ./tools/bench $(if $(BASELINE),-baseline "$(BASELINE)") $(if $(ONLY),-only "$(ONLY)")

.PHONY: cost
cost: venv ## Print what a deployed stack costs per month (WRITE=1 updates the README)
	@$(GO) run ./tools/cost $(if $(WRITE),-write)

.PHONY: mutation
mutation: venv ## Run mutation tests on the deciding packages (PACKAGES="internal/jobs ..." for some)
	@$(GO) run ./tools/mutation $(PACKAGES)

.PHONY: build
build: build-PollerFunction build-NotifierFunction ## Build both functions for Lambda in .build

.PHONY: build-PollerFunction
build-PollerFunction: ## Build the poller in ARTIFACTS_DIR (GOARCH=amd64 for x86)
	$(call bootstrap,./functions/poller)

.PHONY: build-NotifierFunction
build-NotifierFunction: ## Build the notifier in ARTIFACTS_DIR (GOARCH=amd64 for x86)
	$(call bootstrap,./functions/notifier)

# lambda.norpc leaves out net/rpc, which only the retired go1.x runtime needs,
# and with it a third of the binary.
define bootstrap
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCHITECTURE) $(GO) build -trimpath -buildvcs=false -tags lambda.norpc \
		-ldflags "-s -w -buildid= -X main.version=$(VERSION)" -o "$(ARTIFACTS_DIR)/bootstrap" $(1)
endef

.PHONY: release
release: sbom ## Write a release to .build/release: zips, template, bills of materials, checksums
	@$(GO) run ./tools/release -version "$(VERSION)"

.PHONY: deploy
deploy: ## Build and deploy with AWS SAM, asking for each parameter
	@command -v sam >/dev/null || { echo 'deploy: the AWS SAM CLI is not installed: see "Deploy" in README.md'; exit 1; }
	@rm -rf .aws-sam/build
	sam build
	@for function in PollerFunction NotifierFunction; do \
		test -x .aws-sam/build/$$function/bootstrap || { echo "deploy: sam build left no bootstrap of $$function: nothing is deployed"; exit 1; }; \
	done
	sam deploy --guided

.PHONY: smoke
smoke: ## Check a deployed stack, with a test message (STACK=name, else the saved one)
	@STACK="$(STACK)" $(GO) run ./cmd/idmapping doctor --canary

.PHONY: canary
canary: ## Send a test message through a deployed stack and wait for its delivery (STACK=name, else the saved one)
	@STACK="$(STACK)" $(GO) run ./cmd/idmapping canary

.PHONY: idmapping
idmapping: ## Build the command line tool in .build/idmapping
	@$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o .build/idmapping ./cmd/idmapping
	@echo "built .build/idmapping: try .build/idmapping --help, or install it with go install ./cmd/idmapping"

.PHONY: venv
venv: .venv/.installed ## Install the tests' and the demo's Python packages in .venv

.venv/.installed: requirements.txt
	@echo "Installing moto, cfn-lint and the SAM translator into .venv (once)"
	@$(PYTHON) -m venv --system-site-packages .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.PHONY: clean
clean: ## Remove build output, the venv and the npm packages
	rm -rf .build .aws-sam .venv tools/check-messages/node_modules
