.DEFAULT_GOAL := help

GO ?= go
PYTHON ?= python3

# What `sam build` sets; by hand it is .build/<LogicalId>.
ARTIFACTS_DIR ?= .build/$(@:build-%=%)
GOARCH ?= arm64
FUZZTIME ?= 10s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Its command line script is in no venv that finds it installed outside.
CFN_LINT = .venv/bin/python -c 'import sys; from cfnlint.runner import main; sys.exit(main())'
TOOL = $(GO) tool -modfile=tools/linters/go.mod

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[A-Za-z-]+:.*## / {printf "  %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: venv ## Run the whole product on this machine in a minute (KEEP=1 leaves it running)
	@$(GO) run ./cmd/demo

.PHONY: test
test: venv ## Run every test
	$(GO) test -timeout 14m ./...

.PHONY: fuzz
fuzz: ## Look for inputs that break a parser or a renderer (FUZZTIME=10s or 1000x for each)
	@for package in $$($(GO) list ./internal/...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test $$package -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) || exit 1; \
		done; \
	done

.PHONY: test-long
test-long: fuzz ## Fuzz, and play ten times the random histories, and a longer outage (an hour)
	$(GO) test -timeout 60m ./test/reliability -run 'RandomHistories|OverlappingPollers' -histories 100000 -overlaps 50000
	$(GO) test -timeout 60m ./test/reliability -run 'RealBinaries/(one_denied|six_hours)' -outage-events 500

.PHONY: lint
lint: venv ## Check format, code and template
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@echo cfn-lint template.yaml
	@$(CFN_LINT) template.yaml

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in what the functions call
	@out=$$($(TOOL) govulncheck ./functions/... 2>&1); code=$$?; echo "$$out"; \
	case "$$out" in *"fetching vulnerabilities"*) echo "The vulnerability database cannot be reached from here: nothing was checked.";; esac; \
	exit $$code

.PHONY: sbom
sbom: ## Write each function's software bill of materials (CycloneDX) into .build
	@mkdir -p .build
	$(TOOL) cyclonedx-gomod app -json -licenses=false -output .build/poller.cdx.json -main functions/poller .
	$(TOOL) cyclonedx-gomod app -json -licenses=false -output .build/notifier.cdx.json -main functions/notifier .

.PHONY: fmt
fmt: ## Format the code
	$(GO) fmt ./...

.PHONY: golden
golden: venv ## Write the golden files anew from what the code makes now
	$(GO) test ./internal/event -update
	$(GO) test ./internal/message ./internal/slack ./internal/email ./test/template -update

.PHONY: pictures
pictures: ## Take the pictures in docs anew (needs chromium)
	@$(GO) run ./tools/pictures

.PHONY: bench
bench: ## Measure start, memory, size and speed beside a Go hello-world function
	@$(GO) run ./tools/bench

.PHONY: build
build: build-PollerFunction build-NotifierFunction ## Build both functions for Lambda into .build

.PHONY: build-PollerFunction
build-PollerFunction: ## Build the poller into ARTIFACTS_DIR (GOARCH=amd64 for x86)
	$(call bootstrap,./functions/poller)

.PHONY: build-NotifierFunction
build-NotifierFunction: ## Build the notifier into ARTIFACTS_DIR (GOARCH=amd64 for x86)
	$(call bootstrap,./functions/notifier)

# lambda.norpc leaves out net/rpc, which only the retired go1.x runtime needs,
# and with it a third of the binary.
define bootstrap
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) $(GO) build -trimpath -buildvcs=false -tags lambda.norpc \
		-ldflags "-s -w -buildid= -X main.version=$(VERSION)" -o "$(ARTIFACTS_DIR)/bootstrap" $(1)
endef

.PHONY: deploy
deploy: ## Build and deploy with AWS SAM, asking for each setting
	sam build && sam deploy --guided

.PHONY: canary
canary: ## Send a test message through a deployed stack and wait until all have it (STACK=name)
	@$(GO) run ./cmd/canary -stack "$(STACK)"

.PHONY: venv
venv: .venv/.installed ## Install what tests and demo need of Python into .venv

.venv/.installed: requirements.txt
	@echo "Installing moto, cfn-lint and the SAM translator into .venv (once)"
	@$(PYTHON) -m venv --system-site-packages .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.PHONY: clean
clean: ## Remove what was built and installed
	rm -rf .build .aws-sam .venv
