"""The forms of packages: names, lengths, systems."""

from dataclasses import replace

import pytest
from small_models import small_model

from exporter.errors import UserError
from exporter.model.config import TASKS
from exporter.targets.coreml.form import Form, flavours, form


def test_names_spell_out_what_differs_from_the_usual() -> None:
    assert flavours() == (
        "optimized",
        "logits",
        "fixed",
        "fixed_logits",
        "ranged",
        "ranged_logits",
        "sequence",
        "sequence_logits",
        "sequence_fixed",
        "sequence_fixed_logits",
        "sequence_ranged",
        "sequence_ranged_logits",
    )
    found = {form(name, "sequence-classification") for name in flavours()}
    assert len(found) == len(flavours())
    usual = Form("neural_engine", "enumerated", "classifier")
    assert form("optimized", "sequence-classification") == usual
    assert form("sequence_fixed", "sequence-classification") == Form(
        "sequence", "fixed", "classifier"
    )


def test_only_texts_are_classified() -> None:
    for task in TASKS:
        classifies = task == "sequence-classification"
        output = "classifier" if classifies else "logits"
        assert form("optimized", task).output == output
        assert form("logits", task).output == "logits"


@pytest.mark.parametrize("name", ["", "fixed_sequence", "logits_fixed", "buckets", "fixed_ranged"])
def test_other_names_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="no flavour"):
        form(name, "masked-lm")


@pytest.mark.parametrize(
    ("positions", "enumerated", "fixed"),
    [
        (1, (1,), 1),
        (20, (20,), 20),
        (32, (32,), 32),
        (40, (32, 40), 40),
        (128, (32, 64, 128), 128),
        (300, (32, 64, 128, 256, 300), 128),
        (512, (32, 64, 128, 256, 512), 128),
    ],
)
def test_usual_lengths(positions: int, enumerated: tuple[int, ...], fixed: int) -> None:
    config = replace(small_model().config, max_positions=positions)
    assert form("optimized", "masked-lm").takes(config) == enumerated
    assert form("fixed", "masked-lm").takes(config) == (fixed,)
    assert form("ranged", "masked-lm").takes(config) == (positions,)


def test_lengths_rise_beyond_the_usual_limit() -> None:
    for positions in (513, 1024):
        config = replace(small_model().config, max_positions=positions)
        lengths = form("optimized", "masked-lm").takes(config)
        assert list(lengths) == sorted(set(lengths))
        assert lengths[-1] <= positions


def test_lengths_that_are_asked_for() -> None:
    config = small_model().config
    for flavour, asked in (
        ("optimized", (8, 33)),
        ("optimized", (40,)),
        ("fixed", (7,)),
        ("ranged", (39,)),
    ):
        assert form(flavour, "masked-lm", asked).takes(config) == asked
    for flavour in ("optimized", "fixed", "ranged"):
        with pytest.raises(UserError, match=r"41 tokens .* 40 positions.*smaller --lengths"):
            form(flavour, "masked-lm", (41,)).takes(config)
    for flavour in ("fixed", "sequence_ranged_logits"):
        with pytest.raises(UserError, match=r"one length, and 2 are asked for"):
            form(flavour, "masked-lm", (8, 16))


def test_more_shapes_than_there_may_be() -> None:
    most = tuple(range(1, 129))
    assert form("optimized", "masked-lm", most).asked == most
    with pytest.raises(UserError, match=r"129 lengths are asked for.*at most 128.*fewer --lengths"):
        form("optimized", "masked-lm", (*most, 129))


@pytest.mark.parametrize(
    ("flavour", "precision", "asked", "deployment"),
    [
        ("optimized", "fp16", (), "iOS18"),
        ("optimized", "fp16", (24,), "iOS17"),
        ("optimized", "fp16", (24, 32), "iOS18"),
        ("fixed", "fp16", (), "iOS17"),
        ("ranged", "fp32", (), "iOS17"),
        ("ranged", "int8", (), "iOS17"),
        ("sequence_ranged", "w8a8", (), "iOS17"),
        ("fixed", "palettized6", (), "iOS17"),
        ("fixed", "palettized4", (), "iOS18"),
        ("ranged", "int4", (), "iOS18"),
    ],
)
def test_the_oldest_system_that_has_it_all(
    flavour: str, precision: str, asked: tuple[int, ...], deployment: str
) -> None:
    config = small_model().config
    assert form(flavour, "masked-lm", asked).deployment(precision, config) == deployment
