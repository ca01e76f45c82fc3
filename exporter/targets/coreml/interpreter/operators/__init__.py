"""What each kind of operation computes, in numpy.

fp16 tensors are float32 arrays of fp16 values. Inside an operator the arithmetic is fp32 or wider,
and its result is rounded to fp16 once. Where MIL allows more than this project's models need, the
rest is refused by name.
"""

from collections.abc import Mapping

from exporter.targets.coreml.interpreter.operators import (
    elementwise,
    layout,
    products,
    quantized,
    reductions,
)
from exporter.targets.coreml.interpreter.operators.signature import Operator

OPERATORS: Mapping[str, Mapping[str, Operator]] = {
    opset: {
        **elementwise.OPERATORS,
        **layout.OPERATORS,
        **products.OPERATORS,
        **reductions.OPERATORS,
        **compressed,
    }
    for opset, compressed in quantized.OPERATORS.items()
}
"""Operators by the version of the operators that a program names, and by kind."""
