# The only commands one needs: make demo · make test · make lint  (make unit: the tests that need no hosts;
# make molecule SCENARIO=container_engine: one role on hosts of its own; make molecule-all: all roles)
# Each installs what it needs, system packages included; see .ci/prepare.

VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo test unit engine-tests quick-scenarios bench oracle molecule molecule-all lint format clean prepare

demo: prepare
	@$(RUN)/inhouse demo

test: unit
	@.ci/lab-tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line engine-tests quick-scenarios

unit: prepare
	@$(RUN)/pytest -q -n 2 --dist worksteal -m "not lab" --ignore tests/lab tests

# The tests that need the lab's programs and no hosts: beside the scenarios, for half of their time they wait.
engine-tests: prepare
	@$(RUN)/pytest -m lab --ignore tests/lab --durations=5 tests

quick-scenarios: prepare
	@.ci/molecule --quick

oracle: prepare
	@$(RUN)/python -m tests.oracle

molecule: prepare
	@.ci/molecule $(SCENARIO)

molecule-all: prepare
	@.ci/molecule --all

bench: prepare
	@$(RUN)/python -m tests.bench

lint: prepare
	@.ci/lint

format: prepare
	@$(RUN)/ruff format . && $(RUN)/ruff check --fix .

prepare:
	@.ci/prepare

clean: prepare
	@$(RUN)/inhouse lab down --all
	@rm -rf $(VENV)
