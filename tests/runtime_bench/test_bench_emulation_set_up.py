"""Setting up the emulated device: what it needs, what it says, and that nothing is half-made."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from emulated_programs import needs_cross_compiler

from runtime_bench.emulation import set_up as module
from runtime_bench.emulation.profiles import PROFILES
from runtime_bench.emulation.set_up import build_plugin, made_from, missing, set_up
from runtime_bench.errors import InputError
from runtime_bench.native import places
from runtime_bench.native.system_libraries import SYSTEM_LIBRARIES

needs_tools = pytest.mark.skipif(
    any(shutil.which(name) is None for name in (module.EMULATOR, module.CROSS_COMPILER, "gcc")),
    reason="the emulator is missing: runtime_bench/install_system_packages.sh",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    native = tmp_path / ".native"
    monkeypatch.setattr(places, "folder", lambda: native)
    return native


def without(name: str) -> Callable[[str], str | None]:
    which = shutil.which
    return lambda asked: None if asked == name else which(asked) or f"/usr/bin/{asked}"


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@needs_tools
def test_the_guest_has_its_own_processor_and_libraries(folder: Path) -> None:
    assert "make native" in missing()
    set_up()
    assert missing() == ""
    assert places.plugin().is_file()
    assert sorted(path.name for path in folder.iterdir()) == [
        "libcount_instructions.so",
        "sysroot",
    ]
    for profile in PROFILES.values():
        guest = places.sysroot() / profile.name
        assert (guest / "proc/cpuinfo").read_text(encoding="ascii") == profile.cpu_information()
        assert (guest / "sys/devices/system/cpu/online").read_text(encoding="ascii") == "0\n"
        assert all((guest / "lib" / name).is_file() for name in SYSTEM_LIBRARIES)
    assert set(made_from()) == {"counter", "guest_cpus", "guest_libraries", "emulator"}


@needs_tools
def test_what_is_up_to_date_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up()
    before = places.plugin().stat().st_mtime_ns
    first = contents(folder)
    built = []

    def build(target: Path) -> Path:
        built.append(target)
        return build_plugin(target)

    monkeypatch.setattr(module, "build_plugin", build)
    set_up()
    assert built == []
    assert places.plugin().stat().st_mtime_ns == before
    set_up(force=True)
    assert len(built) == 1
    assert contents(folder) == first
    # Another processor for a guest is another set of files.
    fewer = {name: profile for name, profile in PROFILES.items() if name != "i8mm"}
    monkeypatch.setattr(module, "PROFILES", fewer)
    set_up()
    assert len(built) == 2
    assert not (places.sysroot() / "i8mm").exists()


@needs_tools
def test_a_set_up_that_fails_leaves_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up()
    before = contents(folder)
    # A library that is no plugin: the emulator refuses it.
    monkeypatch.setattr(module, "build_plugin", lambda target: shutil.copy("/bin/true", target))
    with pytest.raises(InputError, match=r"qemu-aarch64 failed: .*make native"):
        set_up(force=True)
    assert contents(folder) == before
    assert missing() == ""


@needs_cross_compiler
def test_a_plugin_that_does_not_compile_is_said(tmp_path: Path) -> None:
    (tmp_path / "count_instructions.c").write_text("int main(void) { return }", encoding="ascii")
    with pytest.raises(InputError, match=r"gcc failed.*install_system_packages.sh"):
        build_plugin(tmp_path / "plugin.so", tmp_path)
    assert not (tmp_path / "plugin.so").exists()


@pytest.mark.parametrize("name", [module.EMULATOR, module.CROSS_COMPILER, module.HOST_COMPILER])
def test_a_missing_program_is_named_with_the_next_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(module.shutil, "which", without(name))
    with pytest.raises(InputError, match=rf"not installed \({name.replace('+', '.')}\).*") as error:
        set_up()
    assert "install_system_packages.sh, then: make native" in error.value.next_step
    assert not folder.exists()


def test_a_compiler_without_the_library_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Asked for a file that it lacks, the compiler prints the bare name.
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module, "_output", lambda command: command[-1].partition("=")[2])
    with pytest.raises(InputError, match=r"comes without ld-linux-aarch64.so.1"):
        set_up()
    assert not folder.exists()
