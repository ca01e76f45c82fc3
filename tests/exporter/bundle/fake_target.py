"""A target for the tests: artifacts are NumPy files that the PyTorch encoder runs.

It enters the registry as a package would and needs no change anywhere else. Its artifacts have two
files, a small one that names the other, as models with external data do.
"""
# ruff: noqa: ARG002 - the protocol decides the parameters

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.model.encoder import EncoderModel, build_module
from exporter.targets.base import ArtifactSpec, Coverage, StoredTensor, Target, TensorSpec

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass
class FakeTarget(Target):
    """``wrong`` adds noise of that size to the weights of a precision; ``before_write`` runs in
    the middle of writing; ``written`` lists what was written.
    """

    name: str = "fake"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    flavours: tuple[str, ...] = ("optimized",)
    backends: tuple[str, ...] = ()
    offers: str = "fake has fp32, fp16, int8"
    code: str = "1"
    wrong: dict[str, float] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    models: dict[str, SourceModel] = field(default_factory=dict)
    in_the_middle: object = None

    def artifacts(self, precisions, flavours, backends):
        suffixes = {"fp32": "", "fp16": "_fp16", "int8": "_int8"}
        return tuple(
            ArtifactSpec("fake", p, f, f"fake/model{suffixes[p]}.json")
            for f in flavours
            if f == "optimized"
            for p in precisions or suffixes
            if p in suffixes
        )

    def scheme(self, precision: str) -> str:
        return precision

    def not_run(self, spec: ArtifactSpec) -> str:
        return ""

    def lengths(self, path: Path) -> tuple[int, ...]:
        return ()

    def fingerprint(self) -> str:
        return self.code

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        noise = np.random.default_rng(0)
        weights = {n: w.numpy() for n, w in model.weights.items()}
        if spec.precision in self.wrong:
            size = self.wrong[spec.precision]
            weights = {
                n: w + size * noise.standard_normal(w.shape).astype(np.float32)
                for n, w in weights.items()
            }
        data = path.with_suffix(".npz")
        np.savez(data, **weights)
        if self.in_the_middle is not None:
            self.in_the_middle(spec)
        metadata = {**metadata, "max_positions": str(model.config.max_positions)}
        content = {"data": data.name, "metadata": metadata, "precision": spec.precision}
        content["sha256"] = hashlib.sha256(data.read_bytes()).hexdigest()
        path.write_text(json.dumps(content))
        self.models[content["sha256"]] = model
        self.written.append(spec.path)

    def open(self, path: Path, *, threads: int = 1, taps: bool = False) -> "FakeSession":
        content = self._read(path)
        with np.load(path.parent / content["data"]) as stored:
            weights = {name: torch.from_numpy(stored[name]) for name in stored.files}
        model = replace(self.models[content["sha256"]], weights=weights)
        return FakeSession(build_module(model), taps)

    def signature(self, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        model = self.models[self._read(path)["sha256"]]
        inputs = tuple(TensorSpec(name, "int64", ("batch", "sequence")) for name in INPUTS)
        labels = len(model.labels or ())
        return inputs, (TensorSpec("logits", "float32", ("batch", labels)),)

    def metadata(self, path: Path) -> dict[str, str]:
        metadata: dict[str, str] = self._read(path)["metadata"]
        return metadata

    def structure(self, path: Path) -> str:
        return hashlib.sha256(self._read(path)["precision"].encode()).hexdigest()

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        with np.load(path.parent / self._read(path)["data"]) as stored:
            for name in stored.files:
                values = stored[name]
                yield StoredTensor(name, values, np.zeros_like(values), 32)

    def stored_model(self, model: SourceModel, precision: str) -> SourceModel:
        return model

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        return Coverage({"all": precision}, {"Encoder": 1}, {}, ())

    def files(self, path: Path) -> tuple[Path, ...]:
        return (path, path.parent / self._read(path)["data"])

    def _read(self, path: Path) -> dict:
        try:
            content: dict = json.loads(path.read_text())
        except (OSError, ValueError):
            content = {}
        if "sha256" not in content:
            raise UserError(f"{path} is no artifact of fake.", "Build it.")
        return content


@dataclass
class FakeSession:
    module: EncoderModel
    taps: bool

    def run(self, inputs):
        tensors = {name: torch.from_numpy(np.asarray(a)) for name, a in inputs.items()}
        with torch.inference_mode():
            outputs = self.module(**tensors)
            if self.taps:
                bias = self.module.mask_bias(tensors["attention_mask"])
                hidden = self.module.embed(tensors["input_ids"], tensors["token_type_ids"])
                outputs["hidden.0"] = hidden
                for i in range(self.module.config.layers):
                    hidden = self.module.layer(i, hidden, bias)
                    outputs[f"hidden.{i + 1}"] = hidden
                if self.module.task == "sequence-classification":  # the head sees the first only
                    outputs[f"hidden.{self.module.config.layers}"] = hidden[:, :1]
        return {name: tensor.numpy() for name, tensor in outputs.items()}
