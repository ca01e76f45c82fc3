"""The set-up of the native runners: what it refuses, what it keeps, what it never believes."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime_bench.errors import InputError
from runtime_bench.native import build, commands, download, pins, places, set_up
from runtime_bench.native.build import Recipe

ROOT = Path(places.__file__).resolve().parents[2]
SCRIPT = ROOT / "runtime_bench/install_system_packages.sh"
TOOLS = ("cmake", "make", "g++", "aarch64-linux-gnu-g++")
linux = pytest.mark.skipif(platform.machine() != "x86_64", reason="written for an x86_64 host")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``.native`` with nothing in it, on a machine that has every tool."""
    folder = tmp_path / ".native"
    monkeypatch.setattr(places, "folder", lambda: folder)
    monkeypatch.setattr(commands.shutil, "which", lambda program: f"/bin/{program}")
    monkeypatch.setattr(build, "_JSON_HEADERS", tmp_path / "nlohmann")
    (tmp_path / "nlohmann").mkdir()
    (tmp_path / "nlohmann/json.hpp").touch()
    monkeypatch.setattr(build, "run", lambda *_: "compiler 1.0\n")
    return folder


def lacks(missing: str) -> Any:
    return lambda program: None if program == missing else f"/bin/{program}"


@linux
@pytest.mark.parametrize("tool", TOOLS)
def test_a_missing_tool_is_named_with_the_command_that_installs_it(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tool: str
) -> None:
    monkeypatch.setattr(build, "_compile", lambda _recipe, _downloads, scratch: made(scratch))
    monkeypatch.setattr(commands.shutil, "which", lacks(tool))
    only = "aarch64" if tool.startswith("aarch64") else "host"
    assert set_up.main(["--only", only]) == 2
    error = capsys.readouterr().err
    assert f"error: {tool} is not installed" in error
    assert "sudo runtime_bench/install_system_packages.sh" in error
    assert not empty.exists()
    # With it, nothing is refused.
    monkeypatch.setattr(commands.shutil, "which", lacks("another"))
    assert set_up.main(["--only", only]) == 0


@linux
def test_missing_headers_are_named(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty.parent / "nlohmann/json.hpp").unlink()
    assert set_up.main(["--only", "host"]) == 2
    assert "nlohmann-json3-dev is not installed" in capsys.readouterr().err


def test_other_systems_are_told_what_they_can_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(set_up.platform, "system", lambda: "Darwin")
    assert set_up.main([]) == 2
    assert "this is Darwin" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        set_up.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for part in ("install_system_packages.sh", "--only", "--force", "onnx_runner", "examples:"):
        assert part in text


