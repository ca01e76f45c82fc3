"""Reads an ONNX file back: its weights under the source's names, and its structure."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, numpy_helper

from exporter.errors import REBUILD, UserError
from exporter.quantization.rounding import Rounded
from exporter.targets.base import Array, StoredTensor
from exporter.targets.onnx.levels import unpack_halves
from exporter.targets.onnx.names import WORTH, StoredName, parse
from exporter.targets.onnx.operands import SMOOTHING, STATIC_SCALE, STATIC_ZERO_POINT

#: The two constants of a static grid.
_STATIC = (STATIC_SCALE, STATIC_ZERO_POINT)

_BITS = {
    TensorProto.FLOAT: 32,
    TensorProto.FLOAT16: 16,
    TensorProto.INT8: 8,
    TensorProto.INT4: 4,
}

#: Products of a matrix and activations, in fp32 and of integers.
FLOAT_PRODUCTS = ("Gemm", "MatMul")
INTEGER_PRODUCTS = ("MatMulIntegerToFloat", "MatMulInteger")

#: What is looked through on the way from a constant to its reader.
_TURNING = ("Cast", "Transpose")
#: The same where it makes int8 levels of int4 ones (``exporter.targets.onnx.levels``).
_WIDENING = (*_TURNING, "Reshape", "Mul", "Split")


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
    """SHA-256 of everything but the values of weights and static grids, and all metadata.

    Other constants (shapes, the mask's values, smoothing factors) count with their values.
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
        if parse(tensor.name) is None and not tensor.name.endswith(_STATIC):
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
    """Values [rows, columns] (or [size]), their steps (broadcastable) and bits of one group."""
    stored = {
        part: numpy_helper.to_array(tensor) for (g, part), tensor in tensors.items() if g == group
    }
    if "int8" in stored:
        levels = stored["int8"].astype(np.float32)
        scale = stored["scale"][:, None]
        return (levels.T if transposed else levels) * scale, scale, 8
    if "int4" in stored or "packed" in stored:
        rounded = _int4(stored)
        return rounded.values(), rounded.step, 4
    values = stored[""].astype(np.float32)
    values = values.T if transposed else values
    step = np.zeros((len(values),) + (1,) * (values.ndim - 1), np.float32)
    return values, step, bits(tensors[group, ""], "")


def _int4(stored: Mapping[str, Array]) -> Rounded:
    """A matrix of two levels, or a table, from its parts."""
    scale = stored["scale"].astype(np.float32)
    if "packed" in stored:
        return Rounded(unpack_halves(stored["packed"]), 4, scale)
    multiplier = stored["multiplier"].astype(np.uint8) + np.uint8(1)
    return Rounded(stored["int4"].astype(np.int8), 4, scale[:, None], multiplier)


def bits(tensor: TensorProto, part: str) -> int:
    """Width of the stored numbers; 0: a type that no scheme has."""
    packed = part == "packed" and tensor.data_type == TensorProto.UINT8
    return 4 if packed else _BITS.get(tensor.data_type, 0)


def smoothing(model: onnx.ModelProto) -> dict[str, Array]:
    """What inputs are divided by before they are quantized: [C] by site."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        for name in node.input if node.op_type == "Mul" else ():
            if name in constants and name.endswith(SMOOTHING):
                found[name.removesuffix(SMOOTHING)] = 1 / numpy_helper.to_array(constants[name])
    return found


def static_grids(model: onnx.ModelProto) -> dict[str, tuple[float, int]]:
    """Scale and zero point of inputs with static bounds, by layer; -1 for what is no number."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for tensor in model.graph.initializer:
        for ending in _STATIC:
            if tensor.name.endswith(ending):
                values = numpy_helper.to_array(tensor)
                usable = values.size == 1 and np.isfinite(values).all()
                number = float(values.item()) if usable else -1.0
                found[tensor.name.removesuffix(ending)][ending] = number
    return {
        layer: (parts.get(STATIC_SCALE, -1.0), int(parts.get(STATIC_ZERO_POINT, -1)))
        for layer, parts in found.items()
    }


def _transposed(model: onnx.ModelProto) -> set[str]:
    """Names of the weights that products read as [inputs, outputs]."""
    names = set()
    for operator, name, flipped in reads(model):
        if operator in (*FLOAT_PRODUCTS, *INTEGER_PRODUCTS) and not flipped:
            names.add(name.name)
    return names


def reads(model: onnx.ModelProto) -> Iterator[tuple[str, StoredName, bool]]:
    """(operator, weight, whether it is transposed on the way) for every use of a weight.

    Casts and transpositions of a constant are looked through, and what widens int4 levels.
    """
    sources: dict[str, tuple[str, bool]] = {}
    for node in model.graph.node:
        found = [(text, *sources.get(text, (text, False))) for text in node.input]
        first = parse(found[0][1]) if found else None
        if first is not None and node.op_type in (_WIDENING if first.part == "int4" else _TURNING):
            origin, flipped = found[0][1:]
            turned = flipped != (node.op_type == "Transpose")
            sources.update(dict.fromkeys(node.output, (origin, turned)))
            continue
        flag = any(a.name == "transB" and a.i for a in node.attribute)
        for _, origin, flipped in found:
            name = parse(origin)
            if name is not None and name.part not in WORTH:
                yield node.op_type, name, flipped != flag
