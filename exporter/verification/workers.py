"""Running a model on many examples at once, in as many processes as are asked for.

What a process computes for a chunk of examples depends on nothing else: the numbers are the same
for every number of processes.
"""

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

import numpy as np
import torch

from exporter.errors import CheckFailed, ExportError, UserError
from exporter.targets.base import Array
from exporter.verification.classification import Run, run_rows

_STOP_SECONDS = 5.0

#: What reading from a process raises that has ended: between two messages, or within one.
_ENDED = (EOFError, OSError)


class ProcessDied(ExportError):
    """A process ended before its work was done. This says nothing of the model that it ran."""

    exit_code = 1


_REFUSALS = {kind.__name__: kind for kind in (CheckFailed, UserError)}


class Opener(Protocol):
    """Opens a model in the process that is to run it. It is sent there, so it has to be picklable,
    and to be equal to another one that opens the same."""

    def __call__(self) -> Run:
        """The function that runs the model. ExportError where it cannot be opened."""
        ...


@dataclass(frozen=True)
class Job:
    """A chunk of examples: their token arrays, and their places in the data for messages."""

    index: int
    rows: tuple[Mapping[str, Array], ...]
    members: tuple[int, ...]
    batch_size: int

    def logits(self, run: Run) -> Array:
        """[examples, labels] float32, in the order of ``rows``; CheckFailed as ``run_rows``."""
        with _one_thread():
            return np.concatenate(list(run_rows(run, self.rows, self.members, self.batch_size)))


class Workers(Protocol):
    """Where jobs run."""

    def run(self, opener: Opener, jobs: Sequence[Job]) -> Iterator[tuple[int, Array]]:
        """The logits of every job with its index, as they are finished.

        Raises what opening and running raise, and ProcessDied.
        """
        ...


@contextmanager
def open_workers(count: int) -> Iterator[Workers]:
    """``count`` processes, which end with the context; for one, this process does the work."""
    if count == 1:
        yield _Here()
        return
    processes = _Processes(count)
    try:
        yield processes
    finally:
        processes.stop()


class _Here:
    """This process, which keeps its other threads and settings."""

    def run(self, opener: Opener, jobs: Sequence[Job]) -> Iterator[tuple[int, Array]]:
        if jobs:
            run = opener()
        for job in jobs:
            yield job.index, job.logits(run)


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    connection: Connection


class _Processes:
    """Processes that are started for the first job and open each model once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._workers: list[_Worker] = []

    def run(self, opener: Opener, jobs: Sequence[Job]) -> Iterator[tuple[int, Array]]:
        if not jobs:
            return
        if not self._workers:
            self._workers = [_start() for _ in range(self._count)]
        waiting = deque(jobs)
        busy: dict[object, _Worker] = {}
        try:
            for worker in self._workers[: len(jobs)]:
                _send(worker, opener, waiting.popleft())
                busy[worker.connection] = worker
            while busy:
                for connection in wait([worker.connection for worker in busy.values()]):
                    worker = busy[connection]
                    try:
                        found = _received(worker)
                    except ProcessDied:
                        raise
                    except Exception:
                        del busy[connection]
                        _drain(busy)
                        raise
                    if waiting:  # first: the process works while the caller does
                        _send(worker, opener, waiting.popleft())
                    else:
                        del busy[connection]
                    yield found
        finally:
            if busy:  # a process died, or the caller asks no more: these work for nobody
                self.stop()

    def stop(self) -> None:
        """End all processes, also in the middle of a run: they keep nothing of their own."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []


def _start() -> _Worker:
    """A fresh process (``spawn``): the runtimes' threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    # Ctrl-C reaches all processes of a terminal. This one decides what becomes of the others, so
    # they inherit that it is blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    return _Worker(process, here)


def _send(worker: _Worker, opener: Opener, job: Job) -> None:
    try:
        worker.connection.send((opener, job))
    except (BrokenPipeError, ConnectionResetError) as error:
        raise _died(worker) from error


def _received(worker: _Worker) -> tuple[int, Array]:
    try:
        kind, *answer = worker.connection.recv()
    except _ENDED as error:
        raise _died(worker) from error
    if kind == "done":
        index, logits = answer
        return index, logits
    if kind in _REFUSALS:
        raise _REFUSALS[kind](*answer)
    raise RuntimeError(f"In the process that runs the model:\n{answer[0]}")


def _drain(busy: dict[object, _Worker]) -> None:
    """Wait for the answers of processes whose work is not needed any more: they can go on then.

    Where one has died, it and those after it stay in ``busy``: all of them are to be ended. What
    is raised is the error that came first, not this one.
    """
    for connection, worker in list(busy.items()):
        try:
            worker.connection.recv()
        except _ENDED:
            return
        del busy[connection]


def _died(worker: _Worker) -> ProcessDied:
    worker.process.join(_STOP_SECONDS)
    code = worker.process.exitcode
    how = "ended" if code is None or code >= 0 else f"was ended by signal {-code}"
    return ProcessDied(
        f"A process that runs the model {how} (exit code {code}).",
        "If memory ran out, run the same command with --processes 1: what was finished is kept.",
    )


def _serve(connection: Connection) -> None:
    """Run jobs until the other end is closed. A model is opened when the first job asks for it."""
    current: Opener | None = None
    run: Run | None = None
    while True:
        try:
            opener, job = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        answer: tuple[object, ...]
        try:
            if run is None or opener != current:
                run = None  # first: two models at once may be more than the memory holds
                run, current = opener(), opener
            answer = ("done", job.index, job.logits(run))
        except ExportError as error:
            answer = (type(error).__name__, error.message, error.next_step)
        except Exception:
            answer = ("failed", traceback.format_exc())
        try:
            connection.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch adds up in another order on another number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
