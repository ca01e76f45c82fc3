# The two commands of the README, and their parts. Python 3.11 is all they need; the app wants Java.
PYTHON ?= python3.11
UV_VERSION := 0.13.8
BIN := .venv/bin
OUT ?= out
INTENTS := exporter/examples/intents/clinc_test.tsv.gz

# CPU-only PyTorch instead of PyPI's CUDA build: make setup TORCH=cpu
TORCH ?= default

# The small trained models that the Android app comes with, or others: make apk BUNDLES="A B"; more
# for the build of the APK, such as APK_OPTIONS=-Donnxruntime.aar=FILE: android_app/README.md.
EXAMPLES := nli intents
BUNDLES ?= $(EXAMPLES:%=$(OUT)/app/%)
comma := ,
empty :=
MAVEN := mvn --batch-mode --quiet -Dstyle.color=never --file android_app \
	-Dbundles=$(subst $(empty) $(empty),$(comma),$(abspath $(BUNDLES)))

.PRECIOUS: $(OUT)/app/%/onnx/model_int8.onnx
.PHONY: help setup native demo apk check-apk test test-app test-app-slow test-slow lint lock clean

help:
	@echo "make demo       set up, export, verify and measure the example and base-size models"
	@echo "make apk        the Android app with two small models (JDK 17 and Maven; about 5 minutes)"
	@echo "make test       set up and run the tests (about 20 minutes)"
	@echo "make test-slow  the tests that need full-size models or minutes"
	@echo "make setup      only install into .venv (TORCH=cpu: without CUDA)"
	@echo "make native     build the native runners for phones, this machine and the emulated Arm device"
	@echo "make lint       style and types"
	@echo "make lock       renew requirements.lock from pyproject.toml"

setup: .venv/installed-$(TORCH)

.venv/uv-$(UV_VERSION):
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/installed-default: requirements.lock pyproject.toml .venv/uv-$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.venv/installed-cpu: requirements.lock pyproject.toml .venv/uv-$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu --editable .[dev]
	@touch $@

native: setup
	$(BIN)/python -m runtime_bench.native.set_up

demo: setup
	$(BIN)/squeezebert-export build example:intents $(OUT)/intents --target onnx,executorch \
		--eval-data $(INTENTS)
	$(BIN)/squeezebert-export build random:squeezebert-base $(OUT)/squeezebert-base
	$(BIN)/squeezebert-export build random:squeezebert-base $(OUT)/squeezebert-base \
		--target executorch --precision int8
	$(BIN)/squeezebert-export build random:bert-base $(OUT)/bert-base --precision fp32,int8
	$(BIN)/squeezebert-export baseline random:bert-base $(OUT)/stock-bert-base \
		--target onnx,executorch
	$(BIN)/squeezebert-export baseline random:squeezebert-base $(OUT)/stock-squeezebert-base
	rm -f $(OUT)/latency.jsonl
	$(BIN)/squeezebert-bench run $(OUT)/squeezebert-base --out $(OUT)/latency.jsonl --blocks 6 \
		--baseline $(OUT)/stock-bert-base $(OUT)/bert-base $(OUT)/stock-squeezebert-base
	$(BIN)/squeezebert-bench report $(OUT)/latency.jsonl --out $(OUT)/report

$(OUT)/app/%/onnx/model_int8.onnx: | setup
	$(BIN)/squeezebert-export build example:$* $(OUT)/app/$* --target onnx --precision int8

$(OUT)/app/%/executorch/model_int8.pte: $(OUT)/app/%/onnx/model_int8.onnx
	$(BIN)/squeezebert-export build example:$* $(OUT)/app/$* --target executorch --precision int8

HAVE_JAVA := command -v javac > /dev/null && command -v mvn > /dev/null
INSTALL_JAVA := install a JDK 17 and Maven (runtime_bench/install_system_packages.sh).
APKS := android_app/app/target

# What is missing is said before the minutes that the exports take.
check-apk:
	@$(HAVE_JAVA) || { echo "The app cannot be built: $(INSTALL_JAVA)" >&2; exit 2; }
	@for bundle in $(filter-out $(EXAMPLES:%=$(OUT)/app/%),$(BUNDLES)); do \
		[ -f "$$bundle/manifest.json" ] || { echo "$$bundle is not a bundle. Make one there with:" \
			"squeezebert-export build MODEL $$bundle" >&2; exit 2; }; \
	done

apk: check-apk $(patsubst %,%/executorch/model_int8.pte,$(filter $(EXAMPLES:%=$(OUT)/app/%),$(BUNDLES)))
	rm -f $(APKS)/squeezebert-*.apk $(APKS)/engines.txt
	$(MAVEN) $(APK_OPTIONS) -Dmaven.test.skip package
	@cat $(APKS)/engines.txt
	@echo "Next: adb install -r $(APKS)/squeezebert-arm64-v8a.apk (x86_64 is for emulators)"

# On a machine without Java the app is left out; CI must not do so in silence.
define test-the-app
@if $(HAVE_JAVA); then \
	echo "$(MAVEN) $(1)"; $(MAVEN) $(1); \
else \
	echo "The Android app is not tested: $(INSTALL_JAVA)" >&2; \
	[ -z "$$CI" ]; \
fi
endef

# Slow is what packs the APK and looks into it.
test-app test-app-slow: $(EXAMPLES:%=$(OUT)/app/%/onnx/model_int8.onnx)

test-app:
	$(call test-the-app,test)

test-app-slow:
	$(call test-the-app,-Pslow verify)

# Two processes at a time; a file's tests share what they built.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test: setup lint test-app
	$(PYTEST)

test-slow: setup test-app-slow
	$(PYTEST) -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: .venv/uv-$(UV_VERSION)
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.11 \
		--extra dev pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv .native $(OUT) android_app/.downloads android_app/*/target
