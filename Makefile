# make demo    set everything up and show the main job     (ARGS="--keep" is handed to the demo)
# make test    set everything up and run the test suite    (ARGS="-k settings" is handed to pytest)
# make faults  kill the daemon, stop the broker, cut the network, fill the disk and flip bits of its
#              files at random, and count what arrives, about 15 minutes     (ARGS="--seed 7 --kills 20" is handed on);
#              then inject each fault by itself and in pairs, and take the times, about 20 minutes
#              (INJECTED='--only "camera black" --singles' is handed on)
# make fuzz    send 100,000 hostile payloads to a running device, on every topic that it subscribes to;
#              about 5 minutes     (EXAMPLES=2000 sends fewer, EDGEFACE_FUZZ_SEED=... the same again)
# make check   lint, formatting and types
# make contract     write docs/schema and docs/asyncapi.yaml anew from the code's types
# make test-train   run the training recipe on a tiny sample, in an environment of its own
# make test-tflite  run both models with tflite-runtime 2.14 alone, in an environment of its own
# make peers   make the environment of the systems that `edgeface bench peers` compares with; ten minutes
# make install, make uninstall   as root: program, user, service, timers and udev rules of this machine;
#              configuration and gallery are kept
# make deb     the same as a Debian package, in dist/, for the Debian and the architecture it is made on
# make clean   remove what these made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
EXAMPLES ?= 100000
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: help demo test faults fuzz check contract test-train test-tflite peers install uninstall deb clean mosquitto
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# //p' Makefile

demo: $(VENV)/.made mosquitto $(VENV)/.demo
	PATH="$$PATH:/usr/sbin" $(BIN)/edgeface demo $(ARGS)

test: $(VENV)/.made mosquitto $(VENV)/.dev
	PATH="$$PATH:/usr/sbin" $(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

faults: $(VENV)/.made mosquitto $(VENV)/.dev
	PATH="$$PATH:/usr/sbin" timeout 1500 $(BIN)/python -m tests.faults $(ARGS)
	PATH="$$PATH:/usr/sbin" timeout 2400 $(BIN)/python -m tests.faults --injected $(INJECTED)

fuzz: $(VENV)/.made mosquitto $(VENV)/.dev
	PATH="$$PATH:/usr/sbin" EDGEFACE_FUZZ_EXAMPLES=$(EXAMPLES) timeout 3600 $(BIN)/python -m pytest -s \
	  tests/service/test_hostile_payloads.py $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

contract: $(VENV)/.dev
	$(BIN)/python -m edgeface.contract.documents --write docs

# TensorFlow and torch are too large for everyone's environment.
test-train: .venv-train/.done
	.venv-train/bin/python -m pytest models/training/tests

.venv-train/.done: setup.cfg pyproject.toml constraints/train.txt
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/python -m pip --disable-pip-version-check --no-input install -q \
	  -c constraints/train.txt -e '.[train]' pytest pytest-timeout
	touch $@

# tflite-runtime has no wheels for Python 3.12 and later.
test-tflite: .venv-tflite/.done
	.venv-tflite/bin/python -m pytest tests/inference tests/cli/test_models_verb.py

.venv-tflite/.done: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-tflite
	.venv-tflite/bin/python -m pip --disable-pip-version-check --no-input install -q \
	  -e '.[tflite]' 'opencv-python-headless<4.12' pytest pytest-timeout hypothesis flatbuffers
	# Without ai-edge-litert, but for the module that the tests build models with.
	cp .venv-tflite/lib/python3*/site-packages/ai_edge_litert/schema_py_generated.py .venv-tflite/
	.venv-tflite/bin/python -m pip --disable-pip-version-check uninstall -q -y ai-edge-litert
	mv .venv-tflite/schema_py_generated.py .venv-tflite/lib/python3*/site-packages/
	touch $@

peers: .venv-peers/.done

.venv-peers/.done: constraints/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check --no-input install -q 'setuptools<81' wheel cmake
	PATH="$$PWD/.venv-peers/bin:$$PATH" .venv-peers/bin/python -m pip --disable-pip-version-check \
	  --no-input install -q --no-build-isolation -r constraints/peers.txt
	touch $@

install uninstall:
	PYTHON=$(PYTHON) systemd/install.sh $@

deb:
	systemd/deb.sh

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edgeface needs Python 3.11 or later; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "could not make $(VENV): install python3-venv (apt-get install python3-venv)" >&2; exit 1; }
	touch $@

# pip runs again only when what has to be installed has changed.
$(VENV)/.demo: $(VENV)/.made setup.cfg pyproject.toml
	$(PIP) install -q -e .
	touch $@

$(VENV)/.dev: $(VENV)/.made setup.cfg pyproject.toml
	$(PIP) install -q -e '.[dev]'
	touch $@ $(VENV)/.demo

mosquitto:
	@PATH="$$PATH:/usr/sbin"; command -v mosquitto >/dev/null && exit 0; \
	command -v apt-get >/dev/null || { echo "install the MQTT broker mosquitto first" >&2; exit 1; }; \
	if [ "$$(id -u)" = 0 ]; then sudo=; \
	elif command -v sudo >/dev/null; then sudo=sudo; \
	else echo "mosquitto is missing and there is no sudo: as root, apt-get install mosquitto" >&2; exit 1; fi; \
	echo "installing mosquitto from Debian"; \
	$$sudo apt-get update -q && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mosquitto || \
	  { echo "could not install mosquitto: as root, apt-get install mosquitto" >&2; exit 1; }

clean:
	rm -rf $(VENV) .venv-train .venv-tflite .venv-peers build dist *.egg-info
