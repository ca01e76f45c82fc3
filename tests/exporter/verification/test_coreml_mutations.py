"""The gate refuses every damaged Core ML package, and the check that is meant to notice does."""

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from coreml_lowering_patches import CoremlCorruption
from corrupted_coreml_lowering import coreml_corruptions
from corrupted_packages import UNUSABLE, PackageCorruption, package_corruptions
from package_edits import Edit, both, exchange, exchange_operands, on_model, rename
from small_models import small_model
from small_packages import (
    Packages,
    contents,
    remembered_packages,
    warm_up,
    write_package,
)

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.targets.base import Array, ArtifactSpec
from exporter.targets.coreml import TARGET, CoremlTarget
from exporter.targets.coreml.session import CoremlSession
from exporter.verification.claims import coverage_check
from exporter.verification.gate import prove

pytestmark = pytest.mark.usefixtures("quick")


class _RememberedSession(CoremlSession):
    """A twin's session: the gate runs it on the same cases for every artifact."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, taps=True)
        self._known: dict[bytes, dict[str, Array]] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        key = b" ".join(values.tobytes() for values in inputs.values())
        if key not in self._known:
            self._known[key] = super().run(inputs)
        return self._known[key]


class TargetWithTwins(CoremlTarget):
    """The target, where the twins of equal artifacts are lowered and run once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._twins: dict[str, Path] = {}
        self._sessions: dict[tuple[tuple[str, bytes], ...], _RememberedSession] = {}

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        sizes = dataclasses.asdict(model.config), model.task, model.labels
        key = repr((sizes, spec))
        if key not in self._twins:
            super().write(model, spec, path, metadata)
            self._twins[key] = self._folder / str(len(self._twins))
            shutil.copytree(path, self._twins[key])
        else:
            shutil.copytree(self._twins[key], path)

    def open(self, path: Path, *, threads: int = 1, taps: bool = False) -> CoremlSession:
        if not taps:
            return super().open(path, threads=threads)
        key = tuple(contents(path))
        if key not in self._sessions:
            self._sessions[key] = _RememberedSession(path)
        return self._sessions[key]


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> TargetWithTwins:
    return TargetWithTwins(tmp_path_factory.mktemp("twins"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return remembered_packages(lambda: tmp_path_factory.mktemp("package"))


@pytest.mark.parametrize(
    "corruption", package_corruptions(), ids=lambda c: f"{c.name}-{c.precision}-{c.flavour}"
)
def test_damage_on_disk_is_noticed(
    corruption: PackageCorruption, target: TargetWithTwins, packages: Packages, tmp_path: Path
) -> None:
    package = packages(corruption.precision, corruption.flavour, **corruption.changes)
    path = package.copy(tmp_path)
    corruption.edit(path)
    assert dict(contents(path)) != dict(contents(package.path))
    if corruption.check == UNUSABLE:
        with pytest.raises(UserError, match=corruption.says):
            prove(target, package.spec, path, package.model)
        return
    report, _ = prove(target, package.spec, path, package.model)
    found = {check.name for check in report.failures}
    assert corruption.check in found
    if corruption.only:
        assert found == {corruption.check}


@pytest.mark.parametrize(
    "edit",
    [
        on_model(lambda _: None),
        both(*[exchange_operands("hidden_0", "hidden_1", "gamma")] * 2),
        both(*[exchange("embeddings.norm.weight", "embeddings.norm.bias")] * 2),
        both(rename("mask", "hidden"), rename("hidden", "mask")),
    ],
)
def test_edits_themselves_are_not_noticed(
    edit: Edit, target: TargetWithTwins, packages: Packages, tmp_path: Path
) -> None:
    package = packages("fp16")
    path = package.copy(tmp_path)
    edit(path)
    report, _ = prove(target, package.spec, path, package.model)
    assert report.passed


def failures_of_the_lowering(
    model: SourceModel, corruption: CoremlCorruption, folder: Path
) -> set[str]:
    """Names of the checks that fail on an artifact of the patched code, or ``UNUSABLE``."""
    try:
        package = write_package(model, folder, corruption.precision, corruption.flavour)
    except UserError:  # the target opens what it wrote
        return {UNUSABLE}
    target, spec, path, model = TARGET, package.spec, package.path, package.model
    labels = len(model.labels or ())
    coverage = target.coverage(path, spec.precision, model.config, model.task, labels)
    try:
        report, _ = prove(target, spec, path, model)
    except UserError:  # a scheme without a range of every layer has no reference
        return {UNUSABLE, *(check.name for check in [coverage_check(coverage)] if not check.passed)}
    assert report.passed == (not report.failures)
    return {check.name for check in report.failures}


@pytest.mark.parametrize(
    "corruption", coreml_corruptions(), ids=lambda c: f"{c.name}-{c.precision}-{c.flavour}"
)
def test_errors_of_the_exporter_are_noticed(
    corruption: CoremlCorruption, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(**{"layers": 1, **corruption.changes})
    corruption.patch(monkeypatch)
    found = failures_of_the_lowering(model, corruption, tmp_path)
    assert found >= set(corruption.checks)
    assert "structure" not in found  # the twin has the same error
    if corruption.only:
        assert found == set(corruption.checks)


def test_every_check_of_the_gate_has_something_to_catch(
    target: TargetWithTwins, packages: Packages
) -> None:
    names = set()
    for precision, changes in (("fp16", {}), ("w8a8", {"task": "masked-lm"})):
        package = packages(precision, "logits", **changes)
        report, _ = prove(target, package.spec, package.path, package.model)
        assert report.passed
        names |= {check.name for check in report.checks}
    caught = {corruption.check for corruption in package_corruptions()}
    for corruption in coreml_corruptions():
        caught |= set(corruption.checks)
    assert names == caught - {UNUSABLE}
