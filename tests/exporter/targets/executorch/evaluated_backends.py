"""What the tests of backends that do not run here share: tiny artifacts, and changes to them."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import small_model

from exporter.model.config import Family, SourceModel
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import ArtifactSpec, Session
from exporter.targets.executorch import TARGET
from exporter.targets.executorch import module as lowered_module
from exporter.targets.executorch.backends.base import find_backend
from exporter.verification.audit import weight_audit
from exporter.verification.cases import verification_cases
from exporter.verification.gate import prove
from exporter.verification.parity import layer_parity
from exporter.verification.report import Check

Mutation = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Artifact:
    """A file, what it is meant to be, and the model that it was made from."""

    spec: ArtifactSpec
    path: Path
    model: SourceModel

    def edited(self, folder: Path, old: bytes, new: bytes) -> "Artifact":
        """A copy in which the only ``old`` is ``new``."""
        content = self.path.read_bytes()
        assert content.count(old) == 1
        assert len(old) == len(new)
        path = folder / self.path.name
        path.write_bytes(content.replace(old, new))
        return Artifact(self.spec, path, self.model)

    def failures(self) -> set[str]:
        """Names of the checks that the gate fails."""
        report, _ = prove(TARGET, self.spec, self.path, self.model)
        return {check.name for check in report.failures}

    def audit(self) -> Check:
        """The gate's comparison of the stored weights with the source."""
        target, model = TARGET, self.model
        return weight_audit(
            target.stored_weights(self.path, model.config, model.task),
            model,
            target.stored_model(model, self.spec.precision),
        )

    def session(self, taps: bool = False) -> Session:
        return TARGET.open(self.path, taps=taps)

    def structure(self) -> str:
        return TARGET.structure(self.path)


def make(backend: str, precision: str, family: Family, folder: Path, **changes: Any) -> Artifact:
    """One layer of 64 channels, on sensitised weights, with the metadata that the gate asks for."""
    sizes = {"hidden_size": 64, "layers": 1, "intermediate_size": 128, **changes}
    model = small_model(family, **sizes)
    (spec,) = TARGET.artifacts((precision,), ("optimized",), (backend,))
    path = folder / Path(spec.path).name
    metadata = {
        "labels": json.dumps(model.labels),
        "task": model.task,
        "precision": precision,
        "flavour": "optimized",
        "backend": backend,
        "max_positions": str(model.config.max_positions),
    }
    find_backend(backend).lower(model, precision, "optimized", metadata, path)
    return Artifact(spec, path, model)


def parity(artifact: Artifact) -> Check:
    """The gate's comparison with the scheme's reference, on the artifact itself."""
    scheme = find_scheme(TARGET.scheme(artifact.spec.precision))
    return layer_parity(
        artifact.session(taps=True),
        scheme.reference(artifact.model),
        verification_cases(artifact.model.config),
        scheme.layer_tolerance,
        lambda _: None,
    )


def flip_a_bit(artifact: Artifact, name: str, folder: Path) -> Artifact:
    """The last bit of the first value of the first group of a SqueezeBERT's matrix."""
    weight = artifact.model.weights[name].numpy()
    weight = weight[: len(weight) // 4] if name.startswith("layers.") else weight
    stored = weight.astype(np.float16 if artifact.spec.precision == "fp16" else np.float32)
    old = stored.tobytes()
    return artifact.edited(folder, old, bytes([old[0] ^ 1]) + old[1:])


def tanh_gelu(monkeypatch: pytest.MonkeyPatch) -> None:
    """GELU's other form, written out: Core ML's converter takes the operator for the exact one."""
    monkeypatch.setattr(lowered_module, "activation_function", lambda _: lowered_module._tanh_gelu)


def swap_query_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is multiplied with the other's weights."""
    monkeypatch.setattr(lowered_module, "_PARTS", ("key", "query", "value"))


def ignore_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding counts as text."""
    forward = lowered_module.MobileEncoder.forward

    def unmasked(self: Any, ids: Any, mask: Any, types: Any) -> Any:
        return forward(self, ids, mask * 0 + 1, types)

    monkeypatch.setattr(lowered_module.MobileEncoder, "forward", unmasked)


@contextlib.contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """The exporter's code, changed for a while."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        mutation(monkeypatch)
        yield
