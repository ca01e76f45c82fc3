"""The gate on healthy Core ML packages, and what the target says of them."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import LABELS, MAX_POSITIONS, small_model
from small_packages import (
    BLOCKS,
    Packages,
    SmallPackage,
    contents,
    remembered_packages,
    warm_up,
    write_package,
)

from exporter.errors import UserError
from exporter.model.config import TASKS, Task
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import ArtifactSpec
from exporter.targets.coreml import TARGET
from exporter.targets.coreml.form import flavours
from exporter.verification.gate import prove

pytestmark = pytest.mark.usefixtures("quick")

PRECISIONS = ("fp32", "fp16", "int8", "int4", "palettized6", "palettized4", "w8a8")
#: Different counts in every layer, also of query, key and value, and around the activation.
MIXED = {"groups": (2, 4, 1, 2, 4, 2)}
QUERY = "layers.0.attention.query"


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return remembered_packages(lambda: tmp_path_factory.mktemp("package"))


def failures(package: SmallPackage) -> dict[str, str]:
    """Detail of every check that fails."""
    report, coverage = prove(TARGET, package.spec, package.path, package.model)
    assert report.passed == (not report.failures)
    assert coverage.operators
    return {check.name: check.detail for check in report.failures}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("flavour", ["optimized", "sequence"])
@pytest.mark.parametrize("task", TASKS)
def test_healthy_packages_pass(
    task: Task, flavour: str, precision: str, packages: Packages
) -> None:
    assert failures(packages(precision, flavour, task=task)) == {}


@pytest.mark.parametrize("flavour", ["optimized", "sequence_ranged_logits"])
@pytest.mark.parametrize("precision", ["int8", "int4", "palettized6", "palettized4", "w8a8"])
def test_every_precision_passes(precision: str, flavour: str, packages: Packages) -> None:
    """Of two layers: the last of a classifier computes one row only."""
    changes = BLOCKS if precision == "int4" else {}
    assert failures(packages(precision, flavour, layers=2, **changes)) == {}


@pytest.mark.parametrize("flavour", flavours())
def test_every_form_passes(flavour: str, packages: Packages) -> None:
    assert failures(packages("int8", flavour, family="bert")) == {}


@pytest.mark.parametrize(
    ("precision", "flavour", "lengths", "changes"),
    [
        ("fp32", "optimized", (8, 24, 33), {}),
        ("fp16", "sequence", (16,), {"task": "token-classification"}),
        ("int8", "fixed", (20,), {}),
        ("fp16", "sequence_fixed_logits", (1,), {}),
        ("fp16", "ranged", (20,), {"task": "question-answering"}),
        ("fp16", "optimized", (), {"max_positions": 5}),
        ("fp32", "sequence_ranged", (), {"max_positions": 1, "task": "masked-lm"}),
        ("fp16", "optimized", (), {"max_positions": 70, "task": "feature-extraction"}),
        ("fp16", "optimized", (), {"activation": "gelu_new", "task": "masked-lm"}),
        ("fp16", "sequence", (), {"activation": "silu", **MIXED}),
        ("fp32", "optimized", (), {"activation": "relu", **MIXED}),
        ("fp16", "sequence", (), {"task": "masked-lm", "tied_decoder": False}),
        ("w8a8", "ranged", (), {"task": "masked-lm", "tied_decoder": False}),
        ("w8a8", "fixed_logits", (), {"family": "bert", "task": "feature-extraction"}),
        ("int4", "optimized", (), {"task": "masked-lm"}),
    ],
)
def test_other_healthy_packages_pass(
    precision: str,
    flavour: str,
    lengths: tuple[int, ...],
    changes: dict[str, Any],
    packages: Packages,
) -> None:
    assert failures(packages(precision, flavour, lengths, **changes)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["optimized", "sequence_ranged"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("family", "task"), list(product(("squeezebert", "bert"), TASKS)))
def test_every_kind_of_package_passes(
    family: str, task: Task, precision: str, flavour: str, packages: Packages
) -> None:
    changes = {**BLOCKS, "heads": 8} if precision == "int4" else {"activation": "gelu_new"}
    package = packages(precision, flavour, family=family, task=task, layers=2, **changes)
    assert failures(package) == {}


#: What becomes of a matrix, by precision: the stored types of an embedding table and of a layer.
TYPES = {
    "fp32": ("float32", "float32"),
    "fp16": ("float16", "float16"),
    "int8": ("int8", "int8"),
    "int4": ("int4", "int4"),
    "palettized6": ("palette6", "palette6"),
    "palettized4": ("palette4", "palette4"),
    "w8a8": ("int8", "int8"),
}


@pytest.mark.parametrize("flavour", ["optimized", "sequence_ranged_logits"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_stored_and_why(precision: str, flavour: str, packages: Packages) -> None:
    changes = BLOCKS if precision == "int4" else {}
    package = packages(precision, flavour, layers=2, **changes)
    config, task = package.model.config, package.model.task
    found = TARGET.coverage(package.path, precision, config, task, len(LABELS))
    assert found.violations == ()
    assert found.weights.keys() == package.model.weights.keys()
    table, matrix = TYPES[precision]
    wide = "float32" if precision == "fp32" else "float16"
    for name, tensor in package.model.weights.items():
        kept = name in KEPT or tensor.ndim == 1
        compressed = table if name.startswith("embeddings.") else matrix
        assert found.weights[name] == (wide if kept else compressed), name
        whole = precision in ("fp32", "fp16")
        assert (name in found.kept) == (kept and not whole), name
    assert found.operators["layer_norm"] == 1 + 2 * config.layers


def test_int4_leaves_what_has_no_blocks_in_int8(packages: Packages) -> None:
    """Of 32 channels in 4 groups, only post-attention and pooler read 32 at a time."""
    package = packages("int4", "optimized")
    found = TARGET.coverage(
        package.path, "int4", package.model.config, package.model.task, len(LABELS)
    )
    assert found.violations == ()
    assert found.weights["head.pooler.weight"] == "int4"
    assert found.weights["embeddings.word.weight"] == "int4"
    assert found.weights[f"{QUERY}.weight"] == "int8"
    assert "no whole blocks" in found.kept[f"{QUERY}.weight"]


def test_another_precision_is_no_promise_kept(packages: Packages) -> None:
    model = packages("int8", "optimized", layers=2).model
    for stored, promised, bits in (("int8", "int4", 4), ("fp16", "int8", 8), ("int8", "fp16", 16)):
        path = packages(stored, "optimized", layers=2).path
        found = TARGET.coverage(path, promised, model.config, model.task, len(LABELS)).violations
        width = {"int8": 8, "fp16": 16}[stored]
        name = "head.pooler.weight"
        assert f"{name} is stored with {width} bits, {promised} promises {bits}" in found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_are_read_back_as_they_are_computed(precision: str, packages: Packages) -> None:
    """Bit by bit those of the scheme's reference, every one once."""
    changes = BLOCKS if precision == "int4" else {}
    package = packages(precision, "optimized", layers=2, **changes)
    model = package.model
    stored = list(TARGET.stored_weights(package.path, model.config, model.task))
    found = {tensor.name: tensor.values for tensor in stored}
    assert len(stored) == len(found) == len(model.weights)
    scheme = TARGET.scheme(precision)
    ranges = TARGET.activation_ranges(package.path)
    assert bool(ranges) == (precision == "w8a8")
    reference = find_scheme(scheme).reference(replace(model, ranges=ranges))
    for name, expected in reference.module.state_dict().items():
        np.testing.assert_array_equal(found[name], expected.numpy(), name)


