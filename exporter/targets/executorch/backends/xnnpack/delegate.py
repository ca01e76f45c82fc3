"""The XNNPACK delegate: which operators it takes."""

from collections.abc import Callable, Iterator, Mapping

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.xnnpack_preprocess import XnnpackBackend
from executorch.exir import EdgeProgramManager
from executorch.exir.backend.compile_spec_schema import CompileSpec
from executorch.exir.backend.partitioner import DelegationSpec
from executorch.exir.lowered_backend_module import LoweredBackendModule


class XnnpackDelegate(XnnpackPartitioner):  # type: ignore[misc]
    """ExecuTorch's partitioner without the work that our modules do not need.

    A lowering takes about half the time. What is left out are 16 graph passes a delegate, which
    rewrite operators that our modules do not have (the compile spec asks for the one that they
    need, as ExecuTorch's own partitioner for quantized linear layers does), and a decomposition
    of the operators that were kept whole and found unsuitable, of which there are none.
    """

    def __init__(self) -> None:
        super().__init__()
        only_linear = CompileSpec("dqlinear_partitioner", b"")
        self.delegation_spec = DelegationSpec(XnnpackBackend.__name__, [only_linear])

    def ops_to_not_decompose(
        self, ep: torch.export.ExportedProgram
    ) -> tuple[list[torch._ops.OpOverload], Callable[[torch.fx.Node], bool] | None]:
        operators, _ = super().ops_to_not_decompose(ep)
        return operators, None


def layer_order(
    edge: EdgeProgramManager, layers: Mapping[str, tuple[str, int]]
) -> dict[str, list[tuple[str, int]]]:
    """Source's name and group of every product with weights, by method, in the file's order.

    XNNPACK's values have no names, and the order within a delegate is that of a breadth-first walk.
    ``layers`` names the modules by their place.
    """
    return {
        method: [
            layers[path.rpartition(".")[0]]
            for delegate in _delegates(edge.exported_program(method))
            for path in _products(delegate)
        ]
        for method in edge.methods
    }


def _delegates(program: torch.export.ExportedProgram) -> Iterator[torch.export.ExportedProgram]:
    for node in program.graph.nodes:
        if node.op == "get_attr":
            module = getattr(program.graph_module, node.target)
            if isinstance(module, LoweredBackendModule):
                yield module.original_module


def _products(program: torch.export.ExportedProgram) -> Iterator[str]:
    """The place of the weight of every linear layer, such as ``layers.0.output.groups.1.levels``"""
    places = program.graph_signature.inputs_to_buffers
    for node in program.graph.nodes:
        if node.op == "call_function" and "linear.default" in str(node.target):
            weight = node.args[1]
            while weight.op != "placeholder":  # through the dequantization
                weight = weight.args[0]
            yield places[weight.name]
