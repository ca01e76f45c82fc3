"""A target for the tests of the search: artifacts are the references of their mixes.

Models are kept in memory; the file of an artifact is as long as its weights would be.
"""
# ruff: noqa: ARG002 - the protocol decides the parameters

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from exporter.model.config import SourceModel
from exporter.quantization.mix import METHODS, check_mix, is_table
from exporter.quantization.schemes.mixed import mixed_reference
from exporter.targets.base import ArtifactSpec, Target

_TABLE_BITS = {"fp32": 32, "int8": 8, "int4": 4}


class ReferenceSession:
    def __init__(self, model: SourceModel):
        self._reference = mixed_reference(model)

    def run(self, inputs):
        with torch.inference_mode():
            outputs = self._reference.run(
                **{name: torch.from_numpy(values) for name, values in inputs.items()}
            )
        return {name: values.numpy() for name, values in outputs.items()}


@dataclass
class MixedTarget(Target):
    """``spoil`` is added to the first label's logit of artifacts that are not fp32, and have more
    than ``unspoiled`` layers and tables with 4 bits."""

    name: str = "reference"
    methods: tuple[str, ...] = ("int8_tensor", "fp32", "int4_tensor", "int8_static")
    table_methods: tuple[str, ...] = ("int8", "fp32", "int4")
    spoil: float = 0.0
    unspoiled: int = -1
    models: dict[Path, SourceModel] = field(default_factory=dict)

    def artifacts(self, precisions, flavours, backends=()):
        return (ArtifactSpec(self.name, "mixed", "optimized", "reference/model_mixed.bin"),)

    def fingerprint(self):
        return f"1 {self.spoil} {self.unspoiled}"

    def stored_model(self, model, precision):
        return model

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        check_mix(model.mix, model.config, model.task, self.methods)
        bits = 0
        for name, method in model.mix.methods.items():
            width = _TABLE_BITS[method] if is_table(name) else METHODS[method].bits
            bits += width * model.weights[f"{name}.weight"].numel()
        path.write_bytes(bytes(bits // 8))
        if self.spoil and self._spoils(model.mix) and model.labels:
            bias = model.weights["head.classifier.bias"].clone()
            bias[0] += self.spoil
            model = replace(model, weights={**model.weights, "head.classifier.bias": bias})
        self.models[path] = model

    def _spoils(self, mix):
        quantized = set(mix.methods.values()) != {"fp32"}
        return quantized and four_bits(mix) > self.unspoiled

    def open(self, path, *, threads=1, taps=False):
        return ReferenceSession(self.models[path])

    def files(self, path):
        return (path,)

    def lengths(self, path):
        return ()


def four_bits(mix):
    """How many layers and tables have 4 bits."""
    return sum(method.startswith("int4") for method in mix.methods.values())


def bits_of(mix, model):
    """Bits of all matrices of ``model`` by ``mix``."""
    return sum(
        (_TABLE_BITS[m] if is_table(n) else METHODS[m].bits)
        * int(np.prod(model.weights[f"{n}.weight"].shape))
        for n, m in mix.methods.items()
    )
