PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
# A process a core with one thread each: two threads of two programs on two cores would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile

.PHONY: demo test test-all check docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      environment, then a wake word forged, tested and heard (about 4 minutes after installation)"
	@echo "make test      quick tests"
	@echo "make test-all  with the slow tier: end-to-end and real data"
	@echo "make check     format, lint, types, quick tests"
	@echo "make docs      the documents as a site, in site/"

$(VENV)/ready: pyproject.toml constraints/py311.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints/py311.txt -e '.[all,dev]'
	@touch $@

demo: $(VENV)/ready
	$(BIN)/wakesmith forge "hey nova" --preset quick --out $(DEMO)
	$(BIN)/wakesmith say "hey nova" $(DEMO)/unheard.wav --unheard-by $(DEMO) --seed 2 --before "Good morning. The train leaves at nine."
	@echo "A voice of the test split says, in a file that the student never heard: Good morning. The train leaves at nine. Hey nova."
	$(BIN)/wakesmith detect $(DEMO)/bundle $(DEMO)/unheard.wav
	@echo "The whole report: $(DEMO)/evaluate/report.html"

test: $(VENV)/ready
	$(PYTEST) -m "not slow"

test-all: $(VENV)/ready
	$(PYTEST)

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -m "not slow"

# The theme's team prints news of its own on every build; a warning of ours stops the build all the same.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site: site/index.html"

clean:
	rm -rf $(VENV) runs site
