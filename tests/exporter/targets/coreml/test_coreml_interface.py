"""What a package shows to an app: shapes, all outputs, the system that it needs."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from small_models import LABELS, MAX_POSITIONS, small_model
from small_packages import Packages, remembered_packages

from exporter.errors import UserError
from exporter.inspection import inspect
from exporter.rendering import show_inspection
from exporter.targets.base import INPUTS, ArtifactSpec
from exporter.targets.coreml import TARGET

CLASSES = ("classLabel", "string", ()), ("classLabel_probs", "dictionary", (len(LABELS),))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return remembered_packages(lambda: tmp_path_factory.mktemp("package"))


@pytest.mark.parametrize(
    ("flavour", "lengths", "tokens"),
    [
        ("fixed", (20,), 20),
        ("optimized", (8, 24, 33), "8/24/33"),
        ("optimized", (24,), 24),
        ("ranged", (), f"1..{MAX_POSITIONS}"),
    ],
)
def test_inputs_have_their_lengths_and_a_classifier_all_its_outputs(
    flavour: str, lengths: tuple[int, ...], tokens: int | str, packages: Packages
) -> None:
    inputs, outputs = TARGET.declared(packages("fp16", flavour, lengths).path)
    assert [(i.name, i.dtype, i.shape) for i in inputs] == [
        (name, "int32", (1, tokens)) for name in INPUTS
    ]
    found = {(output.name, output.dtype, output.shape) for output in outputs}
    assert found == {*CLASSES, ("logits", "float32", (1, 3))}


@pytest.mark.parametrize(
    ("flavour", "lengths", "tokens"),
    [("fixed", (20,), 20), ("optimized", (8, 24), "8/24"), ("ranged", (20,), "1..20")],
)
def test_outputs_by_token_have_the_lengths_too(
    flavour: str, lengths: tuple[int, ...], tokens: int | str, packages: Packages
) -> None:
    package = packages("fp16", flavour, lengths, task="token-classification")
    (output,) = TARGET.declared(package.path)[1]
    assert (output.name, output.shape) == ("logits", (1, tokens, 3))


def test_facts(packages: Packages) -> None:
    facts = TARGET.facts(packages("fp16", "fixed", (20,)).path)
    assert facts == {
        "system": "iOS 17, macOS 14",
        "pad_token_id": "0",
        "mask_convention": "attention_mask: 1 token, 0 padding",
    }
    newer = TARGET.facts(packages("fp16", "optimized", (8, 24, 33)).path)
    assert newer["system"] == "iOS 18, macOS 15"


def test_inspect_shows_what_the_package_declares(packages: Packages) -> None:
    stream = StringIO()
    package = packages("fp16", "fixed", (20,))
    show_inspection(Console(file=stream, width=200), inspect(package.path))
    lines = stream.getvalue().splitlines()
    assert {
        "input input_ids: int32 [1, 20]",
        "output classLabel: string",
        "output classLabel_probs: dictionary of 3 labels",
        "output logits: float32 [1, 3]",
    } <= set(lines)


@pytest.mark.parametrize(
    ("flavour", "lengths", "message"),
    [
        ("optimized", (8, MAX_POSITIONS + 1), "positions. Choose smaller --lengths"),
        ("fixed", (8, 16), "takes one length, and 2 are asked for"),
    ],
)
def test_lengths_that_cannot_be_are_refused_by_themselves(
    flavour: str, lengths: tuple[int, ...], message: str
) -> None:
    spec = ArtifactSpec("coreml", "fp16", flavour, "coreml/x.mlpackage", "", lengths)
    with pytest.raises(UserError, match=message):
        TARGET.check(spec, small_model(layers=1))


def test_a_name_decides_who_answers(tmp_path: Path) -> None:
    paths = [tmp_path / f"model{suffix}" for suffix in (".mlpackage", ".onnx", ".pte")]
    paths[0].mkdir()
    for file in paths[1:]:
        file.write_bytes(b"something else")
    for path in paths:
        with pytest.raises(UserError) as caught:
            inspect(path)
        assert caught.value.message.startswith(str(path))
        assert "no artifact that can be read" not in caught.value.message
        is_package = "is no Core ML package: it has no Manifest.json." in caught.value.message
        assert is_package == (path.suffix == ".mlpackage")


def test_a_package_without_its_weights_says_what_to_do(packages: Packages, tmp_path: Path) -> None:
    copy = packages("fp16", "fixed", (20,)).copy(tmp_path)
    (copy / "Data/com.apple.CoreML/weights/weight.bin").unlink()
    with pytest.raises(UserError) as caught:
        inspect(copy)
    expected = f"{copy} cannot be read: its weights are missing. Copy the whole package."
    assert str(caught.value) == expected
