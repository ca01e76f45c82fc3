"""Small Core ML packages, each lowered once a test module, and edits of what they say."""

import gc
import importlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from small_models import make_batch, small_model

from exporter.model.config import SourceModel
from exporter.quiet import apart
from exporter.targets.base import Array, ArtifactSpec
from exporter.targets.coreml import TARGET
from exporter.verification.gate import prove

MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")

#: int4 has blocks of 32 inputs: with one group, and with the four of SqueezeBERT.
BLOCKS: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 128}


@dataclass(frozen=True)
class SmallPackage:
    """An artifact on disk and the model that it was made from. Tests must not change the folder."""

    model: SourceModel
    spec: ArtifactSpec
    path: Path

    def copy(self, folder: Path) -> Path:
        """The same package in ``folder``."""
        return Path(shutil.copytree(self.path, folder / self.path.name))


#: (precision, flavour, lengths, changes of the small model) -> the artifact.
Packages = Callable[..., SmallPackage]


def write_package(
    model: SourceModel,
    folder: Path,
    precision: str,
    flavour: str = "optimized",
    lengths: tuple[int, ...] = (),
) -> SmallPackage:
    """Lower ``model``, calibrated where it has to be, with the metadata that the gate asks for."""
    (spec,) = TARGET.artifacts((precision,), (flavour,))
    spec = replace(spec, lengths=lengths)
    path = folder / Path(spec.path).name
    model = replace(model, calibration=texts()) if precision == "w8a8" else model
    TARGET.write(model, spec, path, {"precision": precision, "flavour": flavour})
    return SmallPackage(model, spec, path)


def texts() -> tuple[dict[str, Array], ...]:
    """Three texts to calibrate with, each int64 [1, T]."""
    batches = (make_batch(1, length) for length in (9, 21, 5))
    return tuple(batches)


def remembered_packages(new_folder: Callable[[], Path]) -> Packages:
    """A function like ``write_package`` of ``small_model(layers=1, ...)`` that lowers once."""
    known: dict[str, SmallPackage] = {}

    def package(
        precision: str = "fp32",
        flavour: str = "optimized",
        lengths: tuple[int, ...] = (),
        **changes: Any,
    ) -> SmallPackage:
        key = repr((precision, flavour, lengths, sorted(changes.items())))
        if key not in known:
            model = small_model(**{"layers": 1, **changes})
            known[key] = write_package(model, new_folder(), precision, flavour, lengths)
        return known[key]

    return package


def lowering_module(name: str) -> Any:
    """A module of the lowering, which imports coremltools: seconds, when it is first needed."""
    with apart():
        return importlib.import_module(f"exporter.targets.coreml.{name}")


def warm_up(folder: Path) -> None:
    """Import all that the gate needs, and let collections of garbage (its own) pass over that."""
    package = write_package(small_model(layers=1), folder, "fp16")
    prove(TARGET, package.spec, package.path, package.model)
    gc.collect()
    gc.freeze()


def read_model(path: Path) -> Any:
    """The protobuf of a package, as coremltools defines it."""
    with apart():
        from coremltools.proto import Model_pb2

    model = Model_pb2.Model()
    model.ParseFromString((path / MODEL).read_bytes())
    return model


def change_model(path: Path, change: Callable[[Any], None]) -> None:
    """Let ``change`` edit the protobuf of a package on disk."""
    model = read_model(path)
    change(model)
    (path / MODEL).write_bytes(model.SerializeToString(deterministic=True))


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a package: its place in the folder and its content."""
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file.read_bytes()
