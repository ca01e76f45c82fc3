"""Building that is interrupted, refused by the disk or disturbed: what it leaves behind."""
# ruff: noqa: ARG001, ARG005 - fixtures and stand-ins take what they are called with

import errno
import os
from pathlib import Path

import pytest
from bundle_content import EVERYTHING, content

import exporter.admission
import exporter.bundle
from exporter import filesystem
from exporter.errors import UserError
from exporter.filesystem import exclusive
from exporter.manifest_file import changed_files, read_manifest


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
        patch.setattr(exporter.admission, "artifact_record", lambda *_: 1 / 0)
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
