"""What the names of methods mean, for whoever reads a report."""

from collections.abc import Iterable

from exporter.quantization.mix import METHODS, TABLE_METHODS, is_table
from exporter.quantization.rounding import BLOCK, TABLE_BLOCK

_WEIGHTS = {
    "fp32": "fp32 weights",
    "int8": "int8 weights, a scale for each output channel",
    "int4": f"int4 weights, a scale for {BLOCK} inputs",
    "int4_two_level": f"int4 weights, a scale for {BLOCK} inputs and one for each output channel",
}
_INPUTS = {
    "float": "inputs not quantized",
    "tensor": "inputs quantized to 8 bits by the range of the whole tensor",
    "static": "inputs quantized to 8 bits by a fixed range, that of the calibration texts",
    "token": "inputs quantized to 8 bits by the range of each token",
    "symmetric": "inputs quantized to 8 bits symmetrically, by each token's largest magnitude",
}
_TABLES = {
    "fp32": "not quantized",
    "int8": "int8, a scale for each row",
    "int4": f"int4, a scale for {TABLE_BLOCK} values of a row",
}


def legend(measured: Iterable[tuple[str, str]]) -> list[str]:
    """Markdown: a line for each method of ``measured`` (units and methods), fp32 the first."""
    methods, tables = {"fp32"}, {"fp32"}
    for unit, method in measured:
        (tables if is_table(unit) else methods).add(method)
    return [
        "Methods of layers:",
        "",
        *(
            f"- `{name}`: {_WEIGHTS[method.weights]}; {_INPUTS[method.inputs]}"
            for name, method in METHODS.items()
            if name in methods
        ),
        "",
        "Methods of tables:",
        "",
        *(f"- `{name}`: {_TABLES[name]}" for name in TABLE_METHODS if name in tables),
    ]
