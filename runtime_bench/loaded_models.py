"""The models of a run on its device: opened in processes of their own, asked, and let go."""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime_bench.devices.base import Device, Snapshot
from runtime_bench.errors import RunnerError
from runtime_bench.header import utc_now
from runtime_bench.labels import cpu_list
from runtime_bench.plan import PEAK_PRODUCT, Case, Entry, Plan
from runtime_bench.records import BlockRecord, LoadRecord, StartRecord, WarmUpRecord
from runtime_bench.right_answers import RightAnswers, prepared
from runtime_bench.runners.client import Answer, Runner


@dataclass
class _Holding:
    """A runner and the entry whose model it holds."""

    entry: Entry
    runner: Runner


class LoadedModels:
    """The processes that live now, each with the model of one entry.

    Every method raises RunnerError when the process died, hung, or said no. Where ``answers`` are
    given, a model whose outputs differ from them is not timed.
    """

    def __init__(self, plan: Plan, device: Device, answers: RightAnswers | None = None) -> None:
        self._answers = answers
        self._settings, self._device = plan.settings, device
        self._cpus = device.cpus(plan.settings.cores)
        self._held: dict[str, _Holding] = {}
        self._addresses: dict[str, str] = {}

    def holds(self, entry: Entry) -> bool:
        return entry.id in self._held

    def load(self, entry: Entry, threads: int) -> LoadRecord:
        """Open the model for the run."""
        answer = self._open(entry, threads)
        runner = self._held[entry.id].runner
        return LoadRecord(
            entry=entry.id,
            threads=threads,
            load_ns=answer["load_ns"],
            rss_before_bytes=answer["rss_before_bytes"],
            peak_rss_bytes=answer["peak_rss_bytes"],
            versions=runner.versions,
            cpus_asked=self._cpus,
            cpus_got=tuple(answer.get("cpus_got", ())),
        )

    def start(self, entry: Entry, case: Case, repeat: int, cold: bool) -> StartRecord:
        """Open the model and run it once; ``release`` it after that."""
        loaded = self._open(entry, case.threads, cold=cold)
        first = self._prepare(entry, case)
        return StartRecord(
            entry=entry.id,
            length=case.length,
            threads=case.threads,
            repeat=repeat,
            cold=cold,
            load_ns=loaded["load_ns"],
            first_inference_ns=first["first_inference_ns"],
            cached_bytes=loaded.get("cached_bytes") if cold else None,
        )

    def warm_up(self, entry: Entry, case: Case) -> WarmUpRecord:
        """The first run, and runs until the time is steady."""
        first = self._prepare(entry, case)
        limit = self._settings.warm_up_limit
        warm = self._request(entry, {"command": "warm_up", "limit_s": limit}, limit)
        return WarmUpRecord(
            entry=entry.id,
            length=case.length,
            threads=case.threads,
            first_inference_ns=first["first_inference_ns"],
            steady=warm["steady"],
            wall_ns=tuple(warm["wall_ns"]),
            outputs=first["outputs"],
        )

    def block(self, entry: Entry, case: Case, index: int, position: int) -> BlockRecord:
        """Timed runs without a break, at a ``position`` of the round ``index``."""
        started, before = utc_now(), self._device.snapshot()
        seconds = self._settings.seconds_per_block
        answer = self._request(
            entry,
            {
                "command": "block",
                "seconds": seconds,
                "minimum_iterations": self._settings.minimum_iterations,
                **({"power": meter} if (meter := self._device.power_meter()) else {}),
            },
            seconds,
        )
        own = (sum(answer["lead_in_cpu_ns"]) + sum(answer["cpu_ns"])) / 1e9
        other, stolen = _loads(before, self._device.snapshot(), own)
        return BlockRecord(
            entry=entry.id,
            length=case.length,
            threads=case.threads,
            round=index,
            position=position,
            started=started,
            lead_in_ns=tuple(answer["lead_in_ns"]),
            wall_ns=tuple(answer["wall_ns"]),
            cpu_ns=tuple(answer["cpu_ns"]),
            peak_rss_bytes=answer["peak_rss_bytes"],
            other_load=other,
            stolen=stolen,
            before=answer.get("before"),
            after=answer.get("after"),
            pss_bytes=answer.get("pss_bytes"),
            energy_uj=answer.get("energy_uj"),
        )

    def release(self, entry: Entry) -> None:
        """End the entry's process, if it lives."""
        holding = self._held.pop(entry.id, None)
        if holding is not None:
            holding.runner.close()

    def close(self) -> None:
        """End all processes."""
        for holding in self._held.values():
            holding.runner.close()
        self._held.clear()

    def _address(self, entry: Entry) -> str:
        """Where the device has the entry's model; brought there the first time."""
        if entry.id not in self._addresses:
            if entry.bundle is None or entry.artifact is None:
                address = self._device.stage_peak(PEAK_PRODUCT)
            else:
                files = [file.path for file in entry.artifact.files]
                address = self._device.stage(entry.bundle.folder, entry.artifact.path, files)
            self._addresses[entry.id] = address
        return self._addresses[entry.id]

    def _open(self, entry: Entry, threads: int, *, cold: bool = False) -> Answer:
        """Start a runner for the entry and load its model; its answer to ``load``."""
        address = self._address(entry)
        runner = self._device.start(entry.target, self._settings.step_limit)
        self._held[entry.id] = _Holding(entry, runner)
        command = {"command": "load", "model": address, "threads": threads}
        answer = self._request(entry, {**command, "cpus": list(self._cpus), "cold": cold})
        got = tuple(answer.get("cpus_got", ()))
        if self._cpus and set(got) != set(self._cpus):
            raise RunnerError(
                f"Its process asked for {cpu_list(self._cpus)} of the cores and got "
                f"{cpu_list(got) or 'none'}.",
                "Measure on all cores: --cores all",
            )
        return answer

    def _prepare(self, entry: Entry, case: Case) -> Answer:
        """The first run of the golden input, whose outputs must be finite and right."""
        runner = self._held[entry.id].runner
        answer = prepared(entry, case.length, self._settings, runner)
        if self._answers is not None:
            self._answers.check(entry, case.length, answer["outputs"])
        return answer

    def _request(self, entry: Entry, command: Mapping[str, object], seconds: float = 0) -> Answer:
        limit = self._settings.step_limit + seconds
        return self._held[entry.id].runner.request(command, limit)


def _loads(before: Snapshot, after: Snapshot, own: float) -> tuple[float | None, float | None]:
    """Cores kept busy by other processes, and cores stolen, between two snapshots."""
    elapsed = max(after.at - before.at, 1e-9)
    other = stolen = None
    if before.busy is not None and after.busy is not None:
        other = round(max(0.0, after.busy - before.busy - own) / elapsed, 3)
    if before.stolen is not None and after.stolen is not None:
        stolen = round((after.stolen - before.stolen) / elapsed, 3)
    return other, stolen
