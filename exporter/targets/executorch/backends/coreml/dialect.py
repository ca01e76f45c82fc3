"""Which operators of Core ML programs read weights, and how the programs are evaluated."""

from exporter.targets.executorch.backends.coreml.program import parse, prepare
from exporter.targets.executorch.backends.graph import Dialect

DIALECT = Dialect(
    name="coreml",
    delegate="CoreMLBackend",
    parse=parse,
    prepare=prepare,
    linear=("linear", ("weight", "bias")),
    norm=("layer_norm", ("gamma", "beta")),
    lookup=("gather", ("x",)),
    indices="indices",
    # An index is selected if it is no negative one.
    carriers={"cast": "x", "select": "a", "slice_by_index": "x"},
)
