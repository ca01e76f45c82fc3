"""What is quantized in an ONNX artifact, held against the promise of its precision."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.kept import KEPT
from exporter.quantization.mix import (
    METHODS,
    TABLE_METHODS,
    Mix,
    check_mix,
    is_table,
    read_mix,
    uniform_mix,
)
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Coverage
from exporter.targets.onnx.mixed import INT4, LINEAR_METHODS
from exporter.targets.onnx.names import WORTH, parse
from exporter.targets.onnx.stored import FLOAT_PRODUCTS, INTEGER_PRODUCTS, bits, reads

_TYPES = {32: "float32", 16: "float16", 8: "int8", 4: "int4"}

#: What else than integer products may read a quantized matrix: lookups in embedding tables.
_LEVEL_READERS = (*INTEGER_PRODUCTS, "Gather", "Slice")


@dataclass(frozen=True)
class _Promise:
    """``narrowest`` width of a precision; ``widths`` of weights that have one of their own.

    ``reasons`` say why one of these is wider than the narrowest. ``broken``: what forbids to tell.
    """

    narrowest: int
    widths: Mapping[str, int]
    reasons: Mapping[str, str]
    broken: tuple[str, ...] = ()


def coverage(
    model: onnx.ModelProto, precision: str, config: EncoderConfig, task: Task, labels: int
) -> Coverage:
    """Stored types and operators, and where they break the promise of ``precision``.

    What ``mixed`` promises is the mix that the metadata say.
    """
    promise = _promise(model, precision, config, task)
    expected = weight_shapes(config, task, labels)
    kept: dict[str, str] = {}
    violations = list(promise.broken)
    widths: dict[str, set[int]] = defaultdict(set)
    for tensor in model.graph.initializer:
        stored = parse(tensor.name)
        if stored is not None and stored.part not in WORTH:
            widths[stored.name].add(bits(tensor, stored.part) or 64)
    # The widest group counts: one group left wide is a weight left wide.
    widest = {name: max(found) for name, found in widths.items()}
    for name, width in widest.items():
        if name not in expected:
            violations.append(f"{name} is no weight of the model")
            continue
        promised = promise.widths.get(name, promise.narrowest)
        plain = None if name in promise.widths else _reason(name, len(expected[name]))
        wide = f"{name} is stored with {width} bits, {precision} promises {promised}"
        if (narrow := min(widths[name])) < promised:
            violations.append(
                f"{name} is stored with only {narrow} bits, {precision} promises {promised}"
            )
        elif width > promised and (plain is None or width not in _TYPES):
            violations.append(wide)
        elif width > promise.narrowest:
            kept[name] = plain or promise.reasons[name]
    violations += _float_products(model, promise)
    operators = Counter(
        f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for node in model.graph.node
    )
    return Coverage(
        {name: _TYPES.get(width, "other") for name, width in sorted(widest.items())},
        dict(sorted(operators.items())),
        kept,
        tuple(violations),
    )


def _promise(model: onnx.ModelProto, precision: str, config: EncoderConfig, task: Task) -> _Promise:
    if precision == "int4":
        mix = uniform_mix(config, task, *INT4)
        reasons = {
            f"{name}.weight": "an embedding table" if is_table(name) else "no whole blocks of 32"
            for name in mix.methods
        }
        return _Promise(4, _widths(mix), reasons)
    if precision != "mixed":
        return _Promise(find_scheme(precision).weight_bits, {}, {})
    text = next((e.value for e in model.metadata_props if e.key == "mix"), "")
    try:
        mix, _ = read_mix(text)
        check_mix(mix, config, task, LINEAR_METHODS)
    except (ValueError, UserError) as error:
        message = error.message if isinstance(error, UserError) else str(error)
        return _Promise(4, {}, {}, (f"the mix in the metadata is none: {message}",))
    reasons = {f"{name}.weight": f"{method} in the mix" for name, method in mix.methods.items()}
    return _Promise(4, _widths(mix), reasons)


def _widths(mix: Mix) -> dict[str, int]:
    return {
        f"{name}.weight": TABLE_METHODS[method] if is_table(name) else METHODS[method].bits
        for name, method in mix.methods.items()
    }


def _float_products(model: onnx.ModelProto, promise: _Promise) -> Iterator[str]:
    """Matrices that a quantized artifact multiplies in fp32, or dequantizes in order to do so."""
    for operator, stored, _ in reads(model):
        width = promise.widths.get(stored.name, promise.narrowest)
        matrix = stored.name.endswith(".weight") and stored.name not in KEPT and width <= 8
        if matrix and (
            operator in FLOAT_PRODUCTS or (stored.part and operator not in _LEVEL_READERS)
        ):
            yield f"{stored.name} is multiplied in fp32 ({operator})"


def _reason(name: str, dimensions: int) -> str | None:
    """Why a weight may stay wider than the scheme's type; None: it may not."""
    if dimensions == 1:
        return "a vector (bias or LayerNorm): a thousandth of the size"
    return KEPT.get(name)
