"""The adb executable behind a few typed functions; every failure is one clear error.

What the user can change before a run is an InputError; what happens to the phone or to the adb
server is a DeviceError. The server is adb's own affair: it starts it where needed, and reads
ADB_SERVER_SOCKET itself; ``AdbServer`` names one on another host (adb's -H and -P).
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime_bench.adb.failures import failure, hang, killed, last_line, refusal, unusable
from runtime_bench.errors import DeviceError, InputError

# Seconds. A question to a phone takes well below one; dumpsys alone waits up to 10 for a service.
QUESTION_LIMIT = 20.0
# A full charge of patience for a slow cable: bytes a second that every USB 2 connection exceeds.
SLOWEST_TRANSFER = 1_000_000
# Shell protocol 2 separates the streams and tells the exit code.
SHELL_V2 = "shell_v2"


@dataclass(frozen=True)
class AdbServer:
    """An adb server on another host."""

    host: str
    port: int = 5037


@dataclass(frozen=True)
class Listing:
    """A line of ``adb devices -l``. ``state`` is "device" where the phone can be used."""

    serial: str
    state: str
    model: str | None


@dataclass(frozen=True)
class ShellResult:
    """What a command on the phone left."""

    code: int
    output: str
    errors: str


class Adb:
    """The adb client, for one server and, with ``serial``, for one phone."""

    def __init__(self, server: AdbServer | None = None, serial: str | None = None) -> None:
        self.server, self.serial = server, serial

    def of(self, serial: str) -> "Adb":
        """The client for the phone ``serial`` at the same server."""
        return Adb(self.server, serial)

    def command(self, *arguments: str) -> list[str]:
        """The whole command line; raises InputError where adb is not installed."""
        return [executable(), *self._options(), *arguments]

    def shell_command(self, text: str) -> list[str]:
        """The command line that runs ``text`` on the phone with raw, separate streams."""
        return self.command("shell", "-e", "none", "-T", text)

    def typed(self, *arguments: str) -> str:
        """The command as a user would type it."""
        return shlex.join(["adb", *self._options(), *arguments])

    def listings(self) -> tuple[Listing, ...]:
        """Every phone that the server knows, usable or not."""
        return parse_listings(self._run(["devices", "-l"], QUESTION_LIMIT))

    def client_version(self) -> str:
        text = self._run(["version"], QUESTION_LIMIT)
        match = re.search(r"^Version (\S+)", text, re.MULTILINE)
        return match[1] if match else (text.splitlines() or ["unknown"])[0]

    def require_usable(self) -> None:
        """Raise DeviceError where the phone cannot be used now."""
        state = self._run(["get-state"], QUESTION_LIMIT).strip()
        if (error := unusable(str(self.serial), state)) is not None:
            raise error

    def features(self) -> tuple[str, ...]:
        """What adb on both sides can do."""
        return tuple(self._run(["features"], QUESTION_LIMIT).split())

    def shell(self, text: str, limit: float = QUESTION_LIMIT) -> ShellResult:
        """Run ``text`` on the phone; a command that fails there is no error here."""
        done = self._complete(self.shell_command(text), limit)
        errors = done.stderr.decode(errors="replace")
        if done.returncode and (error := failure(self.serial, errors)) is not None:
            raise error
        if not (done.returncode or done.stdout or done.stderr):
            # The client ends in this way when the connection breaks, too.
            self.require_usable()
        return ShellResult(done.returncode, done.stdout.decode(errors="replace"), errors)

    def push(self, files: Sequence[Path], folder: str) -> None:
        """Copy ``files`` into ``folder`` of the phone, which exists.

        Raises RunnerError where the phone refuses them (no space), DeviceError where it is lost.
        """
        size = sum(file.stat().st_size for file in files)
        command = self.command("push", *map(str, files), f"{folder}/")
        done = self._complete(command, QUESTION_LIMIT + size / SLOWEST_TRANSFER)
        if done.returncode:
            text = done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
            if (error := failure(self.serial, text)) is not None:
                raise error
            self.require_usable()
            raise refusal(self.serial, "push", text)

    def _run(self, arguments: list[str], limit: float) -> str:
        done = self._complete(self.command(*arguments), limit)
        if done.returncode:
            errors = done.stderr.decode(errors="replace")
            raise failure(self.serial, errors) or DeviceError(
                f"adb {arguments[0]} failed: {last_line(errors)}.",
                "See whether adb works at all with: adb devices",
            )
        return done.stdout.decode(errors="replace")

    def _complete(self, command: list[str], limit: float) -> "subprocess.CompletedProcess[bytes]":
        """Run adb; raises DeviceError where it does not end in time, or a signal ends it."""
        try:
            # A session of its own: Ctrl-C reaches this process only, which then clears up.
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise hang(self.serial, limit) from None
        except OSError as error:
            raise InputError(
                f"{command[0]} cannot be run: {error.strerror}.",
                "See whether adb works at all with: adb version",
            ) from None
        if done.returncode < 0:
            raise killed(-done.returncode)
        return done

    def _options(self) -> list[str]:
        options = []
        if self.server is not None:
            options += ["-H", self.server.host, "-P", str(self.server.port)]
        if self.serial is not None:
            options += ["-s", self.serial]
        return options


def executable() -> str:
    """The path of adb; raises InputError where it is not installed."""
    found = shutil.which("adb")
    if found is None:
        raise InputError(
            "adb is not installed.",
            "Install it with: sudo sh runtime_bench/install_system_packages.sh",
        )
    return found


def parse_address(address: str) -> tuple[str, AdbServer | None]:
    """Serial (may be empty) and server; raises InputError. A serial can hold a colon itself."""
    serial, at, place = address.rpartition("@")
    if not at:
        return address, None
    match = re.fullmatch(r"(.+?)(?::(\d{1,5}))?", place, re.ASCII)
    if match is None:
        raise InputError(
            f"{address} names no adb server.",
            "Write it as adb:SERIAL@HOST:PORT, for example --device adb:1A2B3C@build-host:5037",
        )
    return serial, AdbServer(match[1], int(match[2])) if match[2] else AdbServer(match[1])


def parse_listings(text: str) -> tuple[Listing, ...]:
    """The answer of ``adb devices -l``: a heading, then ``SERIAL STATE KEY:VALUE ...`` lines.

    A state can have several words ("no permissions (reason); see [address]").
    """
    found = []
    for line in text.splitlines():
        if not line.strip() or line.startswith(("List of devices", "*", "adb ")):
            continue
        serial, _, rest = line.strip().partition(" ")
        words = rest.split()
        if not words:
            continue
        state = "no permissions" if words[:2] == ["no", "permissions"] else words[0]
        models = [word.removeprefix("model:") for word in words if word.startswith("model:")]
        found.append(Listing(serial, state, models[0].replace("_", " ") if models else None))
    return tuple(found)


def choose(listings: Sequence[Listing], serial: str, kind: str = "adb") -> Listing:
    """The phone ``serial``, or the only one where ``serial`` is empty; raises InputError.

    ``kind`` of device: what the user writes before the serial.
    """
    if serial:
        for listing in listings:
            if listing.serial == serial:
                return listing
        there = ", ".join(item.serial for item in listings) or "none"
        raise InputError(
            f"No phone {serial} is connected (there are: {there}).",
            "Plug it in with USB debugging on, then see: squeezebert-bench devices",
        )
    if not listings:
        raise InputError(
            "No phone is connected.",
            "Plug one in with USB debugging on, then see: squeezebert-bench devices",
        )
    if len(listings) > 1:
        names = ", ".join(
            item.serial + (f" ({item.model})" if item.model else "") for item in listings
        )
        raise InputError(
            f"{len(listings)} phones are connected: {names}.",
            f"Choose one, for example with: --device {kind}:{listings[0].serial}",
        )
    return listings[0]
