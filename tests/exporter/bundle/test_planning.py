"""Which artifacts a command asks for, by target, precision, flavour and backend."""

import pytest

from exporter.arguments import command_line
from exporter.errors import UserError
from exporter.planning import choose_artifacts
from exporter.targets.base import ArtifactSpec


def paths(*words: str) -> list[str]:
    """Paths of the artifacts that ``build MODEL OUT`` with these options makes."""
    return [spec.path for spec in specs(*words)]


def specs(*words: str) -> list[ArtifactSpec]:
    options = command_line().parse_args(["build", "model", "out", *words])
    chosen = choose_artifacts(
        options.target, options.precision, options.flavour, options.backend, options.lengths
    )
    assert all(spec.target == target.name for spec, target in chosen)
    return [spec for spec, _ in chosen]


ONNX = ["onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"]
PROGRAMS = ["executorch/model.pte", "executorch/model_int8.pte"]


def test_every_target_has_its_usual_artifacts() -> None:
    assert paths() == ONNX
    assert paths("--target", "executorch") == PROGRAMS
    assert paths("--target", "onnx,executorch") == [*ONNX, *PROGRAMS]


def test_every_target_gives_those_that_it_has() -> None:
    both = ("--target", "onnx,executorch")
    assert paths(*both, "--precision", "int8") == [ONNX[2], PROGRAMS[1]]
    four = ["onnx/model_int4.onnx", "executorch/model_int4.pte"]
    assert paths(*both, "--precision", "int4") == four
    assert paths("--target", "onnx,coreml", "--precision", "fp32,w8a8") == [
        ONNX[0],
        "coreml/model.mlpackage",
        "coreml/model_w8a8.mlpackage",
    ]
    assert paths(*both, "--precision", "fp32", "--flavour", "portable,buckets") == [
        "onnx/model_portable.onnx",
        "executorch/model_buckets.pte",
    ]
    assert paths(*both, "--backend", "xnnpack") == [*ONNX, *PROGRAMS]


def test_coreml_has_a_flavour_for_every_form() -> None:
    words = ("--target", "coreml", "--precision", "fp32,w8a8")
    assert paths(*words) == ["coreml/model.mlpackage", "coreml/model_w8a8.mlpackage"]
    assert paths("--target", "coreml", "--flavour", "sequence_fixed_logits") == [
        "coreml/model_sequence_fixed_logits_fp16.mlpackage",
        "coreml/model_sequence_fixed_logits_int8.mlpackage",
    ]


def test_lengths_go_to_the_flavours_that_are_made_for_them() -> None:
    words = ("--target", "onnx,coreml", "--precision", "fp16", "--lengths", "64, 16,64")
    assert [spec.lengths for spec in specs(*words)] == [(), (16, 64)]
    with pytest.raises(UserError, match="--lengths leads to nothing"):
        specs("--lengths", "64")
    with pytest.raises(SystemExit):
        specs("--target", "coreml", "--lengths", "0")


def test_names_say_what_is_inside() -> None:
    words = ("--target", "executorch", "--precision", "fp32,int8,int4", "--flavour", "buckets")
    assert paths(*words) == [
        f"executorch/model_buckets{suffix}.pte" for suffix in ("", "_int8", "_int4")
    ]
    everywhere = paths("--target", "executorch", "--backend", "xnnpack,coreml,vulkan")
    assert everywhere[:2] == PROGRAMS
    assert len(everywhere) == len(set(everywhere))
    assert any("coreml" in path for path in everywhere)
    assert any("vulkan" in path for path in everywhere)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "tflite"), r"Unknown target 'tflite'.*executorch, onnx"),
        (("--precision", "w8a8"), r"w8a8.*fp32, fp16, int8, int4"),
        (("--target", "executorch", "--precision", "int3"), r"int3.*executorch.*fp32, int8, int4"),
        (("--target", "onnx,executorch", "--precision", "int8,int3"), "int3"),
        (("--flavour", "buckets"), r"buckets.*optimized, portable"),
        (("--target", "executorch", "--flavour", "portable"), r"portable.*buckets"),
        (("--backend", "xnnpack"), r"--backend.* xnnpack"),
        (("--target", "executorch", "--backend", "qnn"), r"qnn.*xnnpack.*coreml.*vulkan"),
        (("--target", "executorch", "--backend", "coreml", "--precision", "int4"), "int4"),
        (("--target", "coreml", "--flavour", "buckets"), r"buckets.*ranged_logits"),
        (("--target", "coreml", "--precision", "int3"), r"int3.*palettized4"),
        (("--target", "coreml", "--precision", "w4"), r"'w4' is not known to coreml\. There are"),
        (("--target", "coreml", "--precision", "palletized6"), "mean 'palettized6'"),
        (("--target", "coreml", "--flavour", "logits_fixed"), "mean 'fixed_logits'"),
        (("--precision", "int8", "--flavour", "portabel"), r"--flavour 'portabel'.*'portable'"),
        (("--precision", "fp32,fp32"), "onnx/model.onnx is asked for twice"),
        (("--target", "executorch,executorch"), "executorch/model.pte is asked for twice"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_choices(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        paths(*words)


def test_a_refusal_names_no_combinations() -> None:
    with pytest.raises(UserError) as caught:
        paths("--target", "coreml", "--flavour", "nosuch")
    assert "Did you mean" not in str(caught.value)
    assert str(caught.value).count("ranged_logits") == 2  # and sequence_ranged_logits
    assert "palettized" not in str(caught.value)
