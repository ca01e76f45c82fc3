"""Building a bundle: what enters it, and what stays out."""
# ruff: noqa: ARG001 - fixtures and stand-ins take what they are called with

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bundle_content import EVERYTHING, content
from tiny_checkpoint import write_checkpoint

import exporter.admission
import exporter.bundle
from exporter import planning
from exporter.errors import UserError
from exporter.manifest_file import changed_files, read_manifest
from exporter.targets.base import Coverage
from exporter.verification.report import Check, GateReport


def test_a_new_target_makes_a_complete_bundle_without_any_other_change(build, tmp_path):
    result = build(command=("build", "x"))
    out = tmp_path / "out"
    assert content(out) == EVERYTHING
    assert result.built == ("fake/model.json", "fake/model_int8.json")
    manifest = read_manifest(out)
    assert [a.path for a in manifest.artifacts] == list(result.built)
    records = [*manifest.files, *(f for a in manifest.artifacts for f in a.files)]
    assert changed_files(out, records) == ()
    assert [f.path for f in manifest.artifacts[0].files] == ["fake/model.json", "fake/model.npz"]
    assert manifest.artifacts[0].bytes == sum(f.bytes for f in manifest.artifacts[0].files)
    assert manifest.command == ("squeezebert-export", "build", "x")
    assert manifest.artifacts[0].verification["checks"][0]["name"] == "outputs"


def test_files_of_the_bundle_are_readable_by_others(build, tmp_path):
    build()
    assert all((tmp_path / "out" / name).stat().st_mode & 0o044 == 0o044 for name in EVERYTHING)


def test_the_config_has_what_clients_need(build, tmp_path):
    build(precisions=("int8",))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["SqueezeBertForSequenceClassification"]
    assert config["id2label"] == {"0": "low", "1": "middle", "2": "high"}
    assert config["label2id"] == {"low": 0, "middle": 1, "high": 2}
    # A client that follows the configuration must find the file that it names.
    assert config["transformers.js_config"] == {"dtype": "int8"}


def test_the_config_names_no_type_that_clients_do_not_know(build, tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.bundle_folder.BROWSER_TYPES", {"model": "fp32"})
    build(precisions=("int8",))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["transformers.js_config"] == {"dtype": "fp32"}


def test_the_artifact_carries_its_origin(build, target, tmp_path):
    result = build()
    metadata = target.metadata(tmp_path / "out" / "fake" / "model_int8.json")
    assert json.loads(metadata["labels"]) == ["low", "middle", "high"]
    assert metadata["source_hash"] == result.manifest.model.source_hash
    assert metadata["tokenizer_hash"] == result.manifest.tokenizer.hash
    assert metadata["precision"] == "int8"
    assert json.loads(metadata["versions"]) == dict(result.manifest.versions)
    assert set(metadata) == {
        *("task", "family", "labels", "precision", "flavour", "source", "source_hash"),
        *("tokenizer_hash", "max_length", "max_positions", "trained", "versions"),
    }


def test_a_second_build_keeps_everything(build, target):
    build()
    target.written.clear()
    result = build()
    assert target.written == []
    assert result.kept == ("fake/model.json", "fake/model_int8.json")
    assert result.built == ()


def test_force_rebuilds(build, target):
    build()
    target.written.clear()
    assert build(force=True).built == tuple(target.written) != ()


@pytest.mark.parametrize(
    "change",
    ["target code", "code", "file changed", "file removed", "labels"],
)
def test_a_change_of_what_goes_in_rebuilds(change, build, target, tmp_path, monkeypatch):
    build()
    target.written.clear()
    options = {}
    if change == "target code":
        target.code = "2"
    elif change == "code":
        monkeypatch.setattr(planning, "_code_hash", lambda: "another")
    elif change == "labels":
        options["labels"] = ("a", "b", "c")
    else:
        data = tmp_path / "out" / "fake" / "model.npz"
        data.unlink() if change == "file removed" else data.write_bytes(b"x" + data.read_bytes())
    result = build(**options)
    expected = ("fake/model.json",) if change.startswith("file") else result.built
    assert tuple(target.written) == expected != ()
    assert content(tmp_path / "out") == EVERYTHING


def test_another_model_replaces_everything_even_what_was_not_asked_for(build, tmp_path):
    build()
    other = write_checkpoint(tmp_path / "other", seed=1)
    build(model=str(other), precisions=("fp32",))
    manifest = read_manifest(tmp_path / "out")
    assert [a.path for a in manifest.artifacts] == ["fake/model.json"]
    assert not [name for name in content(tmp_path / "out") if "int8" in name]


def test_artifacts_not_asked_for_stay(build, tmp_path):
    build()
    build(precisions=("int8",))
    assert len(read_manifest(tmp_path / "out").artifacts) == 2


def test_an_artifact_that_fails_stays_out_and_the_others_are_finished(build, target, tmp_path):
    target.wrong["fp32"] = 0.1
    result = build()
    assert list(result.refused) == ["fake/model.json"]
    assert result.refused["fake/model.json"][0].name == "outputs"
    assert result.built == ("fake/model_int8.json",)
    assert content(tmp_path / "out") == [n for n in EVERYTHING if "fake/model." not in n]
    assert [a.path for a in result.manifest.artifacts] == ["fake/model_int8.json"]


def test_a_failing_rebuild_takes_the_older_artifact_away(build, target, tmp_path):
    build()
    target.wrong["fp32"] = 0.1
    target.code = "2"
    build()
    assert content(tmp_path / "out") == [n for n in EVERYTHING if "fake/model." not in n]
    assert read_manifest(tmp_path / "out").artifact("fake/model.json") is None


def test_an_artifact_that_cannot_be_opened_is_refused(build, target, monkeypatch):
    def fail(path, **_):
        raise UserError("The file cannot be run.", "Look at it.")

    monkeypatch.setattr(target, "open", fail)
    result = build()
    assert result.refused["fake/model.json"][0].detail == "The file cannot be run. Look at it."
    assert result.built == ()


def test_out_must_be_a_new_folder_or_a_bundle(build, target, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserError, match="is a file"):
        build(out=file)
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_text("x")
    with pytest.raises(UserError, match="not empty and is no bundle"):
        build(out=folder)
    with pytest.raises(UserError, match=r"file is where a folder is needed|Access"):
        build(out=file / "below")
    assert target.written == []
    assert content(folder) == ["cat.jpg"]


def test_a_manifest_cannot_make_a_build_remove_files_outside_its_bundle(build, tmp_path):
    build()
    precious = tmp_path / "precious"
    precious.write_text("x")
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace("fake/model.npz", "../precious"))
    with pytest.raises(UserError, match="leaves the bundle"):
        build(labels=("a", "b", "c"))
    assert precious.exists()


