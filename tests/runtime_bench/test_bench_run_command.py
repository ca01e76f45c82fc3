"""What ``run`` checks before it starts, and how it deals with several devices."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_bench import cli, run_command
from runtime_bench.devices.base import BenchWarning
from runtime_bench.errors import DeviceError
from runtime_bench.results import read_results

SHORT = ("--lengths", "8", "--blocks", "2", "--seconds-per-block", "0.01")


class Devices:
    """Scripted devices by name, in place of real ones; ``began`` and ``ended`` count."""

    def __init__(self, scripted: Any) -> None:
        self._scripted = scripted
        self.made: dict[str, Any] = {}
        self.log: list[str] = []

    def open(self, name: str) -> Any:
        outer = self

        class Logged(self._scripted):  # type: ignore[misc,name-defined]
            def begin(self) -> tuple[BenchWarning, ...]:
                outer.log.append(f"begin {self.name}")
                return ()

            def end(self) -> None:
                outer.log.append(f"end {self.name}")

        if name not in self.made:
            self.made[name] = Logged()
            self.made[name].name = name.replace("alias", "one")
            self.made[name].here = name.startswith("here")
        return self.made[name]


@pytest.fixture
def devices(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> Devices:
    found = Devices(scripted)
    monkeypatch.setattr(run_command, "open_device", found.open)
    monkeypatch.setattr(run_command, "Host", scripted)
    return found


@pytest.fixture
def run(make_bundle: Callable[..., Path], tmp_path: Path) -> Callable[..., int]:
    bundle = make_bundle("subject")

    def run(*options: str) -> int:
        return cli.main(["run", str(bundle), *SHORT, "--out", str(tmp_path / "r.jsonl"), *options])

    return run


def test_several_devices_have_a_file_each_and_one_json_document(
    run: Callable[..., int], devices: Devices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--device", "one,two,here,here:other", "--json") == 0
    documents = json.loads(capsys.readouterr().out)
    assert [item["device"]["name"] for item in documents] == ["one", "two", "here", "here:other"]
    names = sorted(path.name for path in tmp_path.glob("r*.jsonl"))
    assert names == ["r-here-other.jsonl", "r-here.jsonl", "r-one.jsonl", "r-two.jsonl"]
    # What computes on this machine takes turns, after the phones.
    here = ["begin here", "end here", "begin here:other", "end here:other"]
    assert devices.log[-4:] == here


def test_one_device_under_two_names_is_measured_once(
    run: Callable[..., int], devices: Devices, tmp_path: Path
) -> None:
    assert run("--device", "one,alias") == 0
    assert devices.log == ["begin one", "end one"]
    assert (tmp_path / "r.jsonl").exists()


def test_a_device_that_is_lost_does_not_stop_the_other(
    run: Callable[..., int], devices: Devices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(_address: str, _now: int) -> int:
        raise DeviceError("The device is gone.", "Plug it in.")

    devices.open("one").speed = lost
    assert run("--device", "one,two") == 1
    assert "one: The device is gone. Plug it in. 0 finished blocks" in capsys.readouterr().err
    assert read_results(tmp_path / "r-two.jsonl").ends
    assert not read_results(tmp_path / "r-one.jsonl").ends


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cores", "middle"), "one has no cores called middle."),
        (("--gate-instructions", "nosuch.jsonl"), "one does not count instructions."),
    ],
)
def test_what_can_be_known_before_is_said_before(
    run: Callable[..., int],
    devices: Devices,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    says: str,
) -> None:
    assert run("--device", "one", *options) == 2
    assert says in capsys.readouterr().err
    assert devices.log == []
    assert not list(tmp_path.glob("r*.jsonl"))


def test_a_results_file_that_is_there_is_refused_before_the_device_is_touched(
    run: Callable[..., int], devices: Devices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.jsonl").write_text("notes")
    assert run("--device", "one") == 2
    assert "exists already." in capsys.readouterr().err
    assert devices.log == []
    assert (tmp_path / "r.jsonl").read_text() == "notes"


def test_an_interruption_before_anything_was_written_says_so(
    run: Callable[..., int], devices: Devices, capsys: pytest.CaptureFixture[str]
) -> None:
    device = devices.open("one")

    def interrupted() -> tuple[BenchWarning, ...]:
        raise KeyboardInterrupt

    device.begin = interrupted
    assert run("--device", "one") == 130
    assert "Interrupted; nothing was measured yet." in capsys.readouterr().err
    assert devices.log == ["end one"]


def test_a_gate_that_says_no_ends_the_run_unless_overruled(
    run: Callable[..., int], devices: Devices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hot = BenchWarning("hot", "It is too hot.", "Let it cool.", blocking=True)
    devices.open("one").begin = lambda: (hot,)
    assert run("--device", "one") == 1
    assert "in no state to be measured: It is too hot. Let it cool." in capsys.readouterr().err
    assert not (tmp_path / "r.jsonl").exists()
    assert run("--device", "one", "--despite-gates") == 0
    assert read_results(tmp_path / "r.jsonl").run.warnings == (hot,)


def test_what_getting_ready_lacked_is_in_a_resumed_run_too(
    run: Callable[..., int], devices: Devices, tmp_path: Path
) -> None:
    lacking = BenchWarning("fixed-performance", "It has none.", "Trust the ratios.")
    assert run("--device", "one") == 0
    devices.open("one").begin = lambda: (lacking,)
    assert run("--device", "one", "--resume") == 0
    (resumed,) = read_results(tmp_path / "r.jsonl").resumes
    assert resumed.warnings == (lacking,)
