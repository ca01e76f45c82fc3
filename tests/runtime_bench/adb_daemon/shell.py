"""Commands on the phone: the services ``shell`` (version 1 and 2) and ``exec``.

Command lines run in this host's shell with the phone's tools, their paths led into the phone's
folder. Standard input and output go by line, and lines of a runner pass the phone's faults.
Source of version 2's packets: packages/modules/adb/shell_protocol.h (AOSP).
"""

import contextlib
import json
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

import psutil

from .daemon import Stream, StreamClosed
from .faults import ANSWER, COMMAND, CUT, HANG, KILL, REQUEST, SAY, Fault, Faults

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_TIMES = ("lead_in_ns", "lead_in_cpu_ns", "wall_ns", "cpu_ns")


class Surroundings(Protocol):
    """What a command meets on the phone."""

    faults: Faults
    slowdown: float
    clockwork: int | None
    bound: bool

    def sensors(self) -> Mapping[str, Any]: ...

    @property
    def environment(self) -> Mapping[str, str]: ...

    def inward(self, text: str) -> str: ...

    def outward(self, content: bytes) -> bytes: ...

    def unplug(self) -> None: ...

    def kill_runner(self, process: psutil.Process, number: int) -> None: ...


def serve_shell(name: str, stream: Stream, phone: Surroundings) -> None:
    """Run the command line that the service's name carries, until it ends or the client leaves."""
    service, _, command = name.partition(":")
    packets = service.startswith("shell,v2")
    fault = phone.faults.at(COMMAND, command)
    if fault is not None and fault.happens in (CUT, HANG):
        _stop_here(fault, stream, phone)
        return
    if fault is not None and fault.happens == SAY:
        _write(stream, packets, _STDOUT, fault.text.encode("latin-1"))
        code = fault.code
    else:
        code = _run(command, stream, phone, packets)
    if packets:
        stream.write(struct.pack("<BIB", _EXIT, 1, code))


def _run(command: str, stream: Stream, phone: Surroundings, packets: bool) -> int:
    process = subprocess.Popen(
        ["/bin/sh", "-c", phone.inward(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=phone.environment,
        cwd="/",
        start_new_session=True,
    )
    talk = _Talk(process, stream, phone)
    feeding = threading.Thread(target=talk.feed, args=(packets,), daemon=True)
    feeding.start()
    errors = threading.Thread(
        target=talk.forward,
        args=(process.stderr, lambda line: _write(stream, packets, _STDERR, line)),
        daemon=True,
    )
    errors.start()
    talk.forward(process.stdout, lambda line: _write(stream, packets, _STDOUT, line))
    errors.join()
    code = process.wait()
    return code if code >= 0 else 128 - code


def _write(stream: Stream, packets: bool, kind: int, content: bytes) -> None:
    stream.write(struct.pack("<BI", kind, len(content)) + content if packets else content)


def _stop_here(fault: Fault, stream: Stream, phone: Surroundings) -> None:
    if fault.happens == CUT:
        phone.unplug()
    else:
        stream.closed.wait()
    raise StreamClosed


class _Talk:
    """What goes between a client and one process."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", stream: Stream, phone: Surroundings
    ) -> None:
        self._process, self._stream, self._phone = process, stream, phone
        self._asked_cpus: list[int] = []

    def feed(self, packets: bool) -> None:
        """Lines from the client to the process; closes its input at the end, as adbd does."""
        waiting = b""
        with contextlib.suppress(StreamClosed):
            while True:
                if packets:
                    kind, size = struct.unpack("<BI", self._stream.read(5))
                    content = self._stream.read(size)
                    if kind == _CLOSE_STDIN:
                        break
                    waiting += content if kind == _STDIN else b""
                else:
                    waiting += self._stream.read_some()
                *lines, waiting = waiting.split(b"\n")
                for line in lines:
                    self._give(self._request(line) + b"\n")
        self._give(waiting)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def forward(self, source: IO[bytes] | None, write: Callable[[bytes], None]) -> None:
        """Lines from the process to the client. A process that nobody hears gets SIGPIPE."""
        if source is None:
            return
        with source, contextlib.suppress(StreamClosed):
            for line in source:
                write(self._phone.outward(self._answer(line)))

    def _give(self, content: bytes) -> None:
        if self._process.stdin is not None and content:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(content)
                self._process.stdin.flush()

    def _request(self, line: bytes) -> bytes:
        fault = self._phone.faults.at(REQUEST, line.decode(errors="replace"))
        if fault is not None:
            self._meet(fault)
        if not line.startswith(b'{"command"'):
            return self._phone.inward(line.decode(errors="surrogateescape")).encode(
                errors="surrogateescape"
            )
        command: dict[str, Any] = json.loads(self._phone.inward(line.decode()))
        # This host has not the cores of the phone: the answer is made up for them.
        self._asked_cpus = command.pop("cpus", [])
        return json.dumps(command).encode()

    def _answer(self, line: bytes) -> bytes:
        answer = _answer_in(line)
        if not answer:
            return line
        fault = self._phone.faults.at(ANSWER, json.dumps(answer))
        if fault is not None and fault.happens == SAY:
            return fault.text.encode("latin-1") + b"\n"
        if fault is not None:
            self._meet(fault)
        if answer["event"] == "loaded":
            answer["cpus_got"] = self._asked_cpus if self._phone.bound else list(range(8))
        for moment in ("before", "after"):
            if moment in answer:
                answer[moment] = self._phone.sensors()
        slowdown, clockwork = self._phone.slowdown, self._phone.clockwork
        for name in _TIMES:
            if name in answer:
                answer[name] = [round((clockwork or time) * slowdown) for time in answer[name]]
        return json.dumps(answer).encode() + b"\n"

    def _meet(self, fault: Fault) -> None:
        if fault.happens == KILL:
            self._phone.kill_runner(psutil.Process(self._process.pid), fault.number)
        else:
            _stop_here(fault, self._stream, self._phone)


def _answer_in(line: bytes) -> dict[str, Any]:
    """A runner's answer; {} for any other line."""
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and "event" in found:
            return found
    return {}
