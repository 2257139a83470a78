# Every target sets up what it needs. `make setup` makes .venv from the lock; the others depend on it.
.PHONY: setup demo test test-served test-rest test-all check bench gate gate-power clean lock

PYTHON ?= python3
SCALE ?= 0.1
SCENARIO ?= scenarios/adoption-43-to-85.toml
ONLY ?=
BASE ?= HEAD~1
GATE_POWER_BUDGET ?= 2h
# Tests that mostly wait: for portals, databases, Locust and browsers.
SERVED = tests/staging tests/loadtests tests/faults tests/browser

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The main job: from a scenario to a verdict and a report, at a share of the country's dossiers.
demo: setup
	.venv/bin/caodiem run $(SCENARIO) --scale $(SCALE)

# Two halves side by side, since the first leaves a core idle for most of its time.
test: setup
	$(MAKE) --no-print-directory --jobs 2 test-served test-rest

test-served: setup
	.venv/bin/python -m pytest -q $(SERVED)

test-rest: setup
	.venv/bin/python -m pytest -q $(SERVED:%=--ignore %)

# Also the slow ones.
test-all: setup
	.venv/bin/python -m pytest -q -m "slow or not slow"

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Benchmarks with ratios against peers of the same run; ONLY=group runs one group.
bench: setup
	mkdir -p results/benchmarks
	rm -f results/benchmarks/latest.json
	.venv/bin/python -m pytest -q -m "slow or not slow" tests/benchmarks --benchmark-only $(if $(ONLY),--only-group $(ONLY)) \
	    --benchmark-min-rounds 15 --benchmark-columns median,iqr,rounds --benchmark-json results/benchmarks/latest.json

# The hot paths of HEAD against those of BASE.
gate: setup
	.venv/bin/caodiem gate --base $(BASE)

# How far the gate may be trusted on this machine: false alarms, planted slow-downs caught. Goes on where it was stopped.
gate-power: setup
	.venv/bin/python -m gates $(GATE_POWER_BUDGET)

# Needs uv on the path: rewrites requirements.lock for every platform, with hashes and without index addresses.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    --all-extras --group dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis results/runs
	find results/benchmarks -mindepth 1 ! -name 'gate-power.json*' -delete 2>/dev/null || true
