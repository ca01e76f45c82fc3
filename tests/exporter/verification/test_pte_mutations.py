"""The gate refuses every damaged .pte file, and the check that is meant to notice does."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from corrupted_encoders import EncoderCorruption, encoder_corruptions
from corrupted_programs import UNUSABLE, ProgramCorruption, program_corruptions
from small_models import small_model
from small_programs import Programs, write_program

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array, ArtifactSpec, Session
from exporter.targets.executorch import ExecutorchTarget
from exporter.verification.audit import weight_audit
from exporter.verification.cases import verification_cases
from exporter.verification.claims import coverage_check, signature_check
from exporter.verification.gate import prove
from exporter.verification.mixed_audit import mixed_audit
from exporter.verification.parity import layer_parity

pytestmark = pytest.mark.usefixtures("quick")


class _RememberedSession:
    """A twin's session: the gate runs it on the same cases for every artifact."""

    def __init__(self, session: Session) -> None:
        self._session, self._known = session, dict[bytes, dict[str, Array]]()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        key = b" ".join(values.tobytes() for values in inputs.values())
        if key not in self._known:
            self._known[key] = self._session.run(inputs)
        return self._known[key]


class TargetWithTwins(ExecutorchTarget):
    """The target, where the twins of equal artifacts are lowered and run once."""

    def __init__(self) -> None:
        self._twins: dict[str, bytes] = {}
        self._sessions: dict[bytes, Session] = {}

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        sizes = dataclasses.asdict(model.config), model.task, model.labels
        key = repr((sizes, spec.precision, spec.flavour))
        if key not in self._twins:
            super().write(model, spec, path, metadata)
            self._twins[key] = path.read_bytes()
        path.write_bytes(self._twins[key])

    def open(self, path: Path, *, threads: int = 1, taps: bool = False) -> Session:
        if not taps:
            return super().open(path, threads=threads)
        content = path.read_bytes()
        if content not in self._sessions:
            self._sessions[content] = _RememberedSession(super().open(path, taps=True))
        return self._sessions[content]


@pytest.fixture(scope="module")
def target() -> TargetWithTwins:
    return TargetWithTwins()


def failures(
    target: ExecutorchTarget, spec: ArtifactSpec, path: Path, model: SourceModel
) -> set[str]:
    """Names of the checks that fail, or ``UNUSABLE``."""
    try:
        report, _ = prove(target, spec, path, model)
    except UserError:
        return {UNUSABLE}
    return {check.name for check in report.failures}


@pytest.mark.parametrize(
    "corruption", program_corruptions(), ids=lambda c: f"{c.name}-{c.precision}"
)
def test_damage_on_disk_is_noticed(
    corruption: ProgramCorruption, target: TargetWithTwins, programs: Programs, tmp_path: Path
) -> None:
    program = programs(corruption.precision, corruption.flavour, **corruption.changes)
    content = bytearray(program.path.read_bytes())
    corruption.edit(content, program.path)
    assert content != program.path.read_bytes()
    path = program.copy(tmp_path, bytes(content))
    found = failures(target, program.spec, path, program.model)
    assert corruption.check in found
    if corruption.only:
        assert found == {corruption.check}


def failures_of_the_lowering(corruption: EncoderCorruption, folder: Path) -> set[str]:
    """Names of the checks that fail on an artifact of the patched code.

    Its weights are sensitised, so that it is its own twin.
    """
    program = write_program(
        small_model(**{"layers": 1, **corruption.changes}), folder, corruption.precision
    )
    model, path, target = program.model, program.path, ExecutorchTarget()
    scheme = find_scheme(target.scheme(corruption.precision))
    labels = len(model.labels or ())
    stored = target.stored_weights(path, model.config, model.task)
    coverage = target.coverage(path, corruption.precision, model.config, model.task, labels)
    quantized = target.stored_model(model, corruption.precision)
    audit = (
        mixed_audit(stored, quantized) if scheme.mixed else weight_audit(stored, model, quantized)
    )
    checks = [
        coverage_check(coverage),
        signature_check(target, path, model),
        audit,
        layer_parity(
            target.open(path, taps=True),
            scheme.reference(quantized),
            verification_cases(model.config),
            scheme.layer_tolerance,
            lambda _: None,
        ),
    ]
    return {check.name for check in checks if not check.passed}


def test_every_check_of_the_gate_has_something_to_catch(
    target: TargetWithTwins, programs: Programs
) -> None:
    program = programs("fp32")
    report, _ = prove(target, program.spec, program.path, program.model)
    assert report.passed
    caught = {corruption.check for corruption in program_corruptions()} - {UNUSABLE}
    for corruption in encoder_corruptions():
        caught |= set(corruption.checks)
    assert {check.name for check in report.checks} == caught


@pytest.mark.parametrize(
    "corruption", encoder_corruptions(), ids=lambda c: f"{c.name}-{c.precision}"
)
def test_errors_of_the_exporter_are_noticed(
    corruption: EncoderCorruption, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corruption.patch(monkeypatch)
    assert failures_of_the_lowering(corruption, tmp_path) >= set(corruption.checks)
