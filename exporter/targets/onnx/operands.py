"""How the input of a product is quantized: nodes that make uint8 levels of it.

What each way computes is defined by ``exporter.quantization.schemes.mixed``.
"""

from collections.abc import Sequence

import numpy as np

from exporter.quantization.activations import grid
from exporter.quantization.mix import Float32
from exporter.quantization.rounding import INT8_LIMIT, SMALLEST_SCALE
from exporter.targets.onnx.arithmetic import Operand
from exporter.targets.onnx.graph import CONTRIB, GraphBuilder

#: The level that stands for 0 where levels are symmetric.
_MIDDLE = 128

#: How the name of a constant ends that the inputs of a site are multiplied with.
SMOOTHING = "/smoothing"
#: How the names of constants end that are the grid of a layer's input over static bounds.
STATIC_SCALE = "/input_scale"
STATIC_ZERO_POINT = "/input_zero_point"


def divide(graph: GraphBuilder, tensor: str, site: str, factors: Float32) -> str:
    """The tensor [..., C] divided by ``factors`` [C]: powers of two, so that the product with
    their reciprocals is the same to the last bit, and cheaper."""
    reciprocals = graph.constant(f"{site}{SMOOTHING}", (1 / factors).astype(np.float32))
    return graph.node("Mul", [tensor, reciprocals])


def quantize_dynamically(graph: GraphBuilder, tensor: str) -> Operand:
    """By the tensor's own range, all rows of the batch together."""
    return Operand(*graph.quantize(tensor))


def quantize_statically(
    graph: GraphBuilder, layer: str, tensor: str, bounds: tuple[float, float], contrib: bool
) -> Operand:
    """By a range that is known beforehand; what lies beyond is clipped."""
    scale, zero_point = grid(*bounds)
    scale_name = graph.constant(f"{layer}{STATIC_SCALE}", scale)
    zero_name = graph.constant(f"{layer}{STATIC_ZERO_POINT}", np.array(zero_point, np.uint8))
    values = _quantize(graph, tensor, scale_name, zero_name, contrib)
    return Operand(values, scale_name, zero_name)


def quantize_symmetrically(
    graph: GraphBuilder, tensors: Sequence[str], contrib: bool
) -> list[Operand]:
    """Blocks of channels by each row's largest magnitude over all of them."""
    axis = graph.shape_constant(-1)
    # Not by ReduceMin: its kernel takes as long as Abs and ReduceMax together.
    largest = [
        graph.node("ReduceMax", [graph.node("Abs", [tensor]), axis], keepdims=1)
        for tensor in tensors
    ]
    whole = largest[0] if len(largest) == 1 else graph.node("Max", largest)
    scale = graph.node("Div", [whole, graph.constant("symmetric/limit", float(INT8_LIMIT))])
    # A row of zeros: 0 / 0 is no number.
    smallest = graph.constant("symmetric/smallest", float(SMALLEST_SCALE))
    scale = graph.node("Max", [scale, smallest])
    one = graph.constant("symmetric/one", 1.0)
    middle = graph.constant("symmetric/middle", np.array(_MIDDLE, np.uint8))
    return [
        Operand(
            _quantize(graph, graph.node("Div", [tensor, scale]), one, middle, contrib),
            one,
            middle,
            scale,
        )
        for tensor in tensors
    ]


def _quantize(graph: GraphBuilder, tensor: str, scale: str, zero_point: str, contrib: bool) -> str:
    """``contrib``: ONNX Runtime's own operator, which computes the same. The standard one of the
    opset that its Attention needs (23) does not run in ONNX Runtime 1.23."""
    domain = CONTRIB if contrib else ""
    return graph.node("QuantizeLinear", [tensor, scale, zero_point], domain=domain)
