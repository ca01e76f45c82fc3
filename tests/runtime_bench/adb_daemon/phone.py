"""A phone whose files, properties, clocks, battery and temperatures lie in a folder."""

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from .daemon import Daemon, Stream
from .faults import CUT, FLIP, FULL, HANG, PULL, PUSH, Faults
from .make import CLUSTERS, Make
from .shell import serve_shell
from .sync import serve_sync
from .tools import HOST_TOOLS, SCRIPTS

# Folders of the phone that lie in the phone's folder; single processes in /proc are the host's.
_OWN = re.compile(
    r"(?<![\w.-])/(?=(?:data|sdcard|sys|proc/(?:cpuinfo|loadavg|meminfo|stat|uptime|version))(?![\w-]))"
)


class Phone:
    """A phone that is plugged in: ``daemon`` listens, ``faults`` say how it misbehaves."""

    def __init__(self, folder: Path, make: Make | None = None) -> None:
        self.make = make or Make()
        self.folder = folder
        self.temporary = folder / "data/local/tmp"
        self.temporary.mkdir(parents=True)
        self.faults = Faults()
        self.bytes_per_second: float | None = None
        self.clockwork: int | None = None  # nanoseconds of every inference, in place of this host's
        self.slowdown = 1.0  # how many times as long an inference takes as on this host
        self.pushed: list[str] = []
        self.bound = True  # whether runners get the cores that they ask for
        self._state = folder / "state"
        self._write_tools()
        self._write_state()
        features = b"shell_v2,cmd" if self.make.shell_v2 else b"cmd"
        self.daemon = Daemon(
            self._serve, b"device::ro.product.model=Pixel 6;features=%b" % features
        )

    # What a test changes

    def battery(self, *, level: int = 85, celsius: float = 27.0, charging: bool = False) -> None:
        """``charging``: the current goes in; the cable is plugged in anyway."""
        self._service(
            "battery",
            "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n"
            "  Wireless powered: false\n  Max charging current: 500000\n"
            f"  status: {2 if charging else 4}\n  health: 2\n  present: true\n  level: {level}\n"
            f"  scale: 100\n  voltage: 4200\n  temperature: {celsius * 10:.0f}\n"
            "  technology: Li-ion\n",
        )
        sign = 1 if charging else -1
        self._file("sys/class/power_supply/battery/current_now", str(sign * 412000))

    def thermal(self, *, status: int = 0, celsius: float = 38.0) -> None:
        """Android's thermal status, and the temperature of the CPU."""
        reading = f"\tTemperature{{mValue={celsius}, mType=0, mName=BIG, mStatus={status}}}\n"
        skin = "\tTemperature{mValue=31.0, mType=3, mName=VIRTUAL-SKIN, mStatus=0}\n"
        self._service(
            "thermalservice",
            f"IsStatusOverride: false\nThermal Status: {status}\nCached temperatures:\n{reading}"
            f"{skin}HAL Ready: true\nHAL connection:\n\tThermalHAL 2.0 connected: yes\n"
            f"Current temperatures from HAL:\n{reading}{skin}",
        )
        self._file("sys/class/thermal/thermal_zone0/temp", f"{celsius * 1000:.0f}")

    def screen(self, *, on: bool, stays_off: bool = False) -> None:
        wakefulness, state = ("Awake", "ON") if on else ("Asleep", "OFF")
        self._service(
            "power",
            "POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mIsPowered=true\n"
            f"  mWakefulness={wakefulness}\n  mStayOn=false\n\nDisplay Power: state={state}\n",
        )
        self.flag("screen-stays-off", there=stays_off)

    def clocks(self, share: float) -> None:
        """Every core runs at ``share`` of its highest clock."""
        for highest, cpus in CLUSTERS.items():
            for cpu in cpus:
                where = f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
                self._file(f"{where}/scaling_cur_freq", f"{highest * share:.0f}")
                self._file(f"{where}/scaling_max_freq", f"{highest * share:.0f}")

    def slow_down(self, slowdown: float) -> None:
        """Inferences take ``slowdown`` times as long."""
        self.slowdown = slowdown

    def free_space(self, size: int) -> None:
        self._file("state/free-kib", str(size // 1024))

    def refuse_clocks(self) -> None:
        """Reading a clock fails, as where the vendor forbids it."""
        for file in self.folder.glob("sys/devices/system/cpu/cpu*/cpufreq/*_freq"):
            file.unlink()
            file.symlink_to("/proc/self/mem")  # opens, and says "Input/output error"

    def slow(self, bytes_per_second: float) -> None:
        self.bytes_per_second = bytes_per_second

    def bind(self, obeys: bool) -> None:
        """Whether runners get the cores that they ask for."""
        self.bound = obeys

    # What a test looks at

    def left_behind(self) -> list[str]:
        """What is in /data/local/tmp."""
        return sorted(item.name for item in self.temporary.iterdir())

    def sensors(self) -> dict[str, dict[str, float]]:
        """What a runner reads before and after a block: clocks in kHz, temperatures."""
        khz: dict[str, float] = {}
        for cpu in range(8):
            file = self.folder / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"
            with contextlib.suppress(OSError):
                khz[str(cpu)] = int(file.read_text(encoding="ascii"))
        heat = int(self.place("/sys/class/thermal/thermal_zone0/temp").read_text(encoding="ascii"))
        return {"khz": khz, "celsius": {"BIG": heat / 1000}}

    def running(self) -> list[str]:
        """Command lines of the processes that live on the phone now."""
        return [" ".join(process.cmdline()) for process in self._processes()]

    def setting(self, name: str) -> str | None:
        """A file of the state, such as "fixed-performance"; None where it is not set."""
        file = self._state / name
        return file.read_text(encoding="utf-8").strip() if file.exists() else None

    # What the services need

    @property
    def environment(self) -> Mapping[str, str]:
        places = {"PATH": self.folder / "bin", "ROOT": self.folder, "STATE": self._state}
        return {"LC_ALL": "C", **{name: str(place) for name, place in places.items()}}

    def place(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def inward(self, text: str) -> str:
        """``text`` with the phone's folders where they lie on this host."""
        return _OWN.sub(f"{self.folder}/", text)

    def outward(self, content: bytes) -> bytes:
        return content.replace(os.fsencode(self.folder), b"")

    def arriving(self, path: str, chunk: bytes) -> bytes:
        self.pushed.append(path)
        return self._passing(PUSH, path, chunk)

    def leaving(self, path: str, chunk: bytes) -> bytes:
        return self._passing(PULL, path, chunk)

    def unplug(self) -> None:
        self.daemon.unplug()

    def kill_runner(self, process: psutil.Process, number: int) -> None:
        """Send a signal to what the shell runs, as the kernel would."""
        for child in process.children(recursive=True) or [process]:
            child.send_signal(number)

    def close(self) -> None:
        """Pull the cable and end every process that is left."""
        self.daemon.unplug()
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _processes(self) -> list[psutil.Process]:
        """The phone's processes: those that have its state in their environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("STATE") == str(self._state):
                    found.append(process)
        return found

    def _serve(self, name: str, stream: Stream) -> None:
        if name == "sync:":
            serve_sync(stream, self)
        else:
            serve_shell(name, stream, self)

    def _passing(self, occasion: str, path: str, chunk: bytes) -> bytes:
        if self.bytes_per_second is not None:
            time.sleep(len(chunk) / self.bytes_per_second)
        fault = self.faults.at(occasion, path)
        if fault is None:
            return chunk
        if fault.happens == FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if fault.happens == FLIP:
            middle = len(chunk) // 2
            return chunk[:middle] + bytes([chunk[middle] ^ 1]) + chunk[middle + 1 :]
        if fault.happens == CUT:
            self.unplug()
        elif fault.happens == HANG:
            time.sleep(3600)
        return chunk

    def _write_tools(self) -> None:
        tools = self.folder / "bin"
        tools.mkdir()
        for name in HOST_TOOLS:
            found = shutil.which(name)
            if found is not None and name not in self.make.without_tools:
                (tools / name).symlink_to(found)
        for name, script in SCRIPTS.items():
            if name not in self.make.without_tools:
                (tools / name).write_text(f"#!/bin/sh\n{script.strip()}\n", encoding="utf-8")
                (tools / name).chmod(0o755)

    def _write_state(self) -> None:
        properties = self.make.all_properties().items()
        self._file(
            "state/properties", "\n".join(f"[{name}]: [{text}]" for name, text in properties)
        )
        (self._state / "settings").mkdir()
        self.flag("has-fixed-performance", there=self.make.sdk >= 30)
        self.free_space(8 << 30)
        self.battery()
        self.screen(on=True)
        self._file("sys/class/thermal/thermal_zone0/type", "BIG")
        self.thermal()
        for highest, cpus in CLUSTERS.items():
            for cpu in cpus:
                where = f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
                self._file(f"{where}/cpuinfo_max_freq", str(highest))
                self._file(f"{where}/cpuinfo_min_freq", "300000")
                self._file(f"{where}/scaling_min_freq", "300000")
                self._file(f"{where}/scaling_governor", "sched_pixel")
                self._file(f"{where}/related_cpus", " ".join(map(str, cpus)))
        self.clocks(1)
        for name in ("present", "possible", "online"):
            self._file(f"sys/devices/system/cpu/{name}", "0-7")
        self._file("sys/class/power_supply/battery/voltage_now", "4200000")
        self._file("sys/class/power_supply/battery/type", "Battery")
        self._write_proc()

    def _write_proc(self) -> None:
        self._file("proc/cpuinfo", self.make.processors())
        self._file(
            "proc/meminfo", "MemTotal: 7800000 kB\nMemFree: 900000 kB\nMemAvailable: 4200000 kB"
        )
        idle = "\n".join(f"cpu{cpu} 1000 0 1000 90000 0 0 0 0 0 0" for cpu in range(8))
        self._file("proc/stat", f"cpu  8000 0 8000 720000 0 0 0 0 0 0\n{idle}")
        self._file("proc/loadavg", "0.10 0.12 0.10 1/900 4242")
        self._file("proc/uptime", "40000.00 300000.00")
        self._file("proc/version", "Linux version 5.10.198-android13-4")

    def _service(self, name: str, text: str) -> None:
        if name in self.make.services:
            self._file(f"state/dumpsys/{name}", text)

    def flag(self, name: str, *, there: bool) -> None:
        if there:
            self._file(f"state/{name}", "1")
        else:
            (self._state / name).unlink(missing_ok=True)

    def _file(self, path: str, text: str) -> None:
        """Write a file of the phone at once, so that nobody reads half of it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(file.name + ".partial")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(file)
