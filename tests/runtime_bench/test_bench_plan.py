"""Bundles, hashes, labels, FLOPs, and the plan made of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_bench.bundles import ModelFacts, check_hashes, read_bundle
from runtime_bench.errors import InputError
from runtime_bench.flops import nominal_flops
from runtime_bench.inputs import golden_inputs
from runtime_bench.plan import Case, Settings, make_plan

MakeBundle = Callable[..., Path]
GROUPS = ("query", "key", "value", "post_attention", "intermediate", "output")
TWO = (("onnx/model.onnx", "fp32", "optimized"), ("onnx/model_int8.onnx", "int8", "optimized"))


def base_model(family: str, groups: dict[str, int], task: str = "none") -> ModelFacts:
    return ModelFacts("s", None, "a", family, task, False, 30522, 512, 12, 768, 12, 3072, groups, 3)


def test_flops_of_the_base_models_are_the_published_ones() -> None:
    bert = base_model("bert", dict.fromkeys(GROUPS, 1))
    squeezebert = base_model("squeezebert", {**dict.fromkeys(GROUPS, 4), "post_attention": 1})
    assert nominal_flops(bert, 128) == pytest.approx(22.35e9, rel=1e-3)
    assert nominal_flops(squeezebert, 128) == pytest.approx(7.40e9, rel=1e-3)


def test_the_head_counts() -> None:
    groups = dict.fromkeys(GROUPS, 1)
    bare = nominal_flops(base_model("bert", groups), 10)
    by_task = {
        task: nominal_flops(base_model("bert", groups, task), 10) - bare
        for task in ("sequence-classification", "token-classification", "question-answering")
    }
    assert by_task == {
        "sequence-classification": 2 * 768 * 768 + 2 * 768 * 3,
        "token-classification": 2 * 10 * 768 * 3,
        "question-answering": 2 * 10 * 768 * 2,
    }
    masked = nominal_flops(base_model("bert", groups, "masked-lm"), 10) - bare
    assert masked == 2 * 10 * 768 * (768 + 30522)


def test_a_plan_names_subjects_baselines_and_the_matrix_product(make_bundle: MakeBundle) -> None:
    ours = make_bundle("ours", artifacts=TWO)
    stock = make_bundle("stock", family="bert", recipe="stock", artifacts=TWO)
    plan = make_plan([str(ours)], baselines=[f"{stock}:onnx/model.onnx"], lengths=[16, 8, 16])
    assert [(entry.label, entry.roles) for entry in plan.entries] == [
        ("SqueezeBERT 2x16 ours fp32", ("subject",)),
        ("SqueezeBERT 2x16 ours int8", ("subject",)),
        ("BERT 2x16 stock fp32 (torch.onnx)", ("baseline",)),
        ("fp32 matrix product (peak)", ("peak",)),
    ]
    assert list(plan.cases()) == [Case(8, 1), Case(16, 1)]


def test_an_artifact_named_twice_is_measured_once_in_both_roles(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(artifacts=TWO)
    plan = make_plan([str(bundle)], baselines=[f"{bundle}:onnx/model.onnx"], lengths=[8])
    assert [entry.roles for entry in plan.entries] == [
        ("subject", "baseline"),
        ("subject",),
        ("peak",),
    ]


def test_equal_labels_are_told_apart(make_bundle: MakeBundle) -> None:
    one = make_bundle("one", source="a/model")
    other = make_bundle("other", source="b/model")
    labels = [entry.label for entry in make_plan([str(one), str(other)], lengths=[8]).entries]
    assert labels[:2] == [
        "SqueezeBERT 2x16 ours fp32 [a/model]",
        "SqueezeBERT 2x16 ours fp32 [b/model]",
    ]


def test_base_sizes_get_their_names() -> None:
    from runtime_bench.labels import model_name

    bert = base_model("bert", dict.fromkeys(GROUPS, 1))
    assert model_name(bert) == "bert-base-uncased"
    assert model_name(base_model("squeezebert", dict.fromkeys(GROUPS, 4))) == "SqueezeBERT"


def test_a_changed_file_is_refused(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    file = bundle / "onnx/model.onnx"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"changed after the bundle was made.*build .*--force"):
        make_plan([str(bundle)], lengths=[8])
    file.unlink()
    read = read_bundle(bundle)
    with pytest.raises(InputError, match="cannot be read"):
        check_hashes(read, read.artifacts[0])


def edited(bundle: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    return str(bundle)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(schema="other/2"), "has the schema 'other/2'"),
        (lambda d: d.pop("model"), "lacks the field 'model'"),
        (lambda d: d["model"]["groups"].pop("key"), "lacks the field 'key'"),
        (lambda d: d["model"].update(layers="many"), "is malformed"),
        (lambda d: d.update(artifacts=3), "is malformed"),
        (lambda d: d["artifacts"][0].update(target="coreml"), "no artifact that runs"),
    ],
)
def test_a_broken_manifest_is_refused(
    make_bundle: MakeBundle, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_plan([edited(make_bundle(), edit)], lengths=[8])


def moved(name: str, value: str) -> Callable[[dict[str, Any]], object]:
    """An edit that gives the artifact and its first file the same new ``name`` (path, sha256)."""

    def edit(document: dict[str, Any]) -> None:
        artifact = document["artifacts"][0]
        artifact[name] = artifact["files"][0][name] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "cause"),
    [
        (lambda d: d["artifacts"][0].update(path="onnx/other.onnx"), "is not the artifact itself"),
        (lambda d: d["artifacts"][0].update(sha256="0" * 64), "is not the artifact itself"),
        (moved("path", "/etc/hostname"), "not a relative one"),
        (moved("path", "C:/model.onnx"), "not a relative one"),
        (moved("path", "onnx/../../model.onnx"), "not a relative one"),
        (moved("path", "onnx\\model.onnx"), "not a relative one"),
        (moved("path", ""), "not a relative one"),
        (moved("sha256", "0" * 63), "is not 64 hexadecimal"),
        (moved("sha256", "<b>" + "0" * 61), "is not 64 hexadecimal"),
        (moved("sha256", "0" * 64 + "\n"), "is not 64 hexadecimal"),
    ],
)
def test_a_manifest_that_names_other_files_than_its_artifact_is_refused(
    make_bundle: MakeBundle, edit: Callable[[dict[str, Any]], object], cause: str
) -> None:
    with pytest.raises(InputError, match=rf"{cause}.*squeezebert-export build .*--force"):
        read_bundle(Path(edited(make_bundle(), edit)))


def test_every_file_of_an_artifact_keeps_to_the_bundle(make_bundle: MakeBundle) -> None:
    outside = {"path": "../weights.bin", "bytes": 1, "sha256": "0" * 64}
    bundle = edited(make_bundle(), lambda d: d["artifacts"][0]["files"].append(outside))
    with pytest.raises(InputError, match=r"'\.\./weights\.bin' is not a relative one"):
        read_bundle(Path(bundle))


def test_a_size_that_is_not_the_files_is_refused(make_bundle: MakeBundle) -> None:
    bundle = edited(make_bundle(), lambda d: d["artifacts"][0]["files"][0].update(bytes=1))
    with pytest.raises(InputError, match=r"bytes, the manifest says 1\."):
        make_plan([bundle], lengths=[8])


def test_what_is_no_bundle_is_refused(tmp_path: Path, make_bundle: MakeBundle) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        make_plan([str(tmp_path / "missing")])
    with pytest.raises(InputError, match=r"no manifest\.json"):
        make_plan([str(tmp_path)])
    bundle = make_bundle()
    (bundle / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        make_plan([str(bundle)])


def test_artifacts_are_chosen_by_path(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(artifacts=TWO)
    plan = make_plan([str(bundle)], artifacts=["onnx/model_int8.onnx"], lengths=[8])
    assert plan.entries[0].label == "SqueezeBERT 2x16 ours int8"
    with pytest.raises(InputError, match=r"has no artifact x\. .*onnx/model_int8\.onnx"):
        make_plan([str(bundle)], artifacts=["x"], lengths=[8])
    with pytest.raises(InputError, match="has no artifact y"):
        make_plan([f"{bundle}:y"], lengths=[8])


def test_an_artifact_without_a_runner_is_left_out_aloud_or_refused(
    make_bundle: MakeBundle,
) -> None:
    artifacts = (*TWO, ("coreml/model.mlpackage", "fp32", "optimized"))
    bundle = make_bundle(artifacts=artifacts)
    plan = make_plan([str(bundle)], lengths=[8])
    assert len(plan.entries) == 3
    assert "coreml/model.mlpackage" in plan.notices[0]
    with pytest.raises(InputError, match="no runner for"):
        make_plan([f"{bundle}:coreml/model.mlpackage"], lengths=[8])


def test_an_artifact_that_its_exporter_could_not_run_is_not_measured(
    make_bundle: MakeBundle,
) -> None:
    bundle = make_bundle(artifacts=TWO)
    manifest = bundle / "manifest.json"
    document = json.loads(manifest.read_text())
    document["artifacts"][1]["not_run"] = "its delegate runs on another device"
    manifest.write_text(json.dumps(document))
    plan = make_plan([str(bundle)], lengths=[8])
    assert [entry.artifact.path for entry in plan.entries if entry.artifact] == [TWO[0][0]]
    assert "runs on another device" in plan.notices[0]
    with pytest.raises(InputError, match="runs on another device"):
        make_plan([f"{bundle}:{TWO[1][0]}"], lengths=[8])


def test_lengths_beyond_the_position_table(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(max_positions=64)
    with pytest.raises(InputError, match=r"Length 65 is too long: .* position table of 64 tokens"):
        make_plan([str(bundle)], lengths=[8, 65])
    plan = make_plan([str(bundle)])
    assert plan.lengths == (32,)
    assert "128, 384" in plan.notices[0]
    assert make_plan([str(make_bundle("short", max_positions=16))]).lengths == (16,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": Settings(blocks=3)}, "A B B A"),
        ({"settings": Settings(blocks=0)}, "A B B A"),
        ({"settings": Settings(seconds_per_block=0)}, "above zero"),
        ({"lengths": [0]}, "--lengths"),
        ({"threads": [0]}, "--threads"),
    ],
)
def test_settings_that_cannot_be_used(
    make_bundle: MakeBundle, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_plan([str(make_bundle())], **options)


def test_inputs_are_valid_seeded_and_the_same_for_all_artifacts(make_bundle: MakeBundle) -> None:
    plan = make_plan([str(make_bundle(artifacts=TWO))], lengths=[8])
    one, other, peak = (golden_inputs(entry, 8, 1) for entry in plan.entries)
    assert one == other
    assert golden_inputs(plan.entries[0], 8, 2) != one
    ids = one["input_ids"]
    assert ids["shape"] == [1, 8]
    assert len(ids["values"]) == 8
    assert all(0 <= value < 50 for value in ids["values"])
    assert one["attention_mask"]["values"] == [1]
    assert list(peak) == ["left"]
