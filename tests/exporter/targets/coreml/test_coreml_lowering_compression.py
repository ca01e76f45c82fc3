"""Compressed weights: nothing left out, few bits in the file, the values that compression means."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lowered_packages import (
    Runner,
    constants,
    lowered,
    operations,
    program_operations,
    scheme_of,
    weight_bytes,
)
from small_models import small_model

from exporter.errors import UserError
from exporter.model.config import SourceModel, Task
from exporter.quantization.calibration import reference_ranges
from exporter.quantization.compression import Compressed, Float32
from exporter.quantization.kept import KEPT
from exporter.verification.cases import verification_cases
from exporter.verification.parity import layer_parity
from exporter.verification.report import Check

pytestmark = pytest.mark.usefixtures("quick")

#: Precision and flavour: the older system's form of compression, and the newer one's.
FORMS = [
    ("int8", "ranged_logits", "constexpr_affine_dequantize"),
    ("int8", "logits", "constexpr_blockwise_shift_scale"),
    ("int4", "ranged_logits", "constexpr_blockwise_shift_scale"),
    ("palettized6", "ranged_logits", "constexpr_lut_to_dense"),
    ("palettized6", "logits", "constexpr_lut_to_dense"),
    ("palettized4", "ranged_logits", "constexpr_lut_to_dense"),
]
LAYOUTS = ("", "sequence_")


def model_of_blocks(task: Task = "sequence-classification") -> SourceModel:
    """Every matrix has whole blocks, in groups too, and more rows than entries in a table."""
    return small_model(task=task, hidden_size=128, intermediate_size=128, layers=1)


def matrices(model: SourceModel) -> dict[str, Float32]:
    return {name: t.numpy() for name, t in model.weights.items() if t.ndim == 2}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("precision", "flavour", "kind"), FORMS)
def test_stored_values_are_those_of_the_compression(
    precision: str, flavour: str, kind: str, layout: str, tmp_path: Path
) -> None:
    model = model_of_blocks()
    path = lowered(model, tmp_path, precision, f"{layout}{flavour}")
    compress = scheme_of(precision).compress
    assert compress is not None
    stored = constants(path, matrices(model))
    for name, matrix in matrices(model).items():
        compressed = compress(name, matrix)
        assert (compressed is None) == (name in KEPT)
        wanted = matrix.astype(np.float16) if compressed is None else compressed.values()
        found = stored[name].reshape(matrix.shape)
        np.testing.assert_array_equal(found, wanted, err_msg=name)
    assert len(operations(path, kind)) == len(matrices(model)) - len(KEPT)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("precision", "flavour", "kind"), FORMS)
def test_packages_equal_their_reference(
    precision: str, flavour: str, kind: str, layout: str, tmp_path: Path
) -> None:
    del kind
    ranged = flavour.startswith("ranged")
    model, scheme = model_of_blocks(), scheme_of(precision)
    path = lowered(model, tmp_path, precision, f"{layout}{flavour}")
    cases = verification_cases(model.config)
    if not ranged:
        cases = tuple(c for c in cases if c.inputs["input_ids"].shape[1] in (32, 40))
    runner = Runner(path, model.config.layers)
    reference = scheme.reference(model)
    check = layer_parity(runner, reference, cases, scheme.layer_tolerance, lambda _: None)
    assert check.passed, check.detail


@pytest.mark.parametrize(("precision", "flavour", "kind"), FORMS)
def test_levels_and_indices_take_their_bits(
    precision: str, flavour: str, kind: str, tmp_path: Path
) -> None:
    """A nibble that takes a byte, or a second copy of a table, shows in the file's size."""
    del kind
    model, scheme = model_of_blocks("masked-lm"), scheme_of(precision)
    assert scheme.compress is not None
    size = weight_bytes(lowered(model, tmp_path, precision, flavour))
    bits, pieces = 0, 0
    for name, matrix in matrices(model).items():
        compressed = scheme.compress(name, matrix)
        if compressed is None:
            bits += 16 * matrix.size
            pieces += 1
            continue
        side = compressed.scale if compressed.table is None else compressed.table
        assert side is not None
        bits += compressed.bits * matrix.size + 16 * side.size
        pieces += 2
    vectors = [tensor for tensor in model.weights.values() if tensor.ndim == 1]
    bits += sum(16 * tensor.numel() for tensor in vectors)
    # Every piece has an entry of 64 bytes, and both begin at multiples of 64.
    overhead = 64 + (pieces + len(vectors)) * (64 + 63)
    assert bits / 8 < size <= bits / 8 + overhead
    assert overhead < 0.1 * matrices(model)["layers.0.attention.query.weight"].size * pieces


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_epsilons_are_not_lost_in_fp16(precision: str, tmp_path: Path) -> None:
    """1e-12 would be 0. On most texts nobody would notice."""
    model = small_model("bert", layer_norm_epsilon=1e-5, layers=1)
    norms = operations(lowered(model, tmp_path, precision), "layer_norm")
    found = [norm.operands["epsilon"].values() for norm in norms]  # type: ignore[union-attr]
    assert [float(epsilon) for epsilon in found] == [2.0**-24, *[float(np.float16(1e-5))] * 2]
    assert {epsilon.dtype for epsilon in found} == {np.dtype(np.float16)}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int4"])
