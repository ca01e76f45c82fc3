"""Artifacts are judged on the examples to judge by, cut to the tokens that they take."""
# ruff: noqa: ARG002 - the protocol decides the parameters

from dataclasses import dataclass, field

import numpy as np
import pytest

from exporter.search.examples import split
from exporter.search.workshop import Workshop
from tests.exporter.search.mixed_target import MixedTarget, ReferenceSession
from tests.exporter.search.search_models import EXAMPLES


@dataclass
class ShortTarget(MixedTarget):
    """Artifacts take so many tokens; ``seen`` are the texts that they were given."""

    longest: int = 5
    seen: list = field(default_factory=list)

    def lengths(self, path):
        return (self.longest,)

    def open(self, path, *, threads=1, taps=False):
        session, seen = super().open(path), self.seen

        class Watched(ReferenceSession):
            def __init__(self):
                pass

            def run(self, inputs):
                seen.extend(inputs["input_ids"])
                return session.run(inputs)

        return Watched()


@pytest.mark.parametrize("longest", [5, 16, 99])
def test_texts_are_cut_as_evaluations_cut_them(found, evaluator, tmp_path, longest):
    judging = split(EXAMPLES)[1]
    target = ShortTarget(longest=longest)
    spec = target.artifacts(("mixed",), ("optimized",))[0]
    shop = Workshop(evaluator.checkpoint, target, spec, tmp_path, evaluator, judging)
    judged = shop.judge(shop.write(found.mix, "artifact"))
    expected = [evaluator.cut(longest).rows[index]["input_ids"] for index in judging]
    assert max(map(len, expected)) == min(longest, 10)
    assert sorted(map(bytes, target.seen)) == sorted(map(bytes, expected))
    assert len({ids[-1] for ids in target.seen}) == 1
    assert judged.examples == len(judging)
    if longest >= evaluator.checkpoint.max_length:
        assert judged == found.chosen.confirmed


def test_the_labels_and_the_reference_are_those_of_the_examples_to_judge_by(
    found, evaluator, tmp_path
):
    target = MixedTarget()
    spec = target.artifacts(("mixed",), ("optimized",))[0]
    # The labels are PyTorch's answers: fp32 loses none of them, whichever examples judge.
    fp32 = next(c for c in found.candidates if set(c.methods.values()) == {"fp32"})
    for judging in split(EXAMPLES):
        folder = tmp_path / str(len(judging))
        shop = Workshop(evaluator.checkpoint, target, spec, folder, evaluator, judging)
        judged = shop.judge(shop.write(fp32.mix, "artifact"))
        assert (judged.examples, judged.loss, judged.agreement) == (len(judging), 0, 1)
        np.testing.assert_allclose(judged.divergence, 0, atol=1e-9)
