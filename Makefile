# Targets for development: `make` alone lists them. A fresh clone needs only Python 3.11 or newer, and make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:

# The first Python that starts and is new enough; the function itself runs on 3.13. `make PYTHON=/path/to/python` overrides it.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$python" && break; done)
BIN := .venv/bin
RIE := .local/bin/aws-lambda-rie
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --require-hashes --no-deps
PYTEST_ARGS ?= -n 4
EVENT ?= events/s3-put.json
ARCHITECTURE ?= arm64
export SAM_CLI_TELEMETRY := 0

.PHONY: help
help: ## List the available targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: .venv/.ready $(RIE) ## Upload files on this machine, without an AWS account, and show what happens
	@$(BIN)/python -m local.demo

.PHONY: local
local: .venv/.ready $(RIE) ## Keep AWS and CloudWorks up on this machine until Ctrl-C; LOCAL=--docker for sam local invoke
	@$(BIN)/python -m local.aws.console $(LOCAL)

.PHONY: sam-local
sam-local: .venv/.ready .venv-sam/.ready $(RIE) ## Run one event in SAM's container, against this machine's AWS: EVENT=events/s3-put.json
	@$(BIN)/python -m local.sam $(EVENT) --sam .venv-sam/bin/sam

.PHONY: test
test: .venv/.ready .venv-sam/.ready $(RIE) ## Run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-docker
test-docker: .venv/.ready .venv-sam/.ready $(RIE) ## Run every sample with sam local invoke (needs Docker)
	$(BIN)/python -m pytest -n 0 tests/e2e/test_sam_local.py -k container_runs_it

.PHONY: test-cdk
test-cdk: .venv/.ready .venv-cdk/.ready ## Synthesize the CDK example (needs Node.js)
	$(BIN)/python -m pytest -n 0 tests/unit/test_cdk.py

.PHONY: check
check: check-code check-template site ## Check format, lint, types, template, docs and locked files

.PHONY: check-code
check-code: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pip check --disable-pip-version-check

.PHONY: check-template
check-template: .venv/.ready .venv-sam/.ready .venv-checkov/.ready
	$(BIN)/cfn-lint template.yaml
	.venv-sam/bin/sam validate --lint --region us-east-1
	.venv-checkov/bin/checkov --file template.yaml --framework cloudformation --skip-download --quiet --compact

.PHONY: audit
audit: .venv-audit/.ready ## Look for known vulnerabilities in the function's packages (needs the network)
	.venv-audit/bin/pip-audit --strict --requirement src/requirements.txt --require-hashes --disable-pip

.PHONY: build
build: .venv/.ready .venv-sam/.ready ## Build the function's package in .aws-sam/build for `sam deploy`
	PYTHON="$(abspath $(BIN)/python)" .venv-sam/bin/sam build

.PHONY: package
package: .venv/.ready ## Build a release in dist/: zip, template, SBOM, checksums; ARCHITECTURE=x86_64 for the other processor
	$(BIN)/python -m local.release --architecture $(ARCHITECTURE)

.PHONY: docs
docs: .venv/.ready $(RIE) ## Write docs/demo.txt, docs/cli.md, docs/operations.md and the dashboard again
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.dashboard
	$(BIN)/python -m local.transcripts
	$(BIN)/python -m local.demo > docs/demo.txt

.PHONY: screenshots
screenshots: .venv/.ready $(RIE) ## Take the pictures in docs/screenshots again, in a headless Chromium
	$(BIN)/python -m docs.screenshots

.PHONY: site
site: .venv-site/.ready ## Build the docs as a website in .local/site; fail on a broken link
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --quiet

.PHONY: nightly
nightly: .venv/.ready ## Test the promise against thousands of random histories, and what else takes long (an hour)
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest tests/property/test_promise.py tests/unit/test_release.py tests/e2e/test_sam_local.py
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest $(PYTEST_ARGS) -m crossed

.PHONY: mutations
mutations: .venv/.ready ## Put deliberate faults into the protocol, one at a time, and check that a test fails
	$(BIN)/python -m tests.mutations

