"""A scripted device whose runners are counted, for the tests of counting."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime_bench.counting import execute
from runtime_bench.devices.base import BenchWarning, Device, Fingerprint, Snapshot
from runtime_bench.emulation.runner import Phase
from runtime_bench.errors import InputError
from runtime_bench.plan import Plan
from runtime_bench.records import Record
from runtime_bench.results import Results

Fault = BaseException | Mapping[str, Any]


def counts(total: int) -> dict[str, int]:
    return {"total": total, "dot": 4, "matrix": 0, "fmla": 2, "other": total - 6}


class Scripted(Device):
    """Answers as told: ``faults`` maps (address, command) to an exception or another answer."""

    name = "scripted"

    def __init__(self, *, counting: bool = True, totals: Sequence[int] = (90, 80, 80, 80)) -> None:
        self.counting, self.totals = counting, totals
        self.faults: dict[tuple[str, str], Fault] = {}
        self.log: list[tuple[str, str]] = []
        self.limits: dict[str, float] = {}
        self.open_runners = 0

    def fingerprint(self) -> Fingerprint:
        extra = {"profile": "cortex-a76"} if self.counting else {}
        return Fingerprint("scripted", "none", "none", 1, (), 1, "none", True, extra)

    def versions(self) -> Mapping[str, str]:
        return {"scripted": "1"}

    def targets(self) -> frozenset[str]:
        return frozenset({"onnx", "executorch"})

    def stage(self, folder: Path, path: str, files: Sequence[str]) -> str:
        assert path in files
        return f"{folder.name}/{path}"

    def start(self, target: str, limit: float) -> "ScriptedRunner":
        assert target in self.targets()
        assert limit > 0
        self.open_runners += 1
        return CountedScripted(self) if self.counting else ScriptedRunner(self)

    def snapshot(self) -> Snapshot:
        return Snapshot(0.0, 0.0, 0.0)

    def gates(self, threads: Sequence[int], memory_bytes: int) -> tuple[BenchWarning, ...]:
        assert memory_bytes > 0
        if tuple(threads) != (1,):
            raise InputError("One core only.", "Count with --threads 1.")
        return ()


class ScriptedRunner:
    versions: Mapping[str, str] = {"onnxruntime": "1"}

    def __init__(self, device: Scripted) -> None:
        self.device, self._address, self.phases_seen = device, "", list[Phase]()
        self._open = True

    def request(self, command: Mapping[str, Any], limit: float) -> Mapping[str, Any]:
        name = str(command["command"])
        self._address = command.get("model", self._address)
        self.device.log.append((self._address, name))
        self.device.limits[name] = limit
        fault = self.device.faults.get((self._address, name))
        if isinstance(fault, BaseException):
            raise fault
        if fault is not None:
            return fault
        if name == "prepare":
            return {"first_inference_ns": 5, "outputs": outputs(1.0, 2.0)}
        return {"load_ns": 7, "rss_before_bytes": 8, "peak_rss_bytes": 9}

    def close(self) -> None:
        self.device.open_runners -= self._open
        self._open = False


class CountedScripted(ScriptedRunner):
    def request(self, command: Mapping[str, Any], limit: float) -> Mapping[str, Any]:
        answer = super().request(command, limit)
        names = {"load": "load", "prepare": "first_inference", "count": "inference"}
        for index in range(command.get("inferences", 1)):
            total = self.device.totals[min(index, len(self.device.totals) - 1)]
            name = names[command["command"]]
            self.phases_seen.append(Phase(name, counts(total if name == "inference" else 1000)))
        return answer

    def phases(self) -> tuple[Phase, ...]:
        return tuple(self.phases_seen)


def outputs(*values: float, finite: bool = True) -> dict[str, Any]:
    described = {"shape": [1, len(values)], "finite": finite, "sha256": "0" * 64}
    return {"logits": {**described, "values": list(values)}}


def silent(_text: str) -> None:
    """Progress that nobody sees."""


def counted(
    plan: Plan, device: Scripted, host: Scripted | None = None, earlier: Results | None = None
) -> list[Record]:
    records: list[Record] = []
    host = host or Scripted(counting=False)
    execute(plan, device, records.append, silent, earlier, host=host)
    assert device.open_runners == host.open_runners == 0
    return records


def of(records: Sequence[Record], kind: type[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]
