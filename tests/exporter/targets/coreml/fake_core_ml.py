"""The native half of coremltools as a Mac has it, played by the interpreter.

coremltools' own classes are real: what a script asks them, they ask these proxies
(``coremltools.libcoremlpython``, which only exists on macOS).
"""
# ruff: noqa: ARG002 - proxies take what they are called with

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.quiet import apart
from exporter.targets.coreml.interpreter import Interpreter, open_package

#: What happens to the outputs of every prediction.
Change = Callable[[dict[str, Any]], dict[str, Any]]


class Proxy:
    """A loaded model: ``_MLModelProxy``."""

    change: Change = staticmethod(lambda outputs: outputs)
    units: list[str]

    def __init__(self, path: str, units: str, function: str, hints: dict, asset: object) -> None:
        type(self).units.append(units)
        self._interpreter, self._path = Interpreter(open_package(Path(path))), path

    @staticmethod
    def maximum_supported_specification_version() -> int:
        return 9

    def predict(self, inputs: dict[str, Any], state: object) -> dict[str, Any]:
        outputs = self._interpreter.run(inputs)
        labels = open_package(Path(self._path)).description.class_labels
        if labels:
            probabilities = map(float, outputs["classLabel_probs"])
            outputs["classLabel_probs"] = dict(zip(labels, probabilities, strict=True))
            outputs["classLabel"] = str(outputs["classLabel"])
        return type(self).change(outputs)

    def get_compiled_model_path(self) -> str:
        return str(Path(self._path).with_suffix(".mlmodelc"))

    @staticmethod
    def get_compute_plan(path: str, units: str) -> Any:
        from coremltools.models.compute_plan import MLComputePlan

        if not path.endswith(".mlmodelc"):
            raise SystemExit("Core ML ends the process: the path is no compiled model's")
        return MLComputePlan(PlanProxy(Path(path).with_suffix(".mlpackage"), units))


class DeviceProxy:
    """A processor: ``_MLNeuralEngineComputeDeviceProxy`` and the others."""


class PlanProxy:
    """A plan: lookups on the CPU, LayerNorms on the GPU by choice, the rest on the Neural Engine.

    A LayerNorm costs three times as much as any other operator; constants have neither device nor
    cost.
    """

    def __init__(self, package: Path, units: str) -> None:
        from coremltools.models import compute_device, compute_plan

        self._api, self._gpu = compute_plan, units == "ALL"
        self._cpu = compute_device.MLCPUComputeDevice(DeviceProxy())
        self._gpu_device = compute_device.MLGPUComputeDevice(DeviceProxy())
        self._engine = compute_device.MLNeuralEngineComputeDevice(DeviceProxy())
        kinds = ["const", *(f"ios17.{o.kind}" for o in open_package(package).program.operations)]
        self._operations = [
            compute_plan.MLModelStructureProgramOperation({}, kind, [], [], None) for kind in kinds
        ]

    @property
    def model_structure(self) -> Any:
        block = self._api.MLModelStructureProgramBlock([], self._operations, [])
        function = self._api.MLModelStructureProgramFunction([], block)
        program = self._api.MLModelStructureProgram({"main": function})
        return self._api.MLModelStructure(None, program, None)

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        kind = operation.operator_name
        usage = self._api.MLComputePlanDeviceUsage
        if kind == "const":
            return None
        if kind == "ios17.gather":
            return usage(self._cpu, [self._cpu])
        if kind == "ios17.layer_norm" and self._gpu:
            return usage(self._gpu_device, [self._cpu, self._gpu_device, self._engine])
        return usage(self._engine, [self._cpu, self._engine])

    def get_estimated_cost_for_mlprogram_operation(self, operation: Any) -> Any:
        if operation.operator_name == "const":
            return None
        share = 1 / len(self._operations)
        norm = operation.operator_name == "ios17.layer_norm"
        return self._api.MLComputePlanCost(3 * share if norm else share)


def install(monkeypatch: pytest.MonkeyPatch) -> type[Proxy]:
    """Put the proxies where coremltools looks for its own. Returns that of models."""
    with apart():
        from coremltools.models import compute_device, compute_plan, model

    proxy = type("FreshProxy", (Proxy,), {"units": []})
    monkeypatch.setattr(model, "_MLModelProxy", proxy)
    monkeypatch.setattr(compute_plan, "_MLModelProxy", proxy)
    monkeypatch.setattr(compute_plan, "_MLComputePlanProxy", PlanProxy)
    for name in ("CPU", "GPU", "NeuralEngine"):
        monkeypatch.setattr(compute_device, f"_ML{name}ComputeDeviceProxy", DeviceProxy)
    return proxy
