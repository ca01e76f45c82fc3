r"""What the app on a phone is and can do, and the commands that it is told.

Besides what every phone is asked (adb/probe.py), one shell call holds exactly one of these:

    pm path org.squeezebert.app
    content query --uri content://org.squeezebert.app.benchmark[/ID]
        prints ``Row: 0 about=JSON``; with ID the app makes the folder of that run, which it owns
    wm dismiss-keyguard                                   (a lock without a secret)
    am start -W -n org.squeezebert.app/.BenchmarkEntry --es plan ID
    am force-stop org.squeezebert.app
    ls FOLDERS      mkdir -p FOLDER...      sha256sum FILE...      rm -rf FOLDER
    rm -f FOLDER/state.json                 tail -n +N FOLDER/records.jsonl
    cat FOLDER/state.json; echo; echo =====; pidof org.squeezebert.app; echo =====; \
        tail -c +N FOLDER/records.jsonl

where FOLDERS is /sdcard/Android/data/org.squeezebert.app/files/benchmark, and FOLDER one in it.
The app's provider and its entry both ask for the permission DUMP, which adb's shell has.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime_bench.adb.client import Adb
from runtime_bench.adb.failures import last_line
from runtime_bench.devices.base import Cluster, Fingerprint
from runtime_bench.errors import BenchError, DeviceError, InputError

PACKAGE = "org.squeezebert.app"
INSTALLED = f"pm path {PACKAGE}"
ABOUT = f"content query --uri content://{PACKAGE}.benchmark"
UNLOCK = "wm dismiss-keyguard"
STOP = f"am force-stop {PACKAGE}"
# A process that loads every engine's libraries, on a slow phone. Seconds.
_ABOUT_LIMIT = 60.0
# -W waits until the app has drawn.
_START_LIMIT = 60.0


@dataclass(frozen=True)
class Engine:
    """A runtime in the app. ``version`` is None where it does not run there: ``missing`` says why.

    ``missing`` holds whole sentences, the next step included.
    """

    name: str
    version: str | None
    missing: str


@dataclass(frozen=True)
class About:
    """The app on a phone; ``engines`` by target, ``plans`` is the schema that it reads.

    ``phone`` and ``versions`` are those that its own run records hold.
    """

    plans: str
    phone: Fingerprint
    versions: Mapping[str, str]
    engines: Mapping[str, Engine]


def is_installed(adb: Adb) -> bool:
    """Whether the phone has the app; raises DeviceError where it cannot be reached."""
    return adb.shell(INSTALLED).output.startswith("package:")


def about(adb: Adb) -> About:
    """Ask the app; raises InputError where it is not installed, or does not answer as one."""
    if not is_installed(adb):
        raise InputError(
            f"The app is not installed on the phone {adb.serial}.",
            "Build it with: make apk, then install it with: "
            + adb.typed("install", "-r", "android_app/app/target/squeezebert-arm64-v8a.apk"),
        )
    return _about(adb, _asked(adb, ABOUT))


def make_folder(adb: Adb, name: str) -> None:
    """Let the app make the folder of the run ``name``; raises DeviceError where it cannot."""
    command = f"{ABOUT}/{name}"
    found = _asked(adb, command)
    if isinstance(problem := found.get("problem"), Mapping):
        raise DeviceError(
            f"The app on the phone {adb.serial} makes no folder for the run: "
            f"{problem.get('reason')}",
            str(problem.get("next_step")),
        )


def start_text(name: str) -> str:
    """The command that shows the app to the user and gives it the plan of the run ``name``."""
    return f"am start -W -n {PACKAGE}/.BenchmarkEntry --es plan {name}"


def start(adb: Adb, name: str) -> None:
    """Start the run ``name`` in the app; raises DeviceError where Android does not let it."""
    adb.shell(UNLOCK)
    answer = adb.shell(start_text(name), _START_LIMIT)
    said = answer.output + answer.errors
    if re.search(r"^(Error|Exception|java\.lang\.\w+)|SecurityException", said, re.M):
        reason = re.search(r"^(?:Error: |.*SecurityException: )(.+)$", said, re.M)
        raise DeviceError(
            f"The app was not started on the phone {adb.serial}: "
            f"{(reason[1] if reason else last_line(said))[:300].rstrip('.')}.",
            "Install the app that belongs to this version (make apk), then go on with --resume.",
        )


def _asked(adb: Adb, command: str) -> Mapping[str, object]:
    """The JSON object that the app's provider answers."""
    answer = adb.shell(command, _ABOUT_LIMIT)
    match = re.search(r"^Row: 0 about=(\{.*\})\s*$", answer.output, re.M)
    try:
        found = json.loads(match[1]) if match else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _strange(adb, command, last_line(answer.output + answer.errors))
    return found


def _about(adb: Adb, found: Mapping[str, object]) -> About:
    try:
        return About(
            plans=str(found["plans"]),
            phone=_fingerprint(_mapping(found["device"])),
            versions={name: str(text) for name, text in _mapping(found["versions"]).items()},
            engines={
                target: _engine(_mapping(item))
                for target, item in _mapping(found["engines"]).items()
            },
        )
    except (KeyError, TypeError) as error:
        raise _strange(adb, ABOUT, f"{error!r} in {json.dumps(found)[:200]}") from None


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is no object")
    return value


def _fingerprint(device: Mapping[str, Any]) -> Fingerprint:
    clusters = tuple(
        Cluster(str(item["name"]), tuple(item["cpus"]), item["maximum_khz"])
        for item in device["clusters"]
    )
    features = tuple(device["features"])
    return Fingerprint(**{**device, "features": features, "clusters": clusters})


def _engine(item: Mapping[str, Any]) -> Engine:
    version = item.get("version")
    missing = "" if version else f"{item['reason']} {item['next_step']}"
    return Engine(str(item["name"]), None if version is None else str(version), missing)


def _strange(adb: Adb, command: str, said: str) -> BenchError:
    return InputError(
        f"The app on the phone {adb.serial} does not tell what it can do: {said}.",
        "Install the app that belongs to this version (make apk). By hand: "
        + adb.typed("shell", command),
    )
