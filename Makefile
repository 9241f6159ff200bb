# `make` alone lists what there is. Programs are called from .venv by path: nothing need be activated.
.DEFAULT_GOAL := help
BIN := .venv/bin
# Six workers on two cores: most of their time tests wait. Files stay together, as they share what they set up.
WORKERS := 6
# A worker that dies ends the run: where xdist replaces it after the last file was given out, it waits forever.
SIDE_BY_SIDE = -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0
# Tests marked alone are sensitive to load: they come last, and few at a time. Three, as most of them mostly wait.
FEW_AT_A_TIME = -n 3 --dist loadfile --max-worker-restart 0
# A test of real time can fail for want of the processor beside others: what failed is repeated alone, and has to pass.
# Only after exit code 1: all tests ran, and some failed.
AGAIN = { test $$? -eq 1 && echo "repeating alone what failed:" && \
	$(BIN)/pytest --last-failed --last-failed-no-failures none -v; }
# The folders in which tests are marked so.
ALONE := tests/live tests/scenarios tests/app/contact tests/app/web
FAST := tests/config tests/engine tests/infra tests/sim tests/types
# Tests start hundreds of commands, and each starts a fifth sooner where its bytecode is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test quick kernels bytecode check bench facts results same chaos lighter kills trials fuzz crosscheck soak docs diagrams lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-11s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fill .venv and .tools (nothing to do when nothing changed); PYTHON=... picks the interpreter
	@scripts/setup

demo: ## half a minute of paper trading on the embedded exchange; sets up only what that needs
	@scripts/setup run
	$(BIN)/run_paper --sim --duration 30 --seed 13

test: setup ## all checks and all tests
	@$(MAKE) --no-print-directory -j2 check kernels bytecode
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not alone" || $(AGAIN)
	$(BIN)/pytest $(FEW_AT_A_TIME) -m alone $(ALONE) || $(AGAIN)

quick: WORKERS := 3
quick: setup ## the checks and the tests of the pure and the fast parts, below two minutes
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not slow" $(FAST)

# Before tests run side by side: each worker that found nothing compiled would compile it all, kernels and tests. The
# kernels take as long as the checks and the bytecode together.
kernels:
	@$(BIN)/python -m tests.research.replay.compile_first

bytecode:
	@$(BIN)/pytest --collect-only -qq >/dev/null || true # what is wrong is told when they run

check: ## the checks that run nothing: lint, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: setup ## all speed figures beside their goals, ten minutes; ARGS=--quick: coarser ones, --write: for README
	$(BIN)/python -m benchmarks $(ARGS)

facts: setup ## the generated market beside recorded ones, figure by figure; ARGS=--write for docs/facts.md
	$(BIN)/python -m studies.facts $(ARGS)

results: setup ## docs/results.md: what the strategy earns and loses, recorded and generated, with plots; some minutes
	$(BIN)/python -m studies

same: setup ## whether two versions do the same, byte for byte: ARGS="--write FILE" before, ARGS="--against FILE" after
	@$(BIN)/python -m tests.same $(ARGS)

chaos: setup ## the live daemon under a thousand mixtures of faults, as a table; ARGS="--seeds 200" for fewer
	$(BIN)/python -m tests.live $(ARGS)

lighter: setup ## a thousand orders on Lighter under each fault and fifty mixtures, as a table; ARGS="--orders 60" for fewer
	$(BIN)/python -m tests.lighter $(ARGS)

kills: setup ## the live daemon killed two hundred times at the worst moments; ARGS="--kills 6" for fewer
	$(BIN)/python -m tests.live.kill_chain $(ARGS)

trials: setup ## the live daemon under what a real venue was seen to do, one case at a time, with figures
	$(BIN)/python -m tests.live.trials $(ARGS)

fuzz: setup ## a thousand examples of each property, and thousands of storms for the live core; ARGS="200 7": storms, from
	$(BIN)/pytest -n 2 --hypothesis-profile long --timeout 3600 $(FAST) -m "not alone and not slow"
	$(BIN)/python -m tests.engine.live_fuzz $(ARGS)

crosscheck: ## our replay against hftbacktest, order by order and fill by fill: tests, then tables; installs it first
	@scripts/setup crosscheck
	$(BIN)/pytest studies/crosscheck
	$(BIN)/python -m studies.crosscheck $(ARGS)

soak: setup ## an hour of live trading on the embedded exchange, in six minutes: what grows?
	$(BIN)/python -m tests.live.soak

docs: setup ## the site of docs/ and of what the code says: site/index.html; ARGS=serve shows it while you write
	$(BIN)/python -m studies.site --write
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(or $(ARGS),build --quiet) --strict

diagrams: setup ## draw the order table and the state diagram of docs/design/orders.md from engine/orders.py
	$(BIN)/python -m studies.order_states

lock: ## write poetry.lock and the lists for pip anew from pyproject.toml (see scripts/lock for more)
	@scripts/setup poetry
	scripts/lock

clean: ## remove what set-up, checks and tests made; logs and data stay
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks site
	find src tests benchmarks studies -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
