# flowkit: `make help` lists the targets. The environment is .venv/, made by tools/setup.py from requirements.lock.
# Paths are relative throughout, so that a clone may lie in a folder with spaces in its name.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# What a user may give: make PYTHON=/opt/python3.12/bin/python, make run INPUT=my.wav, make test WORKERS=8
PYTHON ?=
WORKERS ?= 2
PIPELINE ?= pipelines/assistant.yaml
INPUT ?= pipelines/audio/question.wav
OUTPUT ?= out/reply.wav
# Of `make release`: a Python, such as 3.11, or nothing for each that the machine has.
ONLY ?=

export PYTHON
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH

PY := .venv/bin/python
# With xdist's default, a worker that gets a row of slow tests keeps it while the others have nothing left to do.
PARALLEL := -n $(WORKERS) --dist worksteal

.PHONY: help setup run serve docs test lint types bench deep wheel release mutants lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

# Any Python 3 can run the setup tool; the tool then looks for one that is new enough for flowkit.
setup:  ## make .venv/ hold what requirements.lock names; nothing to do when it does
	@for python in python3 python3.13 python3.12 python3.11; do \
	  if $$python -c '' 2>/dev/null; then exec $$python -m tools.setup; fi; \
	done; \
	echo "setup: flowkit needs Python 3.11 or newer, and there is no python3; install python3.11 and python3.11-venv" >&2; \
	exit 1

run: setup  ## talk to the agent; without microphone and speaker, or with INPUT=, a file is asked and OUTPUT written
	@$(PY) -m tools.run "$(PIPELINE)" "$(INPUT)" "$(OUTPUT)" "$(origin INPUT)"

serve: setup  ## talk to the agent in a browser, and let clients of OpenAI's Realtime protocol talk to it
	@$(PY) -m flowkit serve "$(PIPELINE)"

docs: setup  ## the documentation as a site in out/site/; its packages have an environment of their own
	@$(PY) docs/reference/build.py --check
	@$(PY) -m tools.docs

test: setup  ## linter, formatting, type checker and all tests, as CI runs them
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -m pytest $(PARALLEL)

lint: setup  ## linter and formatting only
	$(PY) -m ruff check
	$(PY) -m ruff format --check

format: setup  ## format the code and mend what the linter can mend
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

types: setup  ## type checker only
	$(PY) -m mypy

deep: setup  ## the property tests with 10,000 examples each; takes long
	HYPOTHESIS_PROFILE=deep $(PY) -m pytest $(PARALLEL)

bench: setup  ## run tests/benchmarks/bench_*.py; each writes its figures to out/bench/NAME.json
	@mkdir -p out/bench
	@set -e; for script in tests/benchmarks/bench_*.py; do \
	  test -e "$$script" || { echo "there are no benchmarks in tests/benchmarks"; exit 1; }; \
	  name=$$(basename "$$script" .py); echo "bench: $$name"; \
	  $(PY) "$$script" > "out/bench/$${name#bench_}.json"; \
	done

wheel: setup  ## build the wheel in dist/
	$(PY) -m tools.release --wheel

release: setup  ## build sdist and wheel, check them, and try them in fresh environments; ONLY=3.11 in one
	$(PY) -m tools.release $(ONLY)

mutants: setup  ## plant changes in the source one at a time, and say which of them the kept traces catch
	$(PY) -m tests.mutants.run

lock: setup  ## make requirements.lock anew from pyproject.toml (needs uv); ARGS=--upgrade takes newer releases
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) -m tools.lock $(ARGS)

clean:  ## remove .venv/ and everything that can be made again; out/ stays
	rm -rf .venv .venv-docs build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find flowkit tests tools -name __pycache__ -prune -exec rm -rf {} +
