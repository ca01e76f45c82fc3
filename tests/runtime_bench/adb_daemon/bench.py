"""The command under test with phones around it: runs it, and looks at what it left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime_bench import cli
from runtime_bench.results import Results, read_results

from .client import AdbServer
from .faults import Fault
from .make import Make
from .phone import Phone

ROUNDS = 2
QUICK = (
    *("--lengths", "8", "--blocks", str(ROUNDS), "--most-blocks", str(ROUNDS)),
    *("--seconds-per-block", "0.01", "--warm-up-limit", "0.02", "--starts", "0"),
    *("--pause-limit", "0"),  # times of this host would decide
)


@dataclass
class Bench:
    """One test's phones, bundle and results file."""

    folder: Path
    server: AdbServer
    bundle: Path
    captured: pytest.CaptureFixture[str]
    phones: list[Phone] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "results.jsonl"

    def phone(self, make: Make | None = None, prepare: Callable[[Phone], object] = id) -> Phone:
        """A phone that is connected, after ``prepare``."""
        phone = Phone(self.folder / f"phone{len(self.phones)}", make)
        self.phones.append(phone)
        prepare(phone)
        self.server.connect(phone.daemon.serial)
        return phone

    def run(self, *options: str, device: str | None = None) -> tuple[int, str]:
        """``squeezebert-bench run``; its exit code and what it said."""
        name = device or f"adb:{self.phones[0].daemon.serial}"
        usual = (*QUICK, "--out", str(self.out), "--device", name)
        code = cli.main(["run", str(self.bundle), *usual, *options])
        return code, " ".join(" ".join(self.captured.readouterr()).split())

    def resume(self, *options: str) -> tuple[int, str]:
        """Plug the first phone in again, well behaved, and go on."""
        phone = self.phones[0]
        phone.faults.clear()
        if not phone.daemon.listening:
            phone.daemon.plug_in()
        self.server.connect(phone.daemon.serial)
        return self.run("--resume", *options)

    def results(self) -> Results:
        return read_results(self.out)

    def blocks(self) -> list[tuple[str, int]]:
        """The blocks in the file, as entry and round."""
        return [(block.entry, block.round) for block in self.results().blocks]

    def complete(self) -> bool:
        """Whether the last line says that the run ended, with every round of every entry."""
        results = self.results()
        full = dict.fromkeys(("e1", "peak"), 0)
        for block in results.blocks:
            full[block.entry] += 1
        return bool(results.ends) and not results.failures and min(full.values()) >= ROUNDS

    def close(self) -> None:
        for phone in self.phones:
            self.server.run(["disconnect", phone.daemon.serial], check=False)
            phone.close()


def untouched(phone: Phone) -> bool:
    """Nothing is left of a run: no file, no process, no setting."""
    return (
        phone.left_behind() == []
        and phone.running() == []
        and phone.setting("fixed-performance") in (None, "false")
        and phone.setting("settings/global.stay_on_while_plugged_in") is None
    )


# How adb can notice that a phone went, depending on what it was doing.
GONE = "is gone.|is offline.|was lost."


def assert_says(said: str, parts: Sequence[str]) -> None:
    """Each part is there; a bar separates the ways in which adb can notice the same."""
    for part in parts:
        assert any(way in said for way in part.split("|")), said
    assert "Traceback" not in said


def fault(*values: object, **more: object) -> Callable[[Phone], object]:
    return lambda phone: phone.faults.add(Fault(*values, **more))  # type: ignore[arg-type]