def wheel_file(folder: Path) -> bytes:
    path = folder / "wheel.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("onnxruntime/capi/libonnxruntime.so.1.31.1", b"library")
        archive.writestr("onnxruntime/other.py", b"not needed")
    return path.read_bytes()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A package index that serves ``served["file"]``."""
    index = {"file": wheel_file(tmp_path)}

    def pip(command: list[str], *_: str) -> str:
        target = Path(command[command.index("--dest") + 1])
        target.mkdir()
        (target / "onnxruntime.whl").write_bytes(index["file"])
        return ""

    monkeypatch.setattr(download, "run", pip)
    return index


def test_only_what_has_the_pinned_hash_is_unpacked(
    served: dict[str, bytes], tmp_path: Path
) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    right = hashlib.sha256(served["file"]).hexdigest()
    wheel = replace(pins.ONNXRUNTIME, sha256={"aarch64": right})
    good = served["file"]
    served["file"] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(InputError, match=rf"its sha256 is \w+, expected {right}"):
        download.fetch_wheel(wheel, "aarch64", downloads)
    assert list(downloads.iterdir()) == []
    served["file"] = good
    found = download.fetch_wheel(wheel, "aarch64", downloads)
    names = {path.name for path in found.rglob("*") if path.is_file()}
    assert names == {"libonnxruntime.so.1.31.1", "sha256"}
    # Not fetched again while the pin is the same; another pin is not served by the old file.
    served["file"] = b"nothing"
    assert download.fetch_wheel(wheel, "aarch64", downloads) == found
    with pytest.raises(InputError, match="sha256"):
        download.fetch_wheel(replace(wheel, sha256={"aarch64": "0" * 64}), "aarch64", downloads)
    assert (found / "onnxruntime/capi/libonnxruntime.so.1.31.1").read_bytes() == b"library"


def test_headers_from_a_debian_archive_need_their_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def apt(command: list[str], *_: str) -> str:
        asked.append(command)
        if command[1] == "indextargets":
            return "http://one/archive/\nhttp://two/archive/\n"
        if command[2].startswith("http://one/"):
            raise InputError("not there", "next")
        Path(command[3]).write_bytes(b"changed on the way")
        return ""

    monkeypatch.setattr(download, "run", apt)
    monkeypatch.setattr(download, "_APT_HELPER", Path(sys.executable))
    monkeypatch.setattr(download, "require", lambda *_: None)
    with pytest.raises(InputError, match=r"libonnxruntime-dev.*sha256"):
        download.fetch_onnxruntime_headers(pins.ONNXRUNTIME_HEADERS, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert [command[2] for command in asked[1:]] == [
        f"http://{host}/archive/{pins.ONNXRUNTIME_HEADERS.path}" for host in ("one", "two")
    ]


def test_without_debian_the_headers_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_APT_HELPER", tmp_path / "none")
    with pytest.raises(InputError, match=r"this is none\..*--onnxruntime-headers FOLDER"):
        download.fetch_onnxruntime_headers(pins.ONNXRUNTIME_HEADERS, tmp_path)
    with pytest.raises(InputError, match=r"no onnxruntime_c_api\.h in"):
        download.check_headers(tmp_path)
    (tmp_path / "onnxruntime_c_api.h").touch()
    assert download.check_headers(tmp_path) == tmp_path


def test_a_program_that_fails_says_why_in_one_line() -> None:
    program = "import sys; sys.exit('a.cpp:1: error: no such type\\ngave up')"
    with pytest.raises(InputError) as failed:
        commands.run([sys.executable, "-c", program], "It did not compile", "Do this.")
    assert failed.value.message == "It did not compile: a.cpp:1: error: no such type."
    assert commands.run([sys.executable, "-c", "print(1)"], "", "") == "1\n"


def made(scratch: Path) -> Path:
    folder = scratch / "made"
    folder.mkdir()
    for name in ("onnx_runner", "executorch_runner"):
        (folder / name).write_text("new")
    return folder


@linux
def test_what_is_up_to_date_is_left_alone_and_a_failed_build_leaves_the_old_one(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def compile_runners(recipe: Recipe, _downloads: Path, scratch: Path) -> Path:
        compiled.append(recipe.architecture)
        return made(scratch)

    monkeypatch.setattr(build, "_compile", compile_runners)
    recipe = Recipe("aarch64")
    assert build.build(recipe) is True
    runner = places.require_runners("aarch64") / "onnx_runner"
    assert build.build(recipe) is False
    assert build.build(recipe, force=True) is True
    # Another library: made again.
    changed = replace(pins.EXECUTORCH, sha256={"aarch64": "0" * 64})
    monkeypatch.setattr(pins, "EXECUTORCH", changed)
    assert build.build(recipe) is True
    # Another source: made again.
    sources = empty.parent / "sources"
    shutil.copytree(build._SOURCES / "src", sources / "src")
    shutil.copyfile(build._SOURCES / "CMakeLists.txt", sources / "CMakeLists.txt")
    monkeypatch.setattr(build, "_SOURCES", sources)
    assert build.build(recipe) is False
    (sources / "src/marks.h").write_text("// changed\n")
    assert build.build(recipe) is True
    assert compiled == ["aarch64"] * 4

    def fail(*_: object) -> Path:
        raise InputError("It did not compile.", "Do this.")

    monkeypatch.setattr(build, "_compile", fail)
    with pytest.raises(InputError, match="did not compile"):
        build.build(recipe, force=True)
    assert runner.read_text() == "new"
    assert {path.name for path in empty.iterdir()} == {"aarch64", "aarch64.json", "downloads"}
    # A stamp that was damaged is no stamp.
    (empty / "aarch64.json").write_text("{")
    monkeypatch.setattr(build, "_compile", compile_runners)
    assert build.build(recipe) is True


def test_runners_that_are_not_there_are_asked_for(empty: Path) -> None:
    assert not empty.exists()
    with pytest.raises(InputError, match="make native"):
        places.require_runners("aarch64")


def test_the_pins_are_the_versions_of_this_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    for wheel in (pins.ONNXRUNTIME, pins.EXECUTORCH):
        assert f"{wheel.package}=={wheel.version}" in project["dependencies"]
        locked = lock.split(f"\n{wheel.package}=={wheel.version} ")[1].split("\n    # via")[0]
        assert set(wheel.sha256) == {"x86_64", "aarch64"}
        for sha256 in wheel.sha256.values():
            assert f"sha256:{sha256}" in locked


def script(*options: str, path: str = "/usr/bin:/bin") -> "subprocess.CompletedProcess[str]":
    command = ["/bin/sh", str(SCRIPT), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": path})


def test_the_installing_script_explains_itself_and_knows_its_systems(tmp_path: Path) -> None:
    explained = script("--help")
    assert explained.returncode == 0
    for package in ("adb", "qemu-user", "g++-aarch64-linux-gnu", "nlohmann-json3-dev", "cmake"):
        assert package in explained.stdout
    assert script("--fast").returncode == 2
    other = script(path=str(tmp_path))
    assert other.returncode == 2
    assert "Debian and Ubuntu only" in other.stderr
