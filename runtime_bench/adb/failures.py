"""What adb says when it cannot do its work, as one clear error with the next command.

The texts are those of adb's client and server, versions 29 to 35, on standard error.
"""

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from runtime_bench.errors import BenchError, DeviceError, InputError, RunnerError

RESUME = "Plug it in again and go on with the same command and --resume."


@dataclass(frozen=True)
class _Failure:
    pattern: str
    error: Callable[[str], BenchError]


def offline(phone: str) -> DeviceError:
    return DeviceError(
        f"{phone} is offline.",
        "Unlock it and plug it in again, or reset the connection with: adb reconnect offline",
    )


def unauthorized(phone: str) -> DeviceError:
    return DeviceError(
        f"{phone} has not authorized this computer.",
        "Unlock it and accept the dialog on the phone (Allow USB debugging), then run again.",
    )


def no_permissions(phone: str) -> DeviceError:
    return DeviceError(
        f"This user may not open {_lower(phone)} (no permissions on its USB node).",
        "Add a udev rule for it (Debian: sudo apt-get install android-sdk-platform-tools-common), "
        "plug it in again, then: adb kill-server",
    )


def wrong_state(phone: str, state: str) -> DeviceError:
    return DeviceError(
        f"{phone} is in the state {state}, in which nothing can be measured.",
        "Start Android on it with: adb reboot",
    )


def lost(phone: str) -> DeviceError:
    return DeviceError(f"{phone} is gone.", RESUME)


def too_old(serial: str, android: str | None) -> InputError:
    """The error of a phone whose adb does not tell exit codes."""
    return InputError(
        f"The phone {serial} has an Android too old{f' ({android})' if android else ''}: its shell "
        "does not tell exit codes.",
        "Use a phone with Android 7 or later.",
    )


def hang(serial: str | None, limit: float) -> DeviceError:
    """The error of a question without an answer within ``limit`` seconds."""
    who = f"The phone {serial}" if serial else "The adb server"
    return DeviceError(
        f"{who} did not answer within {limit:.0f} s.",
        "Restart adb with: adb kill-server. Then go on with the same command and --resume.",
    )


def killed(number: int) -> DeviceError:
    """The error of an adb client that the signal ``number`` ended on this host."""
    return DeviceError(
        f"adb was ended by {signal.Signals(number).name} on this machine.",
        "Go on with the same command and --resume.",
    )


def unusable(serial: str, state: str) -> DeviceError | None:
    """The error of a phone that is listed in ``state``; None for one that can be used."""
    phone = f"The phone {serial}"
    known: dict[str, Callable[[str], DeviceError]] = {
        "offline": offline,
        "connecting": offline,
        "unauthorized": unauthorized,
        "authorizing": unauthorized,
        "no permissions": no_permissions,
    }
    if state == "device":
        return None
    return known[state](phone) if state in known else wrong_state(phone, state)


def failure(serial: str | None, text: str) -> BenchError | None:
    """The error behind what adb printed; None where the text is not adb's own.

    Only lines that begin as adb's own do are looked at, so that what a command on the phone prints
    is not taken for one.
    """
    own = "\n".join(
        line for line in text.splitlines() if re.match(r"(adb: |error: |\* |adb\S* [EFW] )", line)
    )
    phone = f"The phone {serial}" if serial else "The phone"
    for known in _FAILURES:
        if re.search(known.pattern, own):
            return known.error(phone)
    return None


def refusal(serial: str | None, verb: str, text: str) -> BenchError:
    """A transfer that the phone itself refused."""
    if re.search(r"no space left|not enough space|ENOSPC", text, re.IGNORECASE):
        return RunnerError(
            f"The phone {serial} has no space left.",
            "Free some on the phone, and measure fewer artifacts at once.",
        )
    return RunnerError(
        f"adb {verb} failed on the phone {serial}: {last_line(text)}.",
        f"Try it by hand with: adb -s {serial} {verb}",
    )


def last_line(text: str) -> str:
    """The last line that says something, without adb's own prefix."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "no reason given"
    return re.sub(r"^(adb: )?(error: )?", "", lines[-1])[:300].rstrip(".")


def _server_lost(_phone: str) -> DeviceError:
    return DeviceError(
        "The adb server cannot be reached.",
        "Start it with: adb start-server (on the host that has the phone). Then go on with the "
        "same command and --resume.",
    )


def _several(_phone: str) -> InputError:
    return InputError(
        "Several phones are connected and none was chosen.",
        "See them with: squeezebert-bench devices, then choose one with --device adb:SERIAL",
    )


# The first that matches counts: "device offline" before the general loss.
_FAILURES = (
    _Failure(
        r"cannot connect to daemon|failed to check server version|cannot start server"
        r"|failed to start daemon|could not read ok from ADB Server|server killed",
        _server_lost,
    ),
    _Failure(r"device (still )?unauthorized|device still authorizing", unauthorized),
    _Failure(r"device (still )?(offline|connecting)", offline),
    _Failure(r"no permissions|insufficient permissions", no_permissions),
    _Failure(r"more than one (device|emulator)", _several),
    _Failure(
        r"device '[^']*' not found|no devices(/emulators)? found|error: closed"
        r"|device disconnected|protocol fault|connect error|connection reset|broken pipe"
        r"|couldn't read from device|no response|connection closed|transport",
        lost,
    ),
)


def _lower(phone: str) -> str:
    return phone[0].lower() + phone[1:]
