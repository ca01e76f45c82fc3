"""Packages with their golden files, as a bundle's folder holds them."""

from pathlib import Path

from exporter.model.config import SourceModel
from exporter.targets.coreml import TARGET
from exporter.targets.coreml.replay import (
    golden_cases,
    golden_path,
    write_golden,
    write_scripts,
)


def write_replay(model: SourceModel, folder: Path, precision: str, flavour: str) -> Path:
    """A package with golden file and scripts beside it; its path."""
    (spec,) = TARGET.artifacts((precision,), (flavour,))
    package = folder / Path(spec.path).name
    TARGET.write(model, spec, package, {"precision": precision, "flavour": flavour})
    cases = golden_cases(model.config, TARGET.lengths(package) or (16,))
    write_golden(package, cases, TARGET.open(package).run, golden_path(package))
    write_scripts(folder)
    return package
