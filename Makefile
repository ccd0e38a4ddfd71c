# Two commands do everything, on a fresh machine with Python 3.11 or later: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin/python
PIP := $(BIN) -m pip install --quiet --disable-pip-version-check
# labels.py runs two of these parts itself; run.py stands first; table.py and training.py take hours, and are asked for.
PARTS := $(addprefix tests/benchmarks/,label_training.py labels_speed.py)
PARTS += $(addprefix tests/benchmarks/,figures.py rows.py run.py table.py training.py)
BENCHMARKS := $(filter-out $(PARTS),$(sort $(wildcard tests/benchmarks/*.py)))

.PHONY: demo test fuzz chaos bench bench-light clean

demo: .venv/installed
	$(BIN) -m ncaudit demo --out demo-out

test: .venv/installed-dev
	$(BIN) -m ruff check .
	$(BIN) -m mypy
	# a process per core, of one thread each; long files come first (tests/conftest.py)
	OMP_NUM_THREADS=1 $(BIN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Damaged files through every command, and every command killed, starved and disturbed; both print their counts.
fuzz: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN) -m tests.fuzz --inputs 10000

chaos: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN) -m tests.chaos --kills 100

# Each figure in README and docs/ comes from one of these scripts. First the speed of every verb beside its limit or
# peer from the same run, as JSON in bench.json too; then what else the scripts measure.
bench: .venv/installed-dev
	$(BIN) tests/benchmarks/run.py --json bench.json
	for script in $(BENCHMARKS); do echo "== $$script"; $(BIN) $$script || exit 1; done

# The same figures with small sizes, within three minutes: it prints, and never fails.
bench-light: .venv/installed-dev
	-timeout -k 5 180 $(BIN) tests/benchmarks/run.py --light --seconds 120

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
