# `make demo` and `make test` set up .venv by themselves. PYTHON=python3.12 picks another Python.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# onnxruntime-web, axe-core, and the environment that tests the page with Debian's Chromium.
WEB_MODULES := serving/web/node_modules/.package-lock.json
WEB_VENV ?= .venv-web
WEB_STAMP := $(WEB_VENV)/.installed
# kserve's protobuf is older than TensorFlow's.
SERVING_VENV ?= .venv-serving
SERVING_BIN := $(SERVING_VENV)/bin
SERVING_STAMP := $(SERVING_VENV)/.installed
# Ray, which nothing but bulk work on a cluster needs.
RAY_VENV ?= .venv-ray
RAY_BIN := $(RAY_VENV)/bin
RAY_STAMP := $(RAY_VENV)/.installed
# What builds a release, and cffconvert, whose jsonschema is older than theirs.
RELEASE_VENV ?= .venv-release
RELEASE_BIN := $(RELEASE_VENV)/bin
RELEASE_STAMP := $(RELEASE_VENV)/.installed
CFF_VENV ?= .venv-cff
# MuData, Hugging Face's datasets and PyTorch, which nothing but their readers needs; and two trackers of
# experiments, Weights & Biases and MLflow without its server.
READERS_VENV ?= .venv-readers
READERS_BIN := $(READERS_VENV)/bin
READERS_STAMP := $(READERS_VENV)/.installed
# mkdocs and what it needs to read the sources; no TensorFlow.
DOCS_VENV ?= .venv-docs
DOCS_BIN := $(DOCS_VENV)/bin
DOCS_STAMP := $(DOCS_VENV)/.installed
# MultiVae's models need PyTorch.
PEERS_VENV ?= .venv-peers
PEERS_BIN := $(PEERS_VENV)/bin
PEERS_STAMP := $(PEERS_VENV)/.installed
# The default recipe's number of epochs; the other comparison is PEERS_BUDGET="--minutes 14", say, and
# other pairs are PEERS_BUDGET="--minutes 8 --data emoji --folder ../shared/pairs".
PEERS_BUDGET ?=
PEERS_OUT ?= runs/peers
# 04 and 05 need WYNER_PAIRS, the folder of letters.npz and emoji.npz.
NOTEBOOKS ?= $(wildcard notebooks/*.ipynb)
TEST_WORKERS ?= 2
# Others: letters icons emoji, of the files in ../shared/pairs, and mnist_add_one.
PRESETS ?= digits_add_one

export TF_CPP_MIN_LOG_LEVEL ?= 2
ifndef TFDS_DATA_DIR
ifneq ($(wildcard ../shared/tfds),)
export TFDS_DATA_DIR := $(abspath ../shared/tfds)
endif
endif

.PHONY: help setup types demo mnist figures studies theory peers mutations kills licences test test-serving test-ray test-readers web test-web lint slow notebooks docs docs-serve presets dist release lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1: /p' $(MAKEFILE_LIST)

setup: $(STAMP) ## set up .venv from requirements.lock

demo: $(STAMP) ## train, judge and draw on the small digits that ship with scikit-learn (minutes)
	run=runs/demo-$$(date +%Y%m%d-%H%M%S) && \
	$(BIN)/wyner train --data digits --out $$run && \
	$(BIN)/wyner export $$run --out $$run-bundle && \
	$(BIN)/wyner generate $$run-bundle --from x --out $$run-bundle-generate.png && \
	$(BIN)/wyner transfer $$run-bundle --side x --out $$run-bundle-transfer.png

mnist: $(STAMP) ## the full-size experiment (20 minutes on 2 cores)
	$(BIN)/wyner train --data mnist --out runs/mnist-$$(date +%Y%m%d-%H%M%S)

figures: $(STAMP) ## the paper's figures, then the study of its λ (hours; goes on where it was)
	$(BIN)/python -m experiments.figures --figure 4
	$(BIN)/python -m experiments.figures --figure 5
	$(BIN)/python -m experiments.figures --study lambda

studies: $(STAMP) ## the default recipe by five seeds, and without each ingredient (many hours; goes on)
	$(BIN)/python -m experiments.figures --study seeds
	$(BIN)/python -m experiments.figures --study ablation

theory: $(STAMP) ## the base model beside closed forms of common information (5 minutes)
	$(BIN)/python -m experiments.theory --out runs/theory-$$(date +%Y%m%d-%H%M%S)

peers: $(STAMP) $(PEERS_STAMP) ## MultiVae's models, CVAE, JVAE and the W-model on the same pairs (hours)
	$(BIN)/python -m experiments.peers --peers-python $(PEERS_BIN)/python \
		--out $(PEERS_OUT) $(PEERS_BUDGET)

test: lint ## lint, types and all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

test-serving: lint $(SERVING_STAMP) ## a bundle behind a real KServe server, in .venv-serving
	rm -rf build/tiny-bundle build/tiny-columns
	$(BIN)/python tests/tools/tiny_bundle.py build/tiny-bundle
	$(BIN)/python tests/tools/tiny_bundle.py build/tiny-columns columns
	$(SERVING_BIN)/mypy --config-file serving/kserve/pyproject.toml
	WYNER_BUNDLE=$(CURDIR)/build/tiny-bundle WYNER_COLUMNS=$(CURDIR)/build/tiny-columns \
		$(SERVING_BIN)/python -m pytest serving/kserve

test-ray: $(STAMP) $(RAY_STAMP) ## bulk work on a cluster of Ray that loses a node, in .venv-ray
	rm -rf build/tiny-bundle
	$(BIN)/python tests/tools/tiny_bundle.py build/tiny-bundle
	WYNER_BUNDLE=$(CURDIR)/build/tiny-bundle $(RAY_BIN)/python -m pytest tests/wyner_serving/ray

test-readers: $(READERS_STAMP) ## pairs from MuData, Hugging Face and PyTorch; Weights & Biases, MLflow: in .venv-readers
	$(READERS_BIN)/python -m pytest tests/wyner_keras/data/test_readers.py tests/docs/test_readers.py \
		tests/docs/test_trackers.py

mutations: $(STAMP) ## 2,000 damaged bundles and 20,000 damaged inputs (20 minutes)
	rm -rf build/tiny-bundle build/tiny-run
	$(BIN)/python tests/tools/tiny_bundle.py build/tiny-bundle
	$(BIN)/python tests/tools/tiny_bundle.py build/tiny-run run
	PYTHONPATH=. $(BIN)/python tests/tools/hostile_bundles.py build/tiny-bundle 2000
	PYTHONPATH=. $(BIN)/python tests/tools/hostile_bundles.py build/tiny-bundle 500 2000 signed
	PYTHONPATH=. $(BIN)/python tests/tools/hostile_inputs.py build/tiny-bundle build/tiny-run

kills: $(STAMP) ## 50 kills at random moments over all that writes, compared with what nobody killed (15 minutes)
	PYTHONPATH=.:tests/tools $(BIN)/python tests/tools/kill_moments.py

licences: $(STAMP) ## the licences of all that is installed
	$(BIN)/python tests/tools/licences.py

lint: $(STAMP) types ## ruff, mypy and spelling
	$(BIN)/codespell
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Folders whose names are not those of their packages, by the packages' names.
types:
	@mkdir -p build/types
	@ln -sfn ../../export build/types/wyner_export
	@ln -sfn ../../serving build/types/wyner_serving

slow: $(STAMP) ## the tests that train for minutes
	$(BIN)/python -m pytest -m slow

notebooks: $(STAMP) types $(if $(filter %09_export.ipynb,$(NOTEBOOKS)),$(WEB_MODULES)) ## execute the notebooks again, in place: NOTEBOOKS="notebooks/06_halves.ipynb" (minutes each)
	@mkdir -p build/ipython/profile_default
# What TensorFlow's C++ says of the machine goes to the terminal, not into a notebook.
	@echo "c.IPKernelApp.capture_fd_output = False" > build/ipython/profile_default/ipython_kernel_config.py
	for notebook in $(NOTEBOOKS); do \
		IPYTHONDIR=$(CURDIR)/build/ipython $(BIN)/jupyter-execute --inplace $$notebook || exit 1; \
	done

docs: $(DOCS_STAMP) types ## the pages as one site in build/site, strictly: links, anchors, public names
	NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/python -m mkdocs build --strict

docs-serve: $(DOCS_STAMP) types ## the same on http://127.0.0.1:8000, built anew at each change
	NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/python -m mkdocs serve

web: $(STAMP) $(WEB_MODULES) ## the browser page, of BUNDLE=path or the newest runs/*-bundle
	@$(BIN)/python -m wyner_serving.web.assemble $(if $(BUNDLE),--bundle "$(BUNDLE)")

test-web: $(STAMP) $(WEB_STAMP) $(WEB_MODULES) ## the page and reports in headless Chromium (Debian package chromium)
	$(BIN)/python tests/tools/tiny_report.py build/tiny-reports
	WYNER_BUNDLE="$(BUNDLE)" WYNER_REPORTS="$(CURDIR)/build/tiny-reports" $(WEB_VENV)/bin/python -m pytest -s \
		-o pythonpath=serving/web/tests serving/web/tests

presets: $(STAMP) ## trained models in build/presets and their wheel: PRESETS="letters" (minutes each)
	$(BIN)/python release/presets.py build/presets $(PRESETS)

dist: $(RELEASE_STAMP) ## wheel, sdist, SBOM and checksums of the last commit, tried in an empty environment
	rm -rf dist
	$(RELEASE_BIN)/python release/build.py dist
	$(RELEASE_BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	$(RELEASE_BIN)/python release/conda/render.py
	@if $(PYTHON) -m venv --clear $(CFF_VENV) && \
		$(CFF_VENV)/bin/pip install --quiet --disable-pip-version-check -r release/cff.txt; \
	then $(CFF_VENV)/bin/cffconvert --validate --infile CITATION.cff; \
	else echo "cffconvert does not install here: CITATION.cff is not looked at" >&2; fi
	$(RELEASE_BIN)/python release/smoke.py dist base
	cd dist && sha256sum -- wyner_keras-* > SHA256SUMS

release: $(STAMP) dist ## dist, and each extra in an empty environment of its own (35 minutes on a busy core)
	rm -rf build/tiny-bundle build/tiny-run
	$(BIN)/python tests/tools/tiny_bundle.py build/tiny-bundle
	$(BIN)/python tests/tools/tiny_bundle.py build/tiny-run run
	$(RELEASE_BIN)/python release/smoke.py dist base sign hub bulk ray train export jax pandas mudata datasets torch \
		--bundle build/tiny-bundle --run build/tiny-run
	cd dist && sha256sum -- wyner_keras-* > SHA256SUMS

lock: ## resolve every requirements.lock anew (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --upgrade --no-annotate \
		--no-header --quiet \
		--output-file requirements.lock pyproject.toml
	cd serving/kserve && uv pip compile --universal --python-version 3.11 --all-extras --upgrade \
		--no-annotate --no-header --quiet --no-emit-package wyner-keras \
		--output-file requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --extra docs --upgrade --no-annotate \
		--no-header --quiet \
		--output-file docs/requirements.lock pyproject.toml

clean: ## remove what the targets install and caches; runs/ stays
	rm -rf $(VENV) $(SERVING_VENV) $(RAY_VENV) $(READERS_VENV) $(DOCS_VENV) $(WEB_VENV) $(RELEASE_VENV) $(CFF_VENV) serving/web/node_modules build dist *.egg-info \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is what venv writes last: where it exists, the environment is whole.
$(BIN)/pip $(SERVING_BIN)/pip $(RAY_BIN)/pip $(READERS_BIN)/pip $(DOCS_BIN)/pip $(RELEASE_BIN)/pip $(PEERS_BIN)/pip: %/bin/pip:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Python 3.11 to 3.13 is needed, but there is no '$(PYTHON)'. Name one: make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
		"Python 3.11 to 3.13 is needed, but $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $*

$(STAMP): pyproject.toml requirements.lock | $(BIN)/pip
	$(BIN)/pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# npm writes this file last.
$(WEB_MODULES): serving/web/package.json serving/web/package-lock.json serving/web/.npmrc
	@command -v npm >/dev/null || { echo "npm is needed (Debian: apt-get install npm)" >&2; exit 1; }
	cd serving/web && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(WEB_STAMP): serving/web/tests/requirements.txt pyproject.toml requirements.lock
	$(PYTHON) -m venv --clear $(WEB_VENV)
	$(WEB_VENV)/bin/pip install --disable-pip-version-check -c requirements.lock -e . \
		-r serving/web/tests/requirements.txt
	@touch $@

$(SERVING_STAMP): pyproject.toml serving/kserve/pyproject.toml serving/kserve/requirements.lock | $(SERVING_BIN)/pip
	$(SERVING_BIN)/pip install --disable-pip-version-check -r serving/kserve/requirements.lock
	$(SERVING_BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation \
		-e . -e serving/kserve
	@touch $@

$(RAY_STAMP): pyproject.toml requirements.lock tests/wyner_serving/ray/requirements.txt | $(RAY_BIN)/pip
	$(RAY_BIN)/pip install --disable-pip-version-check -c requirements.lock -e '.[ray]' \
		-r tests/wyner_serving/ray/requirements.txt
	@touch $@

$(RELEASE_STAMP): release/requirements.txt | $(RELEASE_BIN)/pip
	$(RELEASE_BIN)/pip install --disable-pip-version-check -r release/requirements.txt

# mudata's pandas is older than that of requirements.lock.
$(READERS_STAMP): pyproject.toml | $(READERS_BIN)/pip
	$(READERS_BIN)/pip install --disable-pip-version-check \
		-e '.[bulk,export,sign,mudata,datasets,torch]' hypothesis pytest pytest-xdist \
		'mlflow-skinny>=3.17.2' 'wandb>=0.31.0'
	@touch $@

$(DOCS_STAMP): pyproject.toml docs/requirements.lock | $(DOCS_BIN)/pip
	$(DOCS_BIN)/pip install --disable-pip-version-check -r docs/requirements.lock
	$(DOCS_BIN)/pip install --disable-pip-version-check --no-deps -e .
	@touch $@

$(PEERS_STAMP): experiments/peers/requirements.lock | $(PEERS_BIN)/pip
	$(PEERS_BIN)/pip install --disable-pip-version-check -r experiments/peers/requirements.lock
	@touch $@
