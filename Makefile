# Everything that a fresh machine with Python ≥ 3.11 and make needs. `make` alone lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Of the tests: many of them wait for a server most of the time.
WORKERS ?= 3
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: help demo test long lint format servers proto reference docs pictures dashboards manifests cluster lock sbom licences fuzz clean

help:
	@echo "make demo     show Nodescore at work on recorded traffic, attack included; needs no server"
	@echo "make test     lint, then all tests, with the real servers that this machine can get"
	@echo "              REQUIRE_REAL=1: a missing server is a failure    ARGS='-k rows': pytest's arguments"
	@echo "              WORKERS=1: one test after the other"
	@echo "make long     the tests that take minutes each, with the same real servers"
	@echo "make lint     formatting, lint, types, direction of imports"
	@echo "make format   put the formatting right"
	@echo "make proto    compile proto/ into receiver/wire"
	@echo "make reference  write docs/reference of the code"
	@echo "make docs     build the documentation as a site in build/docs"
	@echo "make pictures take the pictures of docs/, in a real Chromium"
	@echo "make dashboards write the Grafana dashboards of manifests/grafana"
	@echo "make manifests put the catalogues' relabel rules and the alert rules into manifests/"
	@echo "make cluster  build the container images, start manifests/overlays/complete and compose.yaml (Debian, root)"
	@echo "make lock     pin what serving and training need in requirements/, with hashes"
	@echo "              ARGS=--upgrade: the newest versions, instead of those that are pinned already"
	@echo "make sbom     write what serving and training consist of to build/*.cdx.json (CycloneDX)"
	@echo "make licences list the licences of all that is pinned in requirements/licences.md"
	@echo "make fuzz     look for input that breaks the wire decoder or the API, for 10 min; ARGS=60: for an hour"
	@echo "make servers  only get the real servers of the tests"
	@echo "make clean    delete the virtual environment and all caches in this folder"

demo: $(VENV)/.serve
	$(BIN)/nodescore demo

test: lint servers
	$(BIN)/python -m tests.compile_loops
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile -m "not long" $(if $(REQUIRE_REAL),--require-real) $(ARGS)

long: servers
	$(BIN)/python -m pytest -m long $(if $(REQUIRE_REAL),--require-real) $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

servers: $(VENV)/.dev
	$(BIN)/python -m tests.servers.obtain

proto: $(VENV)/.dev
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=receiver/wire --pyi_out=receiver/wire proto/*.proto

reference: $(VENV)/.dev
	$(BIN)/python -m tests.docs.reference

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict

pictures: $(VENV)/.dev
	$(BIN)/python -m tests.docs.pictures

dashboards: $(VENV)/.dev
	$(BIN)/python -m manifests.grafana

manifests: $(VENV)/.dev
	$(BIN)/python -m tests.manifests.generated

cluster: servers
	TEST_CLUSTER=1 $(BIN)/python -m pytest --require-real tests/manifests $(ARGS)

lock: $(VENV)/.dev
	$(BIN)/python -m tests.security.lock $(ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.security $(ARGS)

licences: $(VENV)/.dev
	$(BIN)/python -m tests.security.licences

sbom: build/serve.cdx.json build/train.cdx.json

# Of an environment that holds what is locked and nothing else, as the image does.
build/%.cdx.json: requirements/%.txt requirements/sbom.txt
	rm -rf build/$*-environment build/sbom-environment
	$(PYTHON) -m venv --without-pip build/$*-environment
	$(PYTHON) -m venv build/sbom-environment
	build/sbom-environment/bin/pip --python build/$*-environment install --quiet --require-hashes --no-deps -r $<
	build/sbom-environment/bin/pip install --quiet --require-hashes --no-deps -r requirements/sbom.txt
	build/sbom-environment/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
	    --output-file $@ build/$*-environment
	rm -rf build/$*-environment build/sbom-environment

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp each for what serving needs and for all that development needs: a second run installs nothing.
$(VENV)/.serve: pyproject.toml | $(BIN)/python
	@echo "Installing Nodescore into $(VENV) …"
	$(PIP_INSTALL) .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing Nodescore with its development tools into $(VENV) …"
	$(PIP_INSTALL) '.[dev]'
	@touch $@ $(VENV)/.serve

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is missing or older than 3.11: install it, or name another with make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "$(PYTHON) has no venv module: install it (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
