# Two commands do everything, on a fresh machine with Python 3.11 or later: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin/python
PIP := $(BIN) -m pip install --quiet --disable-pip-version-check
# training.py and labels.py run these parts themselves.
PARTS := $(addprefix tests/benchmarks/,demo.py training_speed.py label_training.py labels_speed.py)
BENCHMARKS := $(filter-out $(PARTS),$(sort $(wildcard tests/benchmarks/*.py)))

.PHONY: demo test fuzz chaos bench clean

demo: .venv/installed
	$(BIN) -m ncaudit demo --out demo-out

test: .venv/installed-dev
	$(BIN) -m ruff check .
	$(BIN) -m mypy
	OMP_NUM_THREADS=1 $(BIN) -m pytest -n auto --maxprocesses 4 --dist loadfile  # a process per core, of one thread each

# Damaged files through every command, and every command killed, starved and disturbed; both print their counts.
fuzz: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN) -m tests.fuzz --inputs 10000

chaos: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN) -m tests.chaos --kills 100

# Each figure in README and docs/ comes from one of these scripts.
bench: .venv/installed-dev
	for script in $(BENCHMARKS); do echo "== $$script"; $(BIN) $$script || exit 1; done

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	$(PIP) -e .
	touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml
	$(PIP) -e '.[dev]'
	touch $@ .venv/installed

clean:
	rm -rf .venv demo-out build dist