.PHONY: chaos
chaos: .venv/.ready $(RIE) ## Stress-test on this machine: kill runtimes, corrupt answers, and check that nothing is lost: CHAOS="--uploads 200"
	$(BIN)/python -m local.chaos $(CHAOS)

.PHONY: bench
bench: .venv/.ready ## Measure the figures in docs/benchmarks.md (some minutes)
	@for name in notice cold_start cli_start routes log_ins load_cost; do $(BIN)/python -m bench.$$name; done

.PHONY: side-by-side
side-by-side: .venv/.ready .venv-rivals/.ready ## Compare Autoload with what people write in its place (two minutes)
	@PYTHONPATH="$$(.venv-rivals/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
		$(BIN)/python -m bench.side_by_side

.PHONY: bench-check
bench-check: .venv/.ready ## Fail when a count (operations, units, requests, looks, modules) is worse than recorded
	$(BIN)/python -m bench.check

.PHONY: bench-record
bench-record: .venv/.ready ## Record the counts that bench-check compares with, and draw docs/benchmarks.md's plots
	$(BIN)/python -m bench.check --record
	$(BIN)/python -m bench.plots

.PHONY: lock
lock: .venv-lock/.ready ## Lock the newest versions that requirements/*.in and pyproject.toml allow
	$(call compile,function,src/requirements.txt,--python-platform aarch64-manylinux_2_28 --python-version 3.13)
	for name in dev sam checkov audit site cdk lock rivals; do $(call compile,$$name,requirements/$$name.txt,--universal --python-version 3.11); done

.PHONY: clean
clean: ## Delete everything that make has created
	rm -rf .venv .venv-sam .venv-checkov .venv-audit .venv-lock .venv-rivals .venv-site .venv-cdk .local .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

# 1: the name in requirements/  2: the output file  3: the platforms
compile = .venv-lock/bin/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' $(3) requirements/$(1).in --output-file $(2)

.venv: .venv/.ready ## Create the Python environment for all other targets

.venv/.ready: requirements/dev.txt pyproject.toml
	@$(call environment,.venv,requirements/dev.txt)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.venv-%/.ready: requirements/%.txt
	@$(call environment,.venv-$*,$<)
	@touch $@

# 1: the environment's folder  2: the locked file to install
define environment
if [ -z "$(PYTHON)" ]; then \
	echo "Cannot find Python 3.11 or newer. Install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
if ! command -v "$(PYTHON)" >/dev/null; then \
	echo "Cannot find the program $(PYTHON). Name a Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
if [ "$$("$(PYTHON)" -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null)" != True ]; then \
	echo "$(PYTHON) is not Python 3.11 or newer. Name one that is: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
echo "Creating $(1) from $(2) ($$("$(PYTHON)" --version)). This takes a minute, once."; \
"$(PYTHON)" -m venv $(1) || { rm -rf $(1); \
	echo "$(PYTHON) cannot create environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
$(1)/bin/python $(PIP_INSTALL) --requirement $(2)
endef

# AWS's runtime emulator is a Linux program inside the wheel of aws-sam-cli. requirements/sam.txt has its hash.
$(RIE): requirements/sam.txt | .venv/.ready
	@[ "$$(uname -s)" = Linux ] || { echo "The simulated AWS needs Linux, because AWS's Lambda runtime emulator runs only there." >&2; exit 1; }
	@mkdir -p .local/bin .local/wheel
	@awk '/^aws-sam-cli==/ { found = 1 } found { print } found && !/\\$$/ { exit }' $< > .local/wheel/requirements.txt
	@$(BIN)/python -m pip download -qq --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--requirement .local/wheel/requirements.txt --dest .local/wheel
	@$(BIN)/python -c 'import platform, sys, zipfile; \
		machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine()); \
		sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(f"samcli/local/rapid/aws-lambda-rie-{machine}"))' \
		.local/wheel/aws_sam_cli-*.whl > $@
	@chmod +x $@
	@rm -r .local/wheel