def test_a_tied_table_is_stored_once(precision: str, layout: str, tmp_path: Path) -> None:
    tied = small_model(task="masked-lm", layers=1, vocab_size=4000)
    untied = replace(tied, config=replace(tied.config, tied_decoder=False))
    table = tied.weights["embeddings.word.weight"]
    untied = replace(untied, weights={**tied.weights, "head.decoder.weight": table})
    paths = [
        lowered(model, tmp_path / str(i), precision, f"{layout}ranged_logits")
        for i, model in enumerate((tied, untied))
    ]
    small, large = map(weight_bytes, paths)
    per_value = {"fp32": 32, "fp16": 16, "int8": 8, "int4": 4}[precision]
    assert large - small >= table.numel() * per_value / 8
    (decoder,) = (o for o in operations(paths[0], "linear") if o.results[0].name == "head_decoder")
    lookup = operations(paths[0], "gather")[0]
    names = [getattr(o, "name", "") for o in (decoder.operands["weight"], lookup.operands["x"])]
    assert names == ["embeddings__word__weight"] * 2


def test_older_systems_have_no_blocks(tmp_path: Path) -> None:
    int8, int4 = scheme_of("int8"), scheme_of("int4")
    with pytest.raises(UserError, match="iOS 17 does not have"):
        lowered(model_of_blocks(), tmp_path, "int8", "fixed", replace(int8, compress=int4.compress))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("deployment", ["fixed_logits", "logits"])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
def test_tables_of_every_size(bits: int, deployment: str, tmp_path: Path) -> None:
    """Indices that do not fill their last byte among them."""
    generator = np.random.default_rng(bits)

    def compress(name: str, matrix: Float32) -> Compressed | None:
        if name != "layers.0.attention.key.weight":
            return None
        levels = generator.integers(0, 2**bits, matrix.shape, np.uint8)
        levels.flat[:2] = 0, 2**bits - 1
        made[name] = Compressed(levels, bits, table=generator.normal(size=(1, 2**bits)).astype("e"))
        return made[name]

    made: dict[str, Compressed] = {}
    model = small_model(hidden_size=9, heads=1, groups=(1, 3, 1, 1, 1, 1), layers=1)
    scheme = replace(scheme_of("int8"), compress=compress)
    path = lowered(model, tmp_path, "int8", deployment, scheme)
    ((name, wanted),) = made.items()
    found = constants(path, made)[name].reshape(wanted.levels.shape)
    np.testing.assert_array_equal(found, wanted.values())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_quantized_inputs(layout: str, tmp_path: Path) -> None:
    """Layers that read one tensor share a pair of operators; each pair stands before its layer."""
    model = small_model(groups=(2, 2, 2, 1, 4, 4))
    names = [
        name.removesuffix(".weight")
        for name in matrices(model)
        if name not in KEPT and "embeddings" not in name
    ]
    ranges = {
        name: 3.0 if name.split(".")[-1] in ("query", "key", "value") else 5.0 for name in names
    }
    model = replace(model, ranges=ranges)
    path = lowered(model, tmp_path, "w8a8", f"{layout}ranged_logits")
    found = program_operations(path)
    made = {output.name: o for o in found for output in o.outputs}

    def argument(operation: object, name: str) -> object:
        return made[operation.inputs[name].arguments[0].name]  # type: ignore[attr-defined]

    layers = [o for o in found if o.type in ("conv", "linear")]
    quantized = {o.outputs[0].name for o in layers if argument(o, "x").type == "dequantize"}  # type: ignore[attr-defined]
    assert quantized == {name.replace(".", "_") for name in names}
    # The last layer's queries are of the first token alone: they are another tensor.
    counts = Counter(o.type for o in found)
    assert counts["quantize"] == counts["dequantize"] == 4 + 5 + 1
    steps = {3.0: np.float16(3 / 127), 5.0: np.float16(5 / 127)}
    for operation in operations(path, "quantize"):
        step = np.asarray(operation.operands["scale"].values())  # type: ignore[union-attr]
        shared = re.search("attention_(query|key)_", operation.results[0].name)
        assert step == steps[3.0 if shared else 5.0]
        assert step.dtype == np.float16


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm"])
def test_quantized_inputs_equal_their_reference(task: Task, layout: str, tmp_path: Path) -> None:
    model, scheme = model_of_blocks(task), scheme_of("w8a8")
    cases = verification_cases(model.config)
    texts = [
        {name: values[row : row + 1] for name, values in case.inputs.items()}
        for case in cases
        for row in range(len(case.inputs["input_ids"]))
    ]
    model = replace(model, calibration=tuple(texts[:4]))
    model = replace(model, ranges=reference_ranges(model))
    path = lowered(model, tmp_path, "w8a8", f"{layout}ranged_logits")
    runner = Runner(path, model.config.layers)

    def difference(other: SourceModel) -> Check:
        reference = scheme.reference(other)
        return layer_parity(runner, reference, cases, scheme.layer_tolerance, lambda _: None)

    assert difference(model).passed
    wider = {name: 1.1 * largest for name, largest in model.ranges.items()}
    assert not difference(replace(model, ranges=wider)).passed


def test_ranges_count_only_where_the_scheme_quantizes_activations(tmp_path: Path) -> None:
    model = replace(small_model(layers=1), ranges={"layers.0.attention.query": 3.0})
    kinds = Counter(o.type for o in program_operations(lowered(model, tmp_path, "int8")))
    assert "quantize" not in kinds
