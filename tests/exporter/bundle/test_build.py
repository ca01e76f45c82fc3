"""Building a bundle: what enters it, what stays out, and what an interruption leaves."""
# ruff: noqa: ARG001, ARG005 - fixtures and stand-ins take what they are called with

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_checkpoint import write_checkpoint

import exporter.bundle
from exporter import filesystem, planning
from exporter.errors import UserError
from exporter.filesystem import exclusive
from exporter.manifest import changed_files, read_manifest
from exporter.targets.base import Coverage
from exporter.verification.report import Check, GateReport

EVERYTHING = [
    "README.md",
    "config.json",
    "fake/model.json",
    "fake/model.npz",
    "fake/model_int8.json",
    "fake/model_int8.npz",
    "manifest.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
]


def content(folder: Path) -> list[str]:
    """Every file below ``folder``, half-written ones included."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


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


def test_an_interruption_leaves_finished_artifacts_and_nothing_half_written(
    build, target, tmp_path
):
    def interrupt(spec):
        if spec.precision == "int8":
            raise KeyboardInterrupt

    target.in_the_middle = interrupt
    with pytest.raises(KeyboardInterrupt):
        build()
    out = tmp_path / "out"
    assert content(out) == [n for n in EVERYTHING if "int8" not in n]
    assert [a.path for a in read_manifest(out).artifacts] == ["fake/model.json"]
    target.in_the_middle = None
    result = build()
    assert result.kept == ("fake/model.json",)
    assert result.built == ("fake/model_int8.json",)


def test_an_interrupted_rebuild_leaves_the_older_artifact(build, target, tmp_path):
    build()
    target.code = "2"
    target.in_the_middle = lambda spec: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        build()
    out = tmp_path / "out"
    assert content(out) == EVERYTHING
    manifest = read_manifest(out)
    assert changed_files(out, [f for a in manifest.artifacts for f in a.files]) == ()


def test_a_crash_between_moving_the_files_and_the_manifest_is_healed(
    build, target, tmp_path, monkeypatch
):
    build()
    target.code = "2"
    with monkeypatch.context() as patch:
        patch.setattr(exporter.bundle, "artifact_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build()
    target.written.clear()
    assert build().built == ("fake/model.json", "fake/model_int8.json")
    assert content(tmp_path / "out") == EVERYTHING


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_is_one_line_and_leaves_nothing_half_written(
    code, build, target, tmp_path
):
    def refuse(spec):
        raise OSError(code, os.strerror(code))

    target.in_the_middle = refuse
    with pytest.raises(UserError) as caught:
        build()
    assert ("No space" in str(caught.value)) == (code == errno.ENOSPC)
    assert ("Access is denied" in str(caught.value)) == (code in (errno.EACCES, errno.EROFS))
    assert not [name for name in content(tmp_path / "out") if name.startswith(("fake", ".partial"))]


def test_a_full_disk_while_the_manifest_is_written_keeps_the_old_one(build, tmp_path, monkeypatch):
    build(precisions=("fp32",))
    before = (tmp_path / "out" / "manifest.json").read_bytes()

    def refuse(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(filesystem.os, "fsync", refuse)
    with pytest.raises(UserError, match="No space is left"):
        build()
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert not [n for n in content(tmp_path / "out") if ".partial" in n]


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_the_same_command_works_after_a_stop_at_any_write(stop, build, tmp_path, monkeypatch):
    real, stops = filesystem.os.fsync, 0
    while True:
        out, left = tmp_path / f"out{stops}", iter(range(stops))

        def stop_at_the_last(handle, left=left):
            if next(left, None) is None:
                raise stop
            real(handle)

        with monkeypatch.context() as patch:
            patch.setattr(filesystem.os, "fsync", stop_at_the_last)
            try:
                build(out=out)
                break
            except (UserError, KeyboardInterrupt):
                stops += 1
        build(out=out)
        assert content(out) == EVERYTHING
    assert stops == 11  # manifest, 4 shared files, then manifest and card three times


def test_leftovers_of_a_killed_build_are_removed(build, tmp_path):
    leftover = tmp_path / "out" / ".partial-abc"
    leftover.mkdir(parents=True)
    (leftover / "model.json").write_text("half")
    build()
    assert content(tmp_path / "out") == EVERYTHING


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


def test_an_unwritable_folder_is_named(build, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"Access is denied \(.*out\)"):
        build()


def test_two_builds_do_not_write_into_one_folder(build, tmp_path):
    (tmp_path / "out").mkdir()
    with exclusive(tmp_path / "out"), pytest.raises(UserError, match="Another command"):
        build()


def test_a_build_that_ended_while_the_model_was_loaded_loses_nothing(
    build, target, tmp_path, monkeypatch
):
    real = exporter.bundle.load

    def load_slowly(*arguments, **options):
        monkeypatch.setattr(exporter.bundle, "load", real)
        build(precisions=("fp32",))
        return real(*arguments, **options)

    monkeypatch.setattr(exporter.bundle, "load", load_slowly)
    result = build()
    assert result.kept == ("fake/model.json",)
    assert result.built == ("fake/model_int8.json",)
    assert target.written == ["fake/model.json", "fake/model_int8.json"]
    assert len(read_manifest(tmp_path / "out").artifacts) == 2


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
        ({"precisions": ("int3",)}, "int3 leads to no artifact"),
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
        exporter.bundle, "prove", lambda *_, **__: (passed, Coverage({}, {}, {}, ()))
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
