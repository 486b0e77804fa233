# make demo: everything on a small study. make test, make lint: what must hold before a commit.
# make faults: the tests of faults, for hours.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test faults lint clean

demo: .venv/installed
	snakemake --workflow-profile demo
	@echo
	@echo "Report:  results/demo/report.html"
	@echo "Figures: results/demo/figures/"

# A file's tests run in one process, the files in their order on up to four: the longest come first.
test: .venv/installed
	pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The faults of docs/reliability.md, many times each: one to three hours.
faults: .venv/installed
	ROTVAR_FAULTS=long pytest tests/faults

lint: .venv/installed
	ruff check
	ruff format --check
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint

# The environment, made again only when the pinned versions change.
.venv/installed: requirements.txt
	@$(PYTHON) -c "import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit('Python 3.11 to 3.14 is needed: make PYTHON=...')"
	$(PYTHON) -m venv .venv
	@echo "Installing the packages of requirements.txt in .venv"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt || { \
		echo "The packages are not installed. With Python 3.14 that takes a C compiler and Python's headers: see README.md."; exit 1; }
	touch $@

# Results stay: remove results/ by hand.
clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
