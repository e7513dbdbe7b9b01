# Every target sets up what it needs first; `make demo` and `make test` are all that a newcomer has to know.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help demo test lint format bench contracts lock setup clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## Two chains, real CCIP contracts, an oracle, a monitor and a page, on this machine
	@$(PYTHON) tools/setup.py run
	@exec $(BIN)/seamark demo $(ARGS)

test: ## Set up what is missing and run every check and test
	@$(PYTHON) tools/setup.py dev
	@$(BIN)/python tools/check.py $(ARGS)

lint: ## Format, lint, types, import rules
	@$(PYTHON) tools/setup.py dev
	@$(BIN)/python tools/check.py --lint-only

format: ## Rewrite the code in the house style
	@$(PYTHON) tools/setup.py dev
	@$(BIN)/ruff format src tests bench tools && $(BIN)/ruff check --fix src tests bench tools

bench: ## Measure against peers, side by side; writes docs/performance.md
	@$(PYTHON) tools/setup.py bench
	@$(BIN)/python -m bench $(ARGS)

contracts: ## Compile the contracts and regenerate what Python reads of them
	@$(PYTHON) tools/setup.py dev
	@$(BIN)/python tools/contracts.py generate

lock: ## Renew the lock files in requirements/ from pyproject.toml
	@$(PYTHON) tools/setup.py dev
	@$(BIN)/python tools/lock.py

setup: ## Only the set-up
	@$(PYTHON) tools/setup.py dev

clean: ## Remove everything that was set up or built (not the data in .seamark)
	rm -rf .venv node_modules contracts/out contracts/cache .mypy_cache .ruff_cache .pytest_cache
