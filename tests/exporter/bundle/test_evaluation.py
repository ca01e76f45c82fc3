"""Measuring a bundle's accuracy: what is found, written down, refused and continued."""

import json
import shutil
from contextlib import contextmanager

import jsonschema
import numpy as np
import pytest
from test_manifest import SCHEMA
from test_recheck import write_noisy
from tiny_checkpoint import LABELS, write_checkpoint

from exporter.baselines import build_baseline
from exporter.checkpoint import load
from exporter.errors import UserError
from exporter.evaluation import evaluate
from exporter.filesystem import exclusive
from exporter.manifest_file import read_manifest
from exporter.model_card import model_card
from exporter.verification import classification
from exporter.verification.evaluation import Evaluator


class Told:
    """A progress that keeps what it is told."""

    def __init__(self):
        self.notes, self.details = [], []

    @contextmanager
    def step(self, _):
        yield self.details.append

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def small_chunks(monkeypatch):
    """16 examples each, so that 60 are several."""
    monkeypatch.setattr(classification, "_CHUNK", 16)


def test_every_artifact_is_measured_on_the_same_examples(build, labelled, tmp_path):
    build()
    result = evaluate(tmp_path / "out", labelled)
    assert result.examples == 60
    assert result.passed
    assert list(result.accuracies) == ["fake/model.json", "fake/model_int8.json"]
    found = result.accuracies["fake/model.json"]
    assert (found.correct, found.reference_accuracy) == (57, 57 / 60)
    assert (found.batch_size, result.accuracies["fake/model_int8.json"].batch_size) == (16, 1)
    assert [figures.label for figures in found.classes] == list(LABELS)
    assert sum(figures.support for figures in found.classes) == 60


def test_what_was_measured_is_written_into_manifest_and_card(build, labelled, tmp_path):
    build()
    bundle = tmp_path / "out"
    result = evaluate(bundle, labelled)
    assert result.saved == ("fake/model.json", "fake/model_int8.json")
    assert result.not_saved == ""
    document = json.loads((bundle / "manifest.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    manifest = read_manifest(bundle)
    assert manifest.evaluation.examples == 60
    for record in manifest.artifacts:
        found = result.accuracies[record.path]
        assert record.accuracy["data"] == "data.tsv"
        assert record.accuracy["correct"] == found.correct
        assert [c["label"] for c in record.accuracy["classes"]] == list(LABELS)
        assert [c["name"] for c in record.verification["checks"]] == ["outputs", "accuracy"]
        assert record.verification["passed"]
    card = (bundle / "README.md").read_text()
    assert card == model_card(manifest)
    assert "data.tsv, 60 examples | 95.00%" in card
    assert "+0.00 (-4.47 to +4.47) | 1.000 (0 : 0)" in card
    asked = [c for c in manifest.artifacts[0].accuracy["classes"] if c["f1"] is not None]
    assert f"| `fake/model.json` | {asked[0]['label']} | {asked[0]['support']} |" in card
    # It is what a build would have measured, which has nothing left to do.
    assert build(eval_data=labelled).kept == ("fake/model.json", "fake/model_int8.json")


def test_what_was_measured_on_other_data_is_kept(build, labelled, tmp_path):
    build(eval_data=labelled)
    other = tmp_path / "other.tsv"
    other.write_text(labelled.read_text().replace("green", "red"))
    evaluate(tmp_path / "out", other)
    (first, second) = read_manifest(tmp_path / "out").artifacts
    assert first.accuracy["data"] == second.accuracy["data"] == "other.tsv"
    assert [found["data"] for found in first.other_accuracies] == ["data.tsv"]
    jsonschema.Draft202012Validator(SCHEMA).validate(
        json.loads((tmp_path / "out" / "manifest.json").read_text())
    )
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| `fake/model.json` | other.tsv, 60 examples |" in card
    assert "| `fake/model.json` | data.tsv, 60 examples |" in card
    evaluate(tmp_path / "out", labelled)  # takes its place again, once
    record = read_manifest(tmp_path / "out").artifacts[0]
    assert record.accuracy["data"] == "data.tsv"
    assert [found["data"] for found in record.other_accuracies] == ["other.tsv"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"save": False}, "it was not to be"),
        ({"limit": 59}, "only the first 59 examples were used"),
        ({"batch_size": 4}, "the batch size is not the usual one"),
    ],
)
def test_what_is_not_the_whole_is_not_written_down(options, why, build, labelled, tmp_path):
    build()
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    result = evaluate(tmp_path / "out", labelled, **options)
    assert (result.saved, result.not_saved) == ((), why)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_a_limit_of_all_examples_is_the_whole(build, labelled, tmp_path):
    build()
    assert evaluate(tmp_path / "out", labelled, limit=60).saved


