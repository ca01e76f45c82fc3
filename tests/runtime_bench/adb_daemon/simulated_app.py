"""The app on the simulated phone: a process that does with a plan what the app does, but computes
nothing. Its answers are the expected ones, its times are made up.

    python simulated_app.py ROOT STATE RUN org.squeezebert.app

STATE/app/trouble says how it misbehaves: ``{"what": ..., "after": N}`` after N blocks.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

SCHEMA = {"schema": "squeezebert-record/1"}
BLOCK_SECONDS = 0.02


class Trouble(Exception):
    """The run ends with the state that it holds."""


class App:
    """One start of the app with the plan of the run in ``folder``."""

    def __init__(self, folder: Path, state: Path, own: Path) -> None:
        self._folder, self._phone = folder, state
        self._copies = own / folder.name
        self._records = folder / "records.jsonl"
        self._blocks = self._total = 0

    def run(self) -> None:
        if (self._phone / "locked").exists():
            self._tell("refused", reason="The phone is locked.", next_step="Unlock it.")
            return
        plan = json.loads((self._folder / "plan.json").read_bytes())
        if plan["schema"] != "squeezebert-app-plan/1" or (self._phone / "app/refuses").exists():
            self._tell("refused", reason="The plan is wrong.", next_step="Make another.")
            return
        if broken := self._changed(plan):
            self._tell("failed", reason=f"{broken} has other bytes.", next_step="Push it again.")
            return
        self._copy(plan)
        ended = {"state": "done"}
        try:
            self._measure(plan)
        except Trouble as trouble:
            ended = {**trouble.args[0], "reason": "No space is left.", "next_step": "Free some."}
        finally:
            shutil.rmtree(self._copies)
        # Last, as in the app: who is told of the end may stop this process at once.
        self._tell(**ended)

    def _measure(self, plan: dict[str, Any]) -> None:
        earlier = self._earlier()
        if not earlier:
            self._write("run", **self._head(plan))
        else:
            self._write("resume", started=_now(), warnings=plan["warnings"])
        blocks = [item for item in earlier if item["kind"] == "block"]
        rounds = plan["settings"]["blocks"]
        self._total = rounds * len(plan["lengths"]) * len(plan["threads"])
        known = {(b["entry"], b["length"], b["threads"], b["round"]) for b in blocks}
        for threads in plan["threads"]:
            for entry in plan["entries"]:
                self._load(entry["id"], threads)
            for length in plan["lengths"]:
                for entry in plan["entries"]:
                    self._warm_up(plan, entry["id"], length, threads)
                for number in range(rounds):
                    self._round(plan, length, threads, number, known)
        self._write("end", ended=_now(), failed=[])
        self._trouble("after-the-end")

    def _round(
        self, plan: dict[str, Any], length: int, threads: int, number: int, known: set[Any]
    ) -> None:
        self._tell("running", text=f"{threads} thread, {length} tokens: round {number + 1}")
        entries = plan["entries"] if number % 2 == 0 else plan["entries"][::-1]
        for position, entry in enumerate(entries):
            if (entry["id"], length, threads, number) in known:
                continue
            self._trouble("")
            time.sleep(BLOCK_SECONDS)
            self._write(
                "block",
                entry=entry["id"],
                length=length,
                threads=threads,
                round=number,
                position=position,
                started=_now(),
                lead_in_ns=[1_000_000],
                wall_ns=[1_000_000, 1_001_000, 999_000],
                cpu_ns=[1_000_000, 1_000_000, 1_000_000],
                peak_rss_bytes=1 << 28,
                other_load=None,
                stolen=None,
            )
            self._blocks += 1

    def _load(self, entry: str, threads: int) -> None:
        self._write(
            "load",
            entry=entry,
            threads=threads,
            load_ns=5_000_000,
            rss_before_bytes=1 << 26,
            peak_rss_bytes=1 << 27,
            versions={"onnx": "1.29.0"},
        )

    def _warm_up(self, plan: dict[str, Any], entry: str, length: int, threads: int) -> None:
        outputs = {
            name: {**value, "finite": True, "sha256": "0" * 64}
            for name, value in plan["expected"][entry][str(length)].items()
        }
        self._write(
            "warm_up",
            entry=entry,
            length=length,
            threads=threads,
            first_inference_ns=2_000_000,
            steady=True,
            wall_ns=[1_000_000],
            outputs=outputs,
        )

    def _head(self, plan: dict[str, Any]) -> dict[str, Any]:
        names = ("command", "lengths", "threads", "settings", "entries", "warnings", "notices")
        found = {name: plan[name] for name in names}
        if (self._phone / "app/misunderstands").exists():
            found["lengths"] = [7]
        about = json.loads((self._phone / "app/about").read_bytes())
        device = {"name": plan["device"], **about["device"]}
        return {"started": _now(), "device": device, "versions": about["versions"], **found}

    def _earlier(self) -> list[dict[str, Any]]:
        if not self._records.exists():
            return []
        text = self._records.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        self._records.write_text(whole, encoding="utf-8")
        return [json.loads(line) for line in whole.splitlines()]

    def _changed(self, plan: dict[str, Any]) -> str:
        """The first file that does not have the bytes of the plan; "" where there is none."""
        for entry in plan["entries"]:
            for file in entry["artifact"]["files"]:
                place = self._folder / plan["bundles"][entry["id"]] / file["path"]
                if hashlib.sha256(place.read_bytes()).hexdigest() != file["sha256"]:
                    return str(file["path"])
        return ""

    def _copy(self, plan: dict[str, Any]) -> None:
        """Copy the models to where only the app can write; what others left there goes."""
        shutil.rmtree(self._copies.parent, ignore_errors=True)
        for entry in plan["entries"]:
            there = self._folder / plan["bundles"][entry["id"]]
            shutil.copytree(there, self._copies / entry["id"])

    def _trouble(self, moment: str) -> None:
        try:
            trouble = json.loads((self._phone / "app/trouble").read_bytes())
        except OSError:
            return
        if trouble.get("moment", "") != moment or self._blocks < trouble["after"]:
            return
        what = trouble["what"]
        if what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "hangs":
            time.sleep(3600)
        elif what == "waits":
            while not (self._phone / "app/go").exists():
                time.sleep(0.01)
        elif what == "begins anew":
            argv = [sys.executable, "-c", "import time; time.sleep(3600)", *sys.argv[3:]]
            if os.fork() == 0:
                os.execv(sys.executable, argv)
            os._exit(0)
        elif what == "writes half a line":
            self._records.open("a").write('{"schema": "squeezebert-record/1", "kind": "blo')
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "writes garbage":
            self._records.open("a").write("\u00ff garbage\n")
            time.sleep(3600)
        else:
            raise Trouble({"state": what})

    def _tell(self, state: str, **more: str) -> None:
        rounds = min(self._blocks, self._total)
        told = {"state": state, "text": "", "done": rounds, "total": self._total, **more}
        partial = self._folder / "state.json.partial"
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(self._folder / "state.json")

    def _write(self, kind: str, **fields: object) -> None:
        with self._records.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**SCHEMA, "kind": kind, **fields}) + "\n")


def _now() -> str:
    return "2026-01-31T12:00:00.000+00:00"


if __name__ == "__main__":
    root, state, run = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    shared = root / "sdcard/Android/data/org.squeezebert.app/files/benchmark"
    App(shared / run, state, root / "data/own").run()