def test_ranges_are_those_of_every_quantized_input(packages: Packages) -> None:
    package = packages("w8a8", "optimized", layers=2)
    ranges = TARGET.activation_ranges(package.path)
    parts = ("query", "key", "value", "output")
    layers = [f"layers.{n}.attention.{part}" for n in (0, 1) for part in parts]
    layers += [f"layers.{n}.feed_forward.{part}" for n in (0, 1) for part in parts[-1:]]
    layers += [f"layers.{n}.feed_forward.intermediate" for n in (0, 1)]
    assert ranges.keys() == {*layers, "head.pooler"}
    assert min(ranges.values()) > 0
    for n in (0, 1):
        shared = {ranges[f"layers.{n}.attention.{part}"] for part in parts[:3]}
        assert len(shared) == 1


def test_w8a8_needs_texts(tmp_path: Path) -> None:
    (spec,) = TARGET.artifacts(("w8a8",), ("optimized",))
    with pytest.raises(UserError, match=r"no text to calibrate with.*--calibration-data"):
        TARGET.write(small_model(layers=1), spec, tmp_path / "model.mlpackage", {})
    assert not list(tmp_path.iterdir())


def test_the_same_model_gives_the_same_files(packages: Packages, tmp_path: Path) -> None:
    for precision in ("fp16", "w8a8"):
        package = packages(precision, "optimized", task="masked-lm")
        again = write_package(package.model, tmp_path, precision)
        assert dict(contents(again.path)) == dict(contents(package.path))