def test_an_artifact_that_cannot_be_written_is_refused_and_the_others_are_finished(
    build, target, tmp_path
):
    def overflow(spec):
        if spec.precision == "fp32":
            raise UserError("The weights exceed the type.", "Choose another precision.")

    target.in_the_middle = overflow
    result = build()
    (check,) = result.refused["fake/model.json"]
    assert (check.name, check.passed) == ("write", False)
    assert check.detail == "The weights exceed the type. Choose another precision."
    assert result.built == ("fake/model_int8.json",)
    assert content(tmp_path / "out") == [n for n in EVERYTHING if "fake/model." not in n]


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(build, target, tmp_path):
    result = build(dry_run=True)
    assert not (tmp_path / "out").exists()
    assert result.planned["fake/model.json"] == "not in the bundle yet"
    build(precisions=("fp32",))
    before = content(tmp_path / "out")
    result = build(dry_run=True)
    assert result.planned["fake/model.json"] == "up to date"
    assert result.planned["fake/model_int8.json"] == "not in the bundle yet"
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ("nothing",)}, "Unknown target"),
        ({"precisions": ("int3",)}, "int3. is not known to fake"),
        ({"precisions": ("int8", "int8")}, "asked for twice"),
        ({"labels": ("a", "b")}, "label"),
        ({"eval_data": Path("missing.tsv")}, "not found"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(options, message, build, tmp_path):
    with pytest.raises(UserError, match=message):
        build(**options)
    assert not (tmp_path / "out").exists()


def test_accuracy_is_measured_and_recorded(build, labelled, tmp_path):
    result = build(eval_data=labelled)
    accuracy = result.manifest.artifacts[0].accuracy
    assert accuracy["examples"] == 60
    assert accuracy["correct"] == 57
    assert accuracy["agreement"] == 1.0
    assert accuracy["data"] == "data.tsv"
    assert result.manifest.evaluation.examples == 60
    assert result.manifest.artifacts[0].verification["checks"][-1]["name"] == "accuracy"
    assert str(tmp_path) not in json.dumps(accuracy)


def test_new_evaluation_data_measures_without_rebuilding(build, target, labelled):
    build()
    target.written.clear()
    result = build(eval_data=labelled)
    assert target.written == []
    assert result.kept == ("fake/model.json", "fake/model_int8.json")
    names = [c["name"] for c in result.manifest.artifacts[0].verification["checks"]]
    assert names == ["outputs", "accuracy"]
    assert build(eval_data=labelled, eval_limit=10).manifest.artifacts[0].accuracy["examples"] == 10
    # Without data the measured accuracy stays.
    assert build().manifest.artifacts[0].accuracy["examples"] == 10


def test_an_artifact_that_loses_accuracy_is_refused(build, target, labelled, monkeypatch):
    # A gate that sees nothing: accuracy alone must refuse.
    passed = GateReport((Check("outputs", True, "not looked at", {}),))
    monkeypatch.setattr(
        exporter.admission, "prove", lambda *_, **__: (passed, Coverage({}, {}, {}, ()))
    )
    target.wrong["int8"] = 0.5
    result = build(eval_data=labelled)
    assert result.built == ("fake/model.json",)
    (check,) = result.refused["fake/model_int8.json"]
    assert check.name == "accuracy"
    assert "points" in check.detail


def test_seeded_weights_have_no_accuracy(build, labelled, monkeypatch):
    real = exporter.bundle.load
    monkeypatch.setattr(
        exporter.bundle, "load", lambda *a, **k: replace(real(*a, **k), trained=False)
    )
    with pytest.raises(UserError, match="accuracy means nothing"):
        build(eval_data=labelled)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": (8, 17)}, "17 tokens are asked for; the model has 16 positions"),
        ({"lengths": (4, 8), "flavours": ("fixed",)}, "'fixed' takes one length, and 2"),
    ],
)
def test_lengths_that_cannot_be_are_refused_before_anything_is_written(
    options, message, dry_run, checkpoint_folder, tmp_path
):
    out = tmp_path / "out"
    with pytest.raises(UserError, match=message):
        exporter.bundle.build(
            str(checkpoint_folder), out, targets=("coreml",), dry_run=dry_run, **options
        )
    assert not out.exists()
