# Everything a newcomer types. The virtual environment is made when it is missing or its lock has changed.
VENV := .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first Python that will do; `make PYTHON=/path/to/python` overrules.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$each && break; done)

.PHONY: demo test check format bench lock clean
.DEFAULT_GOAL := demo

demo: $(VENV)/ready  ## three example photos to a mesh and a turntable, in demo/
	$(BIN)/meshcli run demo examples/desk/1.png examples/desk/2.png examples/desk/3.png
	@printf '\nThe mesh:  %s\nThe video: %s\nThe rest:  %s\n' demo/mesh/mesh.glb demo/renders/turntable.mp4 demo/

test: $(VENV)/ready  ## every test
	$(BIN)/python -m pytest

check: $(VENV)/ready  ## style, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready  ## mend what the checks can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready  ## the measured tables of the README; reads ../shared/data
	$(BIN)/python tests/bench/fit_meshes.py
	$(BIN)/python tests/bench/fit_sheets.py
	$(BIN)/python tests/bench/pipeline.py

lock: $(VENV)/ready  ## write down what is installed
	{ head -n 1 requirements.lock; $(BIN)/python -m pip freeze --exclude-editable; } > $(VENV)/lock
	mv $(VENV)/lock requirements.lock

clean:
	rm -rf $(VENV) demo

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed; make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
