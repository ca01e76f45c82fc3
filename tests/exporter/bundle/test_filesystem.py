"""Writing completely or not at all."""

import errno

import pytest

from exporter.errors import UserError
from exporter.filesystem import (
    explain_os_error,
    move_into_place,
    partial_folder,
    sha256_file,
    write_atomically,
)


def test_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "a") == expected


def test_a_failed_write_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def refuse(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("exporter.filesystem.os.fsync", refuse)
    with pytest.raises(UserError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_partial_folder_never_stays(tmp_path):
    def interrupted():
        with partial_folder(tmp_path) as folder:
            (folder / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_are_replaced(tmp_path):
    for name in ("new", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    move_into_place(tmp_path / "new", tmp_path / "place")
    assert [p.name for p in (tmp_path / "place").iterdir()] == ["new"]
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    move_into_place(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "a"


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_refusal_of_the_system_has_a_cause_and_a_next_step(code, tmp_path):
    error = explain_os_error(OSError(code, "reason"), tmp_path)
    assert str(tmp_path) in error.message
    assert error.next_step
    assert error.exit_code == 2
