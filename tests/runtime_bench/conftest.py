"""Bundles with tiny models, and a device whose runners are scripted."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime_bench.devices.base import Fingerprint, Snapshot
from runtime_bench.errors import RunnerError
from runtime_bench.plan import Plan, Settings, make_plan

MakeBundle = Callable[..., Path]
HIDDEN, VOCABULARY, LABELS = 16, 50, 3


def tiny_model(weight_scale: float = 1.0, seed: int = 0) -> bytes:
    """logits = mean over tokens of (embedding * mask) @ classifier."""
    generator = np.random.default_rng(seed)
    embedding = generator.standard_normal((VOCABULARY, HIDDEN), dtype=np.float32) * weight_scale
    classifier = generator.standard_normal((HIDDEN, LABELS), dtype=np.float32)
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["embedded", "column"], ["masked"]),
        helper.make_node("ReduceMean", ["masked", "tokens"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "classifier"], ["logits"]),
    ]
    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])],
        [
            numpy_helper.from_array(embedding, "embedding"),
            numpy_helper.from_array(classifier, "classifier"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "tokens"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def write_bundle(
    folder: Path,
    *,
    family: str = "squeezebert",
    recipe: str = "squeezebert-export",
    source: str = "random:tiny",
    artifacts: Sequence[tuple[str, str, str]] = (("onnx/model.onnx", "fp32", "optimized"),),
    contents: Mapping[str, bytes] | None = None,
    max_positions: int = 64,
    accuracy: Mapping[str, Any] | None = None,
) -> Path:
    """A bundle; ``artifacts`` are (path, precision, flavour), ``contents`` overrides files."""
    items = []
    for path, precision, flavour in artifacts:
        content = (contents or {}).get(path, tiny_model())
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        stored = {"path": path, "bytes": len(content), "sha256": digest}
        items.append(
            {
                **stored,
                "target": path.split("/")[0],
                "precision": precision,
                "flavour": flavour,
                "files": [stored],
                "fingerprint": "f" * 64,
                "inputs": [
                    {"name": name, "dtype": "int64", "shape": ["batch", "sequence"]}
                    for name in ("input_ids", "attention_mask")
                ],
                "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", LABELS]}],
                "accuracy": accuracy,
            }
        )
    groups = 1 if family == "bert" else 4
    names = ("query", "key", "value", "post_attention", "intermediate", "output")
    document = {
        "schema": "squeezebert-bundle/1",
        "recipe": recipe,
        "labels": ["a", "b", "c"],
        "model": {
            "source": source,
            "source_hash": "0" * 64,
            "architecture": "Tiny",
            "family": family,
            "task": "sequence-classification",
            "trained": False,
            "vocab_size": VOCABULARY,
            "max_positions": max_positions,
            "layers": 2,
            "hidden_size": HIDDEN,
            "heads": 4,
            "intermediate_size": 32,
            "groups": dict.fromkeys(names, groups),
        },
        "artifacts": items,
    }
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Writes a bundle called ``name`` (see write_bundle) and gives its folder."""

    def make(name: str = "bundle", **options: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        return write_bundle(folder, **options)

    return make


@pytest.fixture
def two_entries(make_bundle: MakeBundle) -> Plan:
    """A subject, a baseline and the matrix product, one case, four rounds."""
    subject = make_bundle("subject")
    baseline = make_bundle("baseline", family="bert", recipe="stock")
    return make_plan(
        [str(subject)],
        baselines=[str(baseline)],
        lengths=[8],
        settings=Settings(blocks=4, seconds_per_block=0.01),
    )


class ScriptedDevice:
    """A device on which time is a counter and every answer is made up.

    ``speed(entry address, now)`` gives the nanoseconds of one inference at virtual time ``now``
    (0, 1, 2, ...: one tick a block). ``faults`` maps (address, command, count) to an exception.
    """

    name = "scripted"

    def __init__(self, speed: Callable[[str, int], int] = lambda _address, _now: 1000) -> None:
        self.speed = speed
        self.now = 0
        self.log: list[tuple[str, str]] = []
        self.faults: dict[tuple[str, str, int], BaseException] = {}
        self.open_runners = 0

    def fingerprint(self) -> Fingerprint:
        return Fingerprint("scripted", "none", "none", 1, (), 1, "none", False, {})

    def versions(self) -> Mapping[str, str]:
        return {"scripted": "1"}

    def targets(self) -> frozenset[str]:
        return frozenset({"onnx", "sgemm"})

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:
        assert path in files
        return f"{folder.name}/{path}"

    def start(self, target: str, limit: float) -> "ScriptedRunner":
        assert target in self.targets()
        assert limit > 0
        self.open_runners += 1
        return ScriptedRunner(self)

    def snapshot(self) -> Snapshot:
        return Snapshot(float(self.now), 0.0, 0.0)

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[()]:
        assert threads
        assert memory_bytes > 0
        return ()


class ScriptedRunner:
    versions: Mapping[str, str] = {"runtime": "1"}

    def __init__(self, device: ScriptedDevice) -> None:
        self._device, self._address, self._counts = device, "", dict[str, int]()
        self._closed = False

    def request(self, command: Mapping[str, Any], limit: float) -> Mapping[str, Any]:
        assert limit > 0
        name = str(command["command"])
        self._address = command.get("model", self._address)
        self._counts[name] = self._counts.get(name, 0) + 1
        self._device.log.append((self._address, name))
        fault = self._device.faults.get((self._address, name, self._counts[name]))
        if fault is not None:
            raise fault
        return self._answers(name)

    def _answers(self, name: str) -> Mapping[str, Any]:
        if name == "load":
            return {"load_ns": 5, "rss_before_bytes": 10, "peak_rss_bytes": 20}
        if name == "prepare":
            output = {"shape": [1, 2], "finite": True, "sha256": "0" * 64, "values": [1.0, 2.0]}
            return {"first_inference_ns": 7, "outputs": {"logits": output}}
        if name == "warm_up":
            return {"steady": True, "wall_ns": [3, 3]}
        nanoseconds = self._device.speed(self._address, self._device.now)
        self._device.now += 1
        return {
            "lead_in_ns": [nanoseconds],
            "wall_ns": [nanoseconds] * 5,
            "cpu_ns": [nanoseconds] * 5,
            "peak_rss_bytes": 30,
        }

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._device.open_runners -= 1


@pytest.fixture
def scripted() -> type[ScriptedDevice]:
    return ScriptedDevice


@pytest.fixture
def runner_error() -> RunnerError:
    return RunnerError("The runner was ended by SIGKILL.", "Try again.")
