"""Small ExecuTorch artifacts for the CPU backend, each lowered once a test session."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_models import small_model

from exporter.model.config import SourceModel
from exporter.targets.base import ArtifactSpec
from exporter.targets.executorch import TARGET

#: int4 has blocks of 32 inputs: with one group, and with the four of SqueezeBERT.
BLOCKS: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 128}


@dataclass(frozen=True)
class SmallProgram:
    """An artifact on disk and the model that it was made from. Tests must not change the file."""

    model: SourceModel
    spec: ArtifactSpec
    path: Path

    def copy(self, folder: Path, content: bytes | None = None) -> Path:
        """The same file in ``folder``, or ``content`` under its name."""
        path = folder / self.path.name
        path.write_bytes(self.path.read_bytes() if content is None else content)
        return path


#: (precision, flavour, changes of the small model) -> the artifact.
Programs = Callable[..., SmallProgram]


def write_program(
    model: SourceModel, folder: Path, precision: str, flavour: str = "optimized"
) -> SmallProgram:
    """Lower ``model``, with the metadata that the gate asks for."""
    (spec,) = TARGET.artifacts((precision,), (flavour,), ("xnnpack",))
    path = folder / Path(spec.path).name
    metadata = {
        "labels": json.dumps(model.labels),
        "task": model.task,
        "precision": precision,
        "flavour": flavour,
    }
    TARGET.write(model, spec, path, metadata)
    return SmallProgram(model, spec, path)


def remembered_programs(new_folder: Callable[[], Path]) -> Programs:
    """A function like ``write_program`` of ``small_model(layers=1, ...)`` that lowers once."""
    known: dict[str, SmallProgram] = {}

    def program(precision: str = "fp32", flavour: str = "optimized", **changes: Any) -> Any:
        key = repr((precision, flavour, sorted(changes.items())))
        if key not in known:
            model = small_model(**{"layers": 1, **changes})
            known[key] = write_program(model, new_folder(), precision, flavour)
        return known[key]

    return program
