"""The real adb client, with a server of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ADB = shutil.which("adb")


class AdbServer:
    """An adb server on a free port with its keys in ``folder``; ``environment`` leads to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def environment(self) -> Mapping[str, str]:
        return {"ANDROID_ADB_SERVER_PORT": str(self.port), "HOME": str(self._folder)}

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = (self._folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [str(ADB), "-P", str(self.port), "nodaemon", "server"],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise AssertionError((self._folder / "server.log").read_text())

    def kill(self) -> None:
        """End the server as a crash would; also one that a client started in its place."""
        self.end_own()
        self.run(["kill-server"], check=False)

    def end_own(self) -> None:
        """End only the server that ``start`` started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(
        self, arguments: Sequence[str], *, content: bytes = b"", check: bool = True
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run the client with ``content`` as its standard input."""
        return subprocess.run(
            [str(ADB), *arguments],
            env={**os.environ, **self.environment},
            input=content,
            capture_output=True,
            timeout=60,
            check=check,
        )

    def connect(self, serial: str) -> None:
        """Connect anew, as a cable that is plugged in."""
        for _ in range(10):
            # A server that still tries to reach a phone that went takes it for connected.
            self.run(["disconnect", serial], check=False)
            said = self.run(["connect", serial], check=False).stdout
            if said.startswith(b"connected to"):
                self.wait_for(serial, "device")
                return
            time.sleep(0.2)
        raise AssertionError(said)

    def wait_for(self, serial: str, state: str | None) -> None:
        """Wait until the server sees ``serial`` in ``state``; None: not at all."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.states().get(serial) == state:
                return
            time.sleep(0.01)
        raise AssertionError(f"{serial} is not {state}, but {self.states()}")

    def states(self) -> dict[str, str]:
        lines = self.run(["devices"]).stdout.decode().splitlines()
        return dict(line.split("\t") for line in lines if "\t" in line)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
