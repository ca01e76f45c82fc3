"""Reads an ONNX file back: its weights under the source's names, its structure, its coverage."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, numpy_helper

from exporter.errors import REBUILD, UserError
from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array, Coverage, StoredTensor
from exporter.targets.onnx.names import StoredName, parse

_BITS = {TensorProto.FLOAT: 32, TensorProto.FLOAT16: 16, TensorProto.INT8: 8}
_TYPES = {32: "float32", 16: "float16", 8: "int8"}

#: Products of a matrix and activations. In an int8 artifact none may read a float matrix.
_FLOAT_PRODUCTS = ("Gemm", "MatMul")
_INT8_PRODUCTS = ("MatMulIntegerToFloat", "MatMulInteger")
#: What else may read an int8 matrix: lookups in embedding tables, and the tied decoder.
_INT8_READERS = (*_INT8_PRODUCTS, "Gather", "Slice", "Transpose")


def read(path: Path, weights: bool = True) -> onnx.ModelProto:
    """The model on disk, with external data if ``weights``. UserError for a damaged file."""
    try:
        return onnx.load(path, load_external_data=weights)
    except Exception as error:  # protobuf and onnx raise unrelated types
        raise UserError(
            f"{path} is no readable ONNX file ({type(error).__name__}).",
            REBUILD,
        ) from error


def files(path: Path) -> tuple[Path, ...]:
    """The file and, where its weights lie outside, their files."""
    model = read(path, weights=False)
    outside = {
        path.parent / external_data_helper.ExternalDataInfo(tensor).location
        for tensor in model.graph.initializer
        if external_data_helper.uses_external_data(tensor)
    }
    return (path, *sorted(outside))


def structure(model: onnx.ModelProto) -> str:
    """SHA-256 of everything but the values of the weights, labels and other metadata.

    Constants that are no weight (shapes, the mask's values) count with their values.
    """
    bare = onnx.ModelProto()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    bare.graph.sparse_initializer.extend(model.graph.sparse_initializer)
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True))
    for tensor in sorted(model.graph.initializer, key=lambda tensor: str(tensor.name)):
        digest.update(f"{tensor.name}:{tensor.data_type}:{list(tensor.dims)}".encode())
        if parse(tensor.name) is None:
            digest.update(numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()


def stored_weights(model: onnx.ModelProto) -> Iterator[StoredTensor]:
    """Every weight, its groups joined again and in the source's orientation, dequantized.

    A weight with a part missing, or with parts that do not fit together, comes without values.
    """
    parts: dict[str, dict[tuple[int, str], TensorProto]] = defaultdict(dict)
    for tensor in model.graph.initializer:
        stored = parse(tensor.name)
        if stored is not None:
            parts[stored.name][stored.group or 0, stored.part] = tensor
    transposed = _transposed(model)
    for name, tensors in parts.items():
        try:
            yield _joined(name, tensors, name in transposed)
        except (KeyError, ValueError, IndexError):
            nothing = np.empty((0, 0), np.float32)
            yield StoredTensor(name, nothing, nothing, 0)


def _joined(
    name: str, tensors: Mapping[tuple[int, str], TensorProto], transposed: bool
) -> StoredTensor:
    groups = sorted({group for group, _ in tensors})
    pieces = [_piece(group, tensors, transposed) for group in groups]
    return StoredTensor(
        name,
        np.concatenate([values for values, _, _ in pieces]),
        np.concatenate([step for _, step, _ in pieces]),
        min(bits for _, _, bits in pieces),
    )


def _piece(
    group: int, tensors: Mapping[tuple[int, str], TensorProto], transposed: bool
) -> tuple[Array, Array, int]:
    """Values [rows, columns] (or [size]), step [rows, 1] (or [size]) and bits of one group."""
    if (group, "int8") in tensors:
        levels = numpy_helper.to_array(tensors[group, "int8"]).astype(np.float32)
        scale = numpy_helper.to_array(tensors[group, "scale"])[:, None]
        return (levels.T if transposed else levels) * scale, scale, 8
    tensor = tensors[group, ""]
    values = numpy_helper.to_array(tensor).astype(np.float32)
    values = values.T if transposed else values
    return values, np.zeros((len(values),) + (1,) * (values.ndim - 1), np.float32), _bits(tensor)


def _bits(tensor: TensorProto) -> int:
    return _BITS.get(tensor.data_type, 0)


def _transposed(model: onnx.ModelProto) -> set[str]:
    """Names of the weights that products read as [inputs, outputs]."""
    names = set()
    for operator, name, flipped in _reads(model):
        if operator in (*_FLOAT_PRODUCTS, *_INT8_PRODUCTS) and not flipped:
            names.add(name.name)
    return names


def _reads(model: onnx.ModelProto) -> Iterator[tuple[str, StoredName, bool]]:
    """(operator, weight, whether it is transposed on the way) for every use of a weight.

    Casts and transpositions of a constant are looked through.
    """
    sources: dict[str, tuple[str, bool]] = {}
    for node in model.graph.node:
        if node.op_type in ("Cast", "Transpose") and len(node.input) == 1:
            origin, flipped = sources.get(node.input[0], (node.input[0], False))
            sources[node.output[0]] = (origin, flipped != (node.op_type == "Transpose"))
    for node in model.graph.node:
        flag = any(a.name == "transB" and a.i for a in node.attribute)
        for text in node.input:
            origin, flipped = sources.get(text, (text, False))
            name = parse(origin)
            if name is not None and name.part != "scale" and node.op_type != "Cast":
                yield node.op_type, name, flipped != flag


def coverage(
    model: onnx.ModelProto, precision: str, config: EncoderConfig, task: Task, labels: int
) -> Coverage:
    """Stored types and operators, and where they break the promise of ``precision``."""
    promised = find_scheme(precision).weight_bits
    expected = weight_shapes(config, task, labels)
    kept: dict[str, str] = {}
    violations: list[str] = []
    widths: dict[str, set[int]] = defaultdict(set)
    for tensor in model.graph.initializer:
        stored = parse(tensor.name)
        if stored is not None and stored.part != "scale":
            widths[stored.name].add(_bits(tensor) or 64)
    # The widest group counts: one group left wide is a weight left wide.
    bits = {name: max(found) for name, found in widths.items()}
    for name, width in bits.items():
        if name not in expected:
            violations.append(f"{name} is no weight of the model")
        elif (narrow := min(widths[name])) < promised:
            violations.append(
                f"{name} is stored with only {narrow} bits, {precision} promises {promised}"
            )
        elif width > promised:
            reason = None if width not in _TYPES else _reason(name, len(expected[name]))
            if reason is None:
                violations.append(
                    f"{name} is stored with {width} bits, {precision} promises {promised}"
                )
            else:
                kept[name] = reason
    if precision == "int8":
        violations += _float_products(model)
    operators = Counter(
        f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for node in model.graph.node
    )
    return Coverage(
        {name: _TYPES.get(width, "other") for name, width in sorted(bits.items())},
        dict(sorted(operators.items())),
        kept,
        tuple(violations),
    )


def _float_products(model: onnx.ModelProto) -> Iterator[str]:
    """Matrices that an int8 artifact multiplies in fp32, or dequantizes in order to do so."""
    for operator, stored, _ in _reads(model):
        matrix = stored.name.endswith(".weight") and stored.name not in KEPT
        if matrix and (
            operator in _FLOAT_PRODUCTS or (stored.part and operator not in _INT8_READERS)
        ):
            yield f"{stored.name} is multiplied in fp32 ({operator})"


def _reason(name: str, dimensions: int) -> str | None:
    """Why a weight may stay wider than the scheme's type; None: it may not."""
    if dimensions == 1:
        return "a vector (bias or LayerNorm): a thousandth of the size"
    return KEPT.get(name)