def test_a_failed_check_is_written_down_too(build, labelled, tmp_path, monkeypatch):
    build()
    monkeypatch.setattr("exporter.verification.accuracy.DEFAULT_AGREEMENT_LIMIT", 2.0)
    result = evaluate(tmp_path / "out", labelled)
    assert not result.passed
    first, second = read_manifest(tmp_path / "out").artifacts
    assert first.verification["passed"]
    assert not second.verification["passed"]
    assert "| int8 | optimized |" in (tmp_path / "out" / "README.md").read_text()


def test_a_busy_bundle_is_said_to_be_busy_before_the_work(build, labelled, tmp_path):
    build()
    told = Told()
    with exclusive(tmp_path / "out"), pytest.raises(UserError, match="Another command is writing"):
        evaluate(tmp_path / "out", labelled, progress=told)
    assert told.details == []
    with exclusive(tmp_path / "out"):
        assert evaluate(tmp_path / "out", labelled, save=False).passed


def test_an_artifact_that_was_built_again_meanwhile_gets_no_accuracy(
    build, target, labelled, tmp_path, monkeypatch
):
    build()
    real = target.open

    def rebuild(path, **options):
        if path.name == "model_int8.json":
            document = json.loads((tmp_path / "out" / "manifest.json").read_text())
            for artifact in document["artifacts"]:
                artifact["sha256"] = artifact["files"][0]["sha256"] = "0" * 64
            (tmp_path / "out" / "manifest.json").write_text(json.dumps(document))
        return real(path, **options)

    monkeypatch.setattr(target, "open", rebuild)
    assert evaluate(tmp_path / "out", labelled).saved == ("fake/model.json",)


@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_evaluation_is_continued(build, target, labelled, tmp_path, monkeypatch):
    build()
    whole = evaluate(tmp_path / "out", labelled, save=False)
    runs = []
    real = target.open

    def counted(path, **options):
        session = real(path, **options)
        run = session.run

        def once(inputs):
            runs.append(path.name)
            if interrupting and len(runs) == 25:  # 4 batches of fp32, 16 + 5 examples of int8
                raise KeyboardInterrupt
            return run(inputs)

        session.run = once
        return session

    monkeypatch.setattr(target, "open", counted)
    interrupting = True
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "out", labelled)
    kept = sorted((tmp_path / "out.evaluation").glob("*/*.npy"))
    assert len(kept) == 4 + 4 + 1  # PyTorch, fp32, a chunk of int8
    assert read_manifest(tmp_path / "out").artifacts[0].accuracy["examples"] == 60
    assert read_manifest(tmp_path / "out").artifacts[1].accuracy is None
    # Cut off, or of another shape: computed again.
    whole_folder = next(p.parent for p in kept if len(list(p.parent.iterdir())) == 4)
    first, second, *_ = sorted(whole_folder.iterdir())
    first.write_bytes(first.read_bytes()[:-1])
    np.save(second, np.zeros((16, 2), dtype=np.float32))
    interrupting, runs[:] = False, []
    evaluate(tmp_path / "out", labelled, limit=7)  # leaves what the other one kept
    assert len(list((tmp_path / "out.evaluation").glob("*/*.npy"))) == len(kept)
    runs.clear()
    again = evaluate(tmp_path / "out", labelled)
    assert len(runs) <= 60 - 12 + 2  # the longest chunk of int8 is there, two of another model not
    assert again.accuracies == whole.accuracies
    assert not (tmp_path / "out.evaluation").exists()


@pytest.mark.usefixtures("small_chunks")
def test_what_was_kept_of_another_artifact_is_not_taken(build, labelled, tmp_path, monkeypatch):
    build(precisions=("fp32",))
    monkeypatch.setattr("exporter.evaluation.remove", lambda _: None)
    evaluate(tmp_path / "out", labelled)
    keys = {path.name for path in (tmp_path / "out.evaluation").iterdir()}
    other = tmp_path / "other.tsv"
    other.write_text(labelled.read_text() + "red\tlow\n")
    evaluate(tmp_path / "out", other)
    evaluate(tmp_path / "out", labelled, batch_size=4)
    evaluate(tmp_path / "out", labelled, limit=20)
    found = {path.name for path in (tmp_path / "out.evaluation").iterdir()}
    assert len(keys) == 2
    assert len(found) == 2 + 2 + 1 + 2  # the batch size changes nothing for PyTorch


def test_no_place_for_what_is_kept_is_said_and_is_no_error(build, labelled, tmp_path):
    build()
    (tmp_path / "out.evaluation").write_text("a file")
    told = Told()
    assert evaluate(tmp_path / "out", labelled, progress=told).passed
    assert any("An interruption will lose what was measured" in note for note in told.notes)


def test_two_evaluations_of_a_bundle_do_not_mix(build, labelled, tmp_path):
    build()
    folder = tmp_path / "out.evaluation"
    folder.mkdir()
    with exclusive(folder), pytest.raises(UserError, match="Another command is writing"):
        evaluate(tmp_path / "out", labelled)
    assert evaluate(tmp_path / "out", labelled).passed