def test_signatures(packages: Packages) -> None:
    """One text; by token as many rows as there are tokens, also where the length is fixed."""
    inputs, outputs = TARGET.signature(packages("fp16", "optimized").path)
    assert [(i.name, i.dtype, i.shape) for i in inputs] == [
        (name, "int32", (1, "sequence"))
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [(o.name, o.dtype, o.shape) for o in outputs] == [("logits", "float32", (1, 3))]
    by_task: dict[Task, list[tuple[str, tuple[int | str, ...]]]] = {
        "token-classification": [("logits", (1, "sequence", 3))],
        "question-answering": [
            ("start_logits", (1, "sequence")),
            ("end_logits", (1, "sequence")),
        ],
        "masked-lm": [("logits", (1, "sequence", 60))],
        "feature-extraction": [("last_hidden_state", (1, "sequence", 32))],
    }
    for task, expected in by_task.items():
        for flavour in ("optimized", "sequence_fixed_logits"):
            _, outputs = TARGET.signature(packages("fp16", flavour, task=task).path)
            assert [(output.name, output.shape) for output in outputs] == expected


def test_lengths(packages: Packages) -> None:
    assert TARGET.lengths(packages("fp16", "optimized").path) == (32, MAX_POSITIONS)
    assert TARGET.lengths(packages("fp32", "optimized", (8, 24, 33)).path) == (8, 24, 33)
    assert TARGET.lengths(packages("int8", "fixed", (20,)).path) == (20,)
    assert TARGET.lengths(packages("fp16", "sequence_ranged_logits").path) == ()


def test_metadata(packages: Packages) -> None:
    package = packages("fp16", "optimized")
    said = TARGET.metadata(package.path)
    assert json.loads(said["labels"]) == list(LABELS)
    assert json.loads(said["lengths"]) == ["enumerated", 32, MAX_POSITIONS]
    expected = {
        "task": "sequence-classification",
        "precision": "fp16",
        "flavour": "optimized",
        "max_positions": str(MAX_POSITIONS),
        "vocab_size": "60",
        "token_types": "2",
        "pad_token_id": "0",
        "layout": "neural_engine",
        "deployment_target": "iOS18",
    }
    assert {key: said[key] for key in expected} == expected
    assert not [key for key in said if "coremltools" in key]
    older = TARGET.metadata(packages("int8", "sequence_ranged_logits", layers=2).path)
    assert (older["deployment_target"], older["layout"]) == ("iOS17", "sequence")
    assert json.loads(older["lengths"]) == ["ranged", MAX_POSITIONS]


def test_what_there_is() -> None:
    usual = TARGET.artifacts((), ("optimized",))
    assert [(spec.precision, spec.path) for spec in usual] == [
        ("fp16", "coreml/model_fp16.mlpackage"),
        ("int8", "coreml/model_int8.mlpackage"),
    ]
    everything = TARGET.artifacts(PRECISIONS, flavours())
    assert len({spec.path for spec in everything}) == len(PRECISIONS) * 12
    assert TARGET.artifacts(("fp16", "int3"), ("buckets", "optimized")) == (
        ArtifactSpec("coreml", "fp16", "optimized", "coreml/model_fp16.mlpackage"),
    )
    assert TARGET.takes_lengths("sequence_fixed")
    assert not TARGET.takes_lengths("portable")
    assert "not run on CoreML" in TARGET.not_run(usual[0])
    assert TARGET.fingerprint() == TARGET.fingerprint()
