"""An answer that cannot be compared is never a right one."""

from pathlib import Path
from typing import Any

import pytest
from tiny_bundles import write_bundle

from runtime_bench import right_answers
from runtime_bench.app.plan_file import plan_bytes
from runtime_bench.devices.host import Host
from runtime_bench.errors import RunnerError
from runtime_bench.plan import make_plan
from runtime_bench.right_answers import RightAnswers, distance


def outputs(**values: float) -> dict[str, dict[str, Any]]:
    return {name: {"shape": [1], "values": [value]} for name, value in values.items()}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_infinitely_far(value: float) -> None:
    right = outputs(a=1.0, b=2.0)
    assert distance(right, right) == 0
    for broken in (outputs(a=value, b=2.0), outputs(a=1.0, b=value)):
        assert distance(broken, right) == float("inf")
        assert distance(right, broken) == float("inf")


def test_a_distance_that_is_no_number_is_too_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan([str(write_bundle(tmp_path))], lengths=[8])
    answers = RightAnswers(plan, Host())
    monkeypatch.setattr(answers, "of", lambda _: {8: outputs(a=1.0)})
    answers.check(plan.entries[0], 8, outputs(a=1.0))
    monkeypatch.setattr(right_answers, "distance", lambda *_: float("nan"))
    with pytest.raises(RunnerError, match="nothing was measured"):
        answers.check(plan.entries[0], 8, outputs(a=1.0))


def test_a_plan_holds_no_number_that_the_app_cannot_read() -> None:
    assert plan_bytes({"values": [1.5]}) == b'{"values": [1.5]}'
    with pytest.raises(RunnerError, match="not finite"):
        plan_bytes({"values": [float("nan")]})
