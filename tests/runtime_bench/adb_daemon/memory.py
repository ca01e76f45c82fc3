"""A phone in memory, in place of the adb client: fast enough to fail at every call in turn."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime_bench.adb.client import Adb, ShellResult

STORAGE = "/data/local/tmp"
LEFT = f"{STORAGE}/squeezebert-bench-00000001"
STAY_ON = "stay_on_while_plugged_in"
FIXED = "set-fixed-performance-mode-enabled"
Meet = Callable[[str], None]


class MemoryPhone(Adb):
    """Answers what a run asks. ``original`` is the setting that every run has to put back.

    After every command, what differs from before the runs must be written down on the phone.
    """

    def __init__(self, original: str = "3") -> None:
        super().__init__(serial="1A")
        self.original, self.settings = original, {STAY_ON: original}
        self.fixed = False
        self.files: dict[str, str] = {}
        self.folders: set[str] = set()
        self.asked: list[str] = []
        self.answers: dict[str, ShellResult] = {}
        self.clock = 1_000_000
        self._before: Meet = lambda _: None
        self._after: Meet = lambda _: None

    @contextmanager
    def trouble(
        self, number: int, error: BaseException, *, after: bool = False, ever: bool = False
    ) -> Iterator[Callable[[], bool]]:
        """``error`` at the ``number``-th call from now (``ever``: and at each from there on).

        ``after``: the phone has done what it was told. Gives whether it happened.
        """
        start, met = len(self.asked), []

        def meet(_: str) -> None:
            count = len(self.asked) - start
            if count == number or (ever and count > number):
                met.append(count)
                raise error

        if after:
            self._after = meet
        else:
            self._before = meet
        yield lambda: bool(met)
        self._before = self._after = lambda _: None

    def shell(self, text: str, limit: float = 20.0) -> ShellResult:
        assert limit > 0
        self.asked.append(text)
        self._before(text)
        answer = next((found for part, found in self.answers.items() if part in text), None)
        answer = answer or ShellResult(*self._do(text), "")
        assert self.as_before() or self.written_down(), text
        self._after(text)
        return answer

    def as_before(self) -> bool:
        return self.settings[STAY_ON] == self.original and not self.fixed

    def written_down(self) -> bool:
        """Whether a later run can put back how the phone was."""
        records = [text for file, text in self.files.items() if file.endswith("stay_on_before")]
        return self.original in records

    def untouched(self) -> bool:
        return self.as_before() and not self.folders and not self.files

    def _do(self, text: str) -> tuple[int, str]:
        parts = text.split(" && ")
        results = [self._one(part) for part in parts]
        return results[-1]

    def _one(self, text: str) -> tuple[int, str]:
        words = shlex.split(text.replace("$(date +%s)", str(self.clock)))
        if words[0] == "echo":
            folder = words[-1].rpartition("/")[0]
            if folder not in self.folders:
                return 1, ""
            self.files[words[-1]] = " ".join(words[1:-2])
        elif words[0] == "mkdir":
            self.folders.update(words[2:])
        elif words[0] == "cat":
            return (0, self.files[words[1]]) if words[1] in self.files else (1, "")
        elif words[:2] == ["rm", "-rf"]:
            self.folders = {folder for folder in self.folders if not folder.startswith(words[2])}
            self.files = {
                file: content
                for file, content in self.files.items()
                if not file.startswith(f"{words[2]}/")
            }
        elif words[0] == "ls":
            return 0, "\n".join(folder.removeprefix(f"{STORAGE}/") for folder in self.folders)
        elif words[0] == "date":
            return 0, str(self.clock)
        elif FIXED in words:
            self.fixed = words[-1] == "true"
        elif words[0] == "svc":
            self.settings[STAY_ON] = "15"
        elif words[0] == "settings":
            return self._setting(words[1:])
        elif words[0] == "grep":
            high = 1_700_000 if self.fixed else 2_800_000
            low = 1_700_000 if self.fixed else 300_000
            khz = low if "min" in words[-1] else high
            return 0, f"/sys/devices/system/cpu/cpu7/cpufreq/{words[-1].rpartition('/')[2]}:{khz}"
        return 0, ""

    def _setting(self, words: list[str]) -> tuple[int, str]:
        if words[0] == "get":
            return 0, self.settings[STAY_ON]
        self.settings[STAY_ON] = words[3] if words[0] == "put" else "null"
        return 0, ""


def after_a_crash() -> MemoryPhone:
    """An earlier run, with the folder LEFT, changed everything, and nobody put it back."""
    phone = MemoryPhone()
    phone.folders.add(LEFT)
    phone.files[f"{LEFT}/stay_on_before"] = phone.original
    phone.settings[STAY_ON], phone.fixed = "15", True
    return phone
