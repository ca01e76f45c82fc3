"""The gate refuses every damaged artifact, and the check that is meant to notice does."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from corrupted_files import UNUSABLE, FileCorruption, corrupt, file_corruptions
from corrupted_lowering import LoweringCorruption, lowering_corruptions
from file_edits import truncate
from small_models import small_model, write

from exporter.errors import UserError
from exporter.model.config import TASKS, SourceModel, Task
from exporter.targets.base import ArtifactSpec
from exporter.targets.onnx import TARGET
from exporter.verification.gate import prove

pytestmark = pytest.mark.usefixtures("quick")


class Corruption(Protocol):
    """What both kinds of corruption have in common."""

    @property
    def name(self) -> str: ...
    @property
    def precisions(self) -> tuple[str, ...]: ...
    @property
    def flavours(self) -> tuple[str, ...]: ...


AnyCorruption = TypeVar("AnyCorruption", bound=Corruption)


def each(corruptions: Iterable[AnyCorruption]) -> Callable[..., pytest.MarkDecorator]:
    """Every corruption with every precision and flavour in which it makes sense."""
    return pytest.mark.parametrize(
        ("corruption", "precision", "flavour"),
        [
            pytest.param(c, precision, flavour, id=f"{c.name}-{precision}-{flavour}")
            for c in corruptions
            for precision in c.precisions
            for flavour in c.flavours
        ],
    )


def failures(spec: ArtifactSpec, path: Path, model: SourceModel) -> set[str]:
    """Names of the checks that fail, or ``UNUSABLE``."""
    try:
        report, _ = prove(TARGET, spec, path, model)
    except UserError:
        return {UNUSABLE}
    assert report.passed == (not report.failures)
    return {check.name for check in report.failures}


@pytest.mark.parametrize("flavour", ["optimized", "portable"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("task", TASKS)
def test_healthy_artifacts_pass(task: Task, precision: str, flavour: str, tmp_path: Path) -> None:
    model = small_model(task=task)
    assert failures(*write(model, tmp_path, precision, flavour), model) == set()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    "changes",
    [
        {"family": "bert"},
        {"task": "masked-lm", "tied_decoder": False},
        {"groups": (2, 4, 1, 2, 4, 2)},
        {"activation": "relu", "task": "masked-lm"},
    ],
)
def test_other_healthy_artifacts_pass(
    changes: dict[str, Any], precision: str, tmp_path: Path
) -> None:
    model = small_model(**changes)
    assert failures(*write(model, tmp_path, precision, "optimized"), model) == set()


@each(file_corruptions())
def test_damage_on_disk_is_noticed(
    corruption: FileCorruption, precision: str, flavour: str, tmp_path: Path
) -> None:
    model = small_model()
    spec, path = write(model, tmp_path, precision, flavour)
    corrupt(path, corruption)
    assert corruption.check in failures(spec, path, model)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_truncated_file_is_noticed(precision: str, tmp_path: Path) -> None:
    model = small_model()
    spec, path = write(model, tmp_path, precision, "optimized")
    truncate(path)
    assert failures(spec, path, model) == {UNUSABLE}


@each(lowering_corruptions())
def test_errors_of_the_exporter_are_noticed(
    corruption: LoweringCorruption,
    precision: str,
    flavour: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = corruption.model()
    corruption.patch(monkeypatch)
    spec, path = write(model, tmp_path, precision, flavour)
    found = failures(spec, path, model)
    assert found >= set(corruption.checks)
    assert "structure" not in found  # the twin has the same error
    if corruption.only:
        assert found == set(corruption.checks)


def test_every_check_of_the_gate_has_something_to_catch(tmp_path: Path) -> None:
    model = small_model()
    report, _ = prove(TARGET, *write(model, tmp_path, "fp32", "optimized"), model)
    caught = {corruption.check for corruption in file_corruptions()} - {UNUSABLE}
    for corruption in lowering_corruptions():
        caught |= set(corruption.checks)
    assert {check.name for check in report.checks} == caught