@pytest.mark.usefixtures("small_chunks")
def test_progress_tells_rate_and_time_left(build, labelled, tmp_path):
    build(precisions=("fp32",))
    told = Told()
    evaluate(tmp_path / "out", labelled, progress=told)
    assert told.details[-1].startswith("60/60 examples, ")
    assert told.details[-1].endswith(" a second, 0 s left")
    assert len(told.details) == 2 * 4


def test_labels_in_another_order_than_the_models_are_refused(build, labelled, tmp_path):
    build()
    rotated = dict(zip(LABELS, (*LABELS[1:], LABELS[0]), strict=True))
    header, *lines = labelled.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    wrong = tmp_path / "wrong.tsv"
    wrong.write_text("\n".join([header, *(f"{t}\t{rotated[label]}" for t, label in rows)]) + "\n")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(UserError, match="in another order") as caught:
        evaluate(tmp_path / "out", wrong)
    assert "to 95.00% with" in caught.value.message
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_an_artifact_that_is_not_finite_fails_and_the_others_are_measured(
    build, target, labelled, tmp_path, monkeypatch
):
    build()
    real = target.open

    def broken(path, **options):
        session = real(path, **options)
        if path.name == "model.json":
            session.run = lambda inputs: {"logits": np.full((len(inputs["input_ids"]), 3), np.nan)}
        return session

    monkeypatch.setattr(target, "open", broken)
    result = evaluate(tmp_path / "out", labelled)
    assert not result.passed
    assert "not finite" in result.checks["fake/model.json"].detail
    assert list(result.accuracies) == ["fake/model_int8.json"]
    assert result.saved == ("fake/model_int8.json",)
    document = json.loads(json.dumps(result.as_dict()))
    assert document["artifacts"]["fake/model.json"]["check"]["passed"] is False


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_a_stock_export_is_measured_and_not_judged(checkpoint_folder, labelled, tmp_path):
    build_baseline(str(checkpoint_folder), tmp_path / "stock", targets=("onnx",))
    result = evaluate(tmp_path / "stock", labelled)
    assert result.passed
    assert result.checks == {}
    assert result.accuracies["onnx/model.onnx"].agreement == 1.0
    artifacts = read_manifest(tmp_path / "stock").artifacts
    assert result.saved == tuple(a.path for a in artifacts)
    for artifact in artifacts:
        assert [check["name"] for check in artifact.verification["checks"]] == ["outputs"]
    assert "passed no gate" in (tmp_path / "stock" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_the_numbers_are_the_same_in_two_processes(checkpoint_folder, labelled, tmp_path):
    """With a real target: the other processes know only those."""
    import exporter.bundle

    exporter.bundle.build(str(checkpoint_folder), tmp_path / "onnx", precisions=("fp32", "int8"))
    here = evaluate(tmp_path / "onnx", labelled, save=False)
    there = evaluate(tmp_path / "onnx", labelled, processes=2)
    assert here.accuracies == there.accuracies


def test_evaluate_one_artifact_with_a_limit_and_a_batch_size(build, labelled, tmp_path):
    build()
    result = evaluate(
        tmp_path / "out", labelled, limit=7, artifact="fake/model_int8.json", batch_size=4
    )
    (found,) = result.accuracies.values()
    assert (found.examples, found.batch_size) == (7, 4)


def test_evaluate_sees_a_worse_artifact(build, labelled, tmp_path, monkeypatch):
    build()
    shutil.copy(write_noisy(tmp_path), tmp_path / "out" / "fake" / "model_int8.npz")
    with pytest.raises(UserError, match=r"another SHA-256|bytes instead of"):
        evaluate(tmp_path / "out", labelled)
    monkeypatch.setattr("exporter.bundle_folder.changed_files", lambda *_: ())
    result = evaluate(tmp_path / "out", labelled)
    assert not result.passed
    assert result.checks["fake/model.json"].passed
    assert result.accuracies["fake/model_int8.json"].agreement < 0.95


def test_long_examples_are_cut_and_counted(build, tmp_path):
    build()
    data = tmp_path / "long.tsv"
    data.write_text("text\tlabel\n" + "red " * 40 + "\tlow\nred\tlow\n")
    assert evaluate(tmp_path / "out", data).accuracies["fake/model.json"].truncated == 1


def test_unknown_artifacts_and_other_tasks_are_refused(build, labelled, tmp_path):
    build()
    with pytest.raises(UserError, match="has no artifact 'x'"):
        evaluate(tmp_path / "out", labelled, artifact="x")
    headless = write_checkpoint(tmp_path / "headless", task="feature-extraction", labels=None)
    with pytest.raises(UserError, match="not for feature-extraction"):
        Evaluator.open(load(str(headless)), labelled)
