"""Sharing examples out among processes: same numbers, errors that arrive, processes that die."""

import multiprocessing
import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest

from exporter.errors import CheckFailed, UserError
from exporter.verification import workers as processes
from exporter.verification.classification import Encoded, artifact_run, chunks, classify
from exporter.verification.kept_logits import KeptLogits, kept_logits
from exporter.verification.measuring import measure_logits
from exporter.verification.workers import ProcessDied, open_workers

LENGTHS = [5, 1, 3, 2, 4, 7, 2, 9, 1, 6] * 40


def examples():
    rows = [
        {"input_ids": np.arange(1, n + 1), "index": np.full(n, i)} for i, n in enumerate(LENGTHS)
    ]
    return Encoded(tuple(rows), 0)


@dataclass(frozen=True)
class Opened:
    """A model whose logits tell the example and its batch; ``fate`` is what happens instead."""

    fate: str = ""

    def __call__(self):
        if self.fate == "cannot be opened":
            raise UserError("It cannot be opened.", "Build it again.")
        return self.run

    def run(self, inputs):
        if self.fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fate == "not finite":
            return np.full((len(inputs["index"]), 2), np.nan)
        if self.fate == "a mistake":
            raise KeyError("nobody expects this")
        return np.stack(
            [inputs["index"][:, 0], np.full(len(inputs["index"]), inputs["index"].size)], 1
        )


NOTHING_KEPT = KeptLogits(None)


def measure(workers, fate="", kept=NOTHING_KEPT, told=None):
    detail = (lambda _: None) if told is None else told.append
    return measure_logits(workers, Opened(fate), examples(), 8, 2, kept, detail)


def test_chunks_are_whole_batches_of_all_examples_shortest_first():
    for batch_size in (1, 8, 24, 300):
        found = chunks(examples(), batch_size)
        members = [i for chunk in found for i in chunk.members]
        assert sorted(members) == list(range(len(LENGTHS)))
        assert [LENGTHS[i] for i in members] == sorted(LENGTHS)
        assert all(len(chunk.members) % batch_size == 0 for chunk in found[:-1])
        assert sum(chunk.tokens for chunk in found) == sum(LENGTHS)


def test_one_process_gives_what_classify_gives():
    with open_workers(1) as workers:
        found = measure(workers)
    assert np.array_equal(found, classify(Opened().run, examples(), batch_size=8))
    assert found[:, 0].tolist() == list(range(len(LENGTHS)))


def test_two_processes_give_the_same_and_say_what_went_wrong():
    """One test: to start the processes takes longer than all that they do."""
    with open_workers(1) as workers:
        expected = measure(workers)
    told = []
    with open_workers(2) as workers:
        assert np.array_equal(measure(workers, told=told), expected)
        assert len(told) == len(chunks(examples(), 8))
        assert told[-1].startswith("400/400 examples, ")
        with pytest.raises(UserError, match="cannot be opened") as refused:
            measure(workers, "cannot be opened")
        assert refused.value.next_step == "Build it again."
        # Answers of the failed run that were on their way are not taken for this one's.
        assert np.array_equal(measure(workers), expected)
        with pytest.raises(CheckFailed, match="not finite"):
            measure(workers, "not finite")
        with pytest.raises(RuntimeError, match="nobody expects this"):
            measure(workers, "a mistake")
        with pytest.raises(ProcessDied, match="ended by signal 9") as died:
            measure(workers, "killed")
        assert died.value.exit_code == 1
        assert "--processes 1" in died.value.next_step


@pytest.mark.parametrize("within_a_message", [False, True])
def test_a_second_process_that_dies_does_not_hide_the_first_error(within_a_message, monkeypatch):
    """One refuses its examples, and the other one has died when its answer is awaited."""
    pipes = [multiprocessing.Pipe() for _ in range(2)]
    (_, refusing), (_, dying) = pipes
    refusing.send(("UserError", "It cannot be opened.", "Build it again."))
    if within_a_message:
        os.write(dying.fileno(), (1000).to_bytes(4, "big") + b"half")
    dying.close()
    ended = []

    class Process:
        def terminate(self):
            ended.append(self)

        def join(self, _=None):
            pass

        def is_alive(self):
            return False

    ours = (processes._Worker(Process(), here) for here, _ in pipes)
    monkeypatch.setattr(processes, "_start", lambda: next(ours))
    monkeypatch.setattr(processes, "_send", lambda *_: None)
    with open_workers(2) as workers, pytest.raises(UserError, match="cannot be opened"):
        measure(workers)
    assert len(ended) == 2


def test_what_is_kept_is_not_computed_again(tmp_path):
    kept = kept_logits(tmp_path, model="m")
    kept.save(0, np.zeros((128, 2)))
    with open_workers(1) as workers:
        expected, found = measure(workers), measure(workers, kept=kept)
        places = list(chunks(examples(), 8)[0].members)
        assert not found[places].any()
        rest = np.setdiff1d(np.arange(len(LENGTHS)), places)
        assert np.array_equal(found[rest], expected[rest])
        # All is kept now: nothing is opened.
        assert np.array_equal(measure(workers, "cannot be opened", kept), found)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: np.save(path, np.zeros((3, 3), dtype=np.float32)),
        lambda path: np.save(path, np.zeros((4, 2), dtype=np.float64)),
        lambda path: np.save(path, np.full((4, 2), np.nan, dtype=np.float32)),
        lambda path: np.save(path, np.array([[{}, 1]] * 4, dtype=object)),
        lambda path: path.unlink(),
    ],
)
def test_kept_logits_that_are_damaged_are_none(damage, tmp_path):
    kept = kept_logits(tmp_path, model="m")
    logits = np.arange(8, dtype=np.float32).reshape(4, 2)
    kept.save(3, logits)
    assert np.array_equal(kept.load(3, 4, 2), logits)
    damage(next(tmp_path.glob("*/*.npy")))
    assert kept.load(3, 4, 2) is None


def test_kept_logits_are_those_of_the_same_run_alone(tmp_path):
    kept_logits(tmp_path, model="m", batch_size=1).save(0, np.zeros((1, 2)))
    assert kept_logits(tmp_path, batch_size=1, model="m").load(0, 1, 2) is not None
    assert kept_logits(tmp_path, model="m", batch_size=2).load(0, 1, 2) is None
    assert kept_logits(None, model="m").load(0, 1, 2) is None


def test_an_artifact_runs_as_its_session_does():
    class Session:
        def run(self, inputs):
            return {"logits": inputs["x"] + 1}

    assert artifact_run(Session())({"x": np.zeros(1)}) == 1
