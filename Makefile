# The same few words everywhere. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help run demo test check bench translations wheel requirements clean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: .venv/runs ## serve the whole service on http://127.0.0.1:8000, with mail shown in the browser
	@$(BIN)/newsletter init
	@exec $(BIN)/newsletter serve

demo: .venv/runs ## the service beside a newspaper that embeds its form, on http://localhost:8001
	@export NEWSLETTER_DATA_DIR=$${NEWSLETTER_DATA_DIR:-var/demo}; $(BIN)/newsletter init; \
	$(BIN)/newsletter lists edit daily --return-url http://localhost:8001/thanks >/dev/null; \
	$(BIN)/python examples/host-site/serve.py --port 8001 --service http://127.0.0.1:8000 & site=$$!; \
	trap 'kill $$site 2>/dev/null' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	$(BIN)/newsletter serve --port 8000

test: .venv/develops ## run the whole suite
	@$(BIN)/python -m tests.needs
	@$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

check: .venv/develops ## style, types, import contracts, migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.check_migrations

bench: .venv/develops ## measure speed and memory against raw limits (bench/README.md)
	@$(BIN)/python -m bench $(ARGS)

translations: .venv/develops ## bring the catalogs up to date with the texts in code and templates
	@set -e; template=$$(mktemp); trap 'rm -f "$$template"' EXIT; \
	$(BIN)/pybabel --quiet extract --mapping-file newsletter/translations/babel.cfg --keyword N_ \
	  --add-location file --sort-output --width 110 --output-file "$$template" .; \
	$(BIN)/pybabel --quiet update --input-file "$$template" --output-dir newsletter/translations \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 110
	@$(BIN)/pytest -q tests/unit/test_translations.py

wheel: .venv/develops ## build the package into dist/
	@$(BIN)/python -m hatchling build -t wheel

requirements: ## write the pinned requirements anew from pyproject.toml (needs uv)
	@set -e; pin="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header"; \
	$$pin --upgrade pyproject.toml --group dev --output-file requirements/dev.txt; \
	$$pin --constraint requirements/dev.txt pyproject.toml --output-file requirements/runtime.txt; \
	$$pin --constraint requirements/dev.txt --group build --output-file requirements/build.txt

clean: ## remove what was built; the data in var/ stays
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Environments. Every package is checked against its hash.
.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it with make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv \
	  || { echo "python3 cannot make virtual environments: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/runs: .venv/made requirements/runtime.txt requirements/build.txt pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.venv/develops: .venv/runs requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
