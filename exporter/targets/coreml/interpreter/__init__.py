"""Reads Core ML packages from their bytes and executes them with numpy, on any machine.

It is of use on its own: it needs neither a Mac nor coremltools' loaders, and knows nothing of the
models in the packages ::

    package = open_package(Path("model.mlpackage"))
    package.description.inputs       # names, types, shapes
    package.program.operations      # what is computed, operation by operation
    outputs = Interpreter(package).run({"input_ids": ids, ...}, taps=("hidden_0",))

What is read is what is on disk: ``Manifest.json``, the messages of the model and the blobs of
``weight.bin``, each proved to be whole, known and used. What is executed is what the program says:
the result of every operation has to have the type and shape that it declares, and is rounded to
fp16 where it is fp16; sums inside an operation are fp32 or wider. Processors differ in how they
accumulate fp16 products: the numbers are those of the program, not of one chip.

``range_report`` tells how far a program's values are from the end of fp16.
"""

from exporter.targets.coreml.interpreter.description import Description, Feature
from exporter.targets.coreml.interpreter.executor import Interpreter, Observe
from exporter.targets.coreml.interpreter.package import Package, open_package
from exporter.targets.coreml.interpreter.program import (
    Constant,
    Operand,
    Operation,
    Program,
    Reference,
    Result,
)
from exporter.targets.coreml.interpreter.ranges import (
    RangeReport,
    ValueRange,
    range_report,
    render_ranges,
)

__all__ = [
    "Constant",
    "Description",
    "Feature",
    "Interpreter",
    "Observe",
    "Operand",
    "Operation",
    "Package",
    "Program",
    "RangeReport",
    "Reference",
    "Result",
    "ValueRange",
    "open_package",
    "range_report",
    "render_ranges",
]
