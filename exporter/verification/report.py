"""The findings of the gate, in a form for people and for the manifest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: What is no comparison: an artifact that did not come as far as one.
_NOT_REACHED = {
    "write": "could not be written",
    "runs": "could not be run",
    "search": "could not be chosen",
}


@dataclass(frozen=True)
class Check:
    """One check of one artifact: what was measured against which tolerance."""

    name: str
    passed: bool
    detail: str
    measured: Mapping[str, float]
    tolerance: float | None = None

    @property
    def failure(self) -> str:
        """What its artifact did, where it did not pass; goes on from the artifact's name."""
        what = _NOT_REACHED.get(self.name, f"failed the check '{self.name}'")
        return f"{what}: {self.detail}"


@dataclass(frozen=True)
class GateReport:
    """All checks of one artifact. It passes when every check does."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    def summary(self) -> dict[str, str]:
        """What every check found, in a line, by its name."""
        return {check.name: check.detail for check in self.checks}

    def as_dict(self) -> dict[str, Any]:
        """For the manifest's field ``verification``."""
        return {"passed": self.passed, "checks": [asdict(check) for check in self.checks]}
