"""The commands: exit codes, one-line errors, one JSON document."""
# ruff: noqa: ARG001 - fixtures are asked for by name

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_checkpoint import write_checkpoint

from exporter.cli import main
from exporter.errors import UserError


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "out")


@pytest.fixture
def run(target, gate, capsys):
    """Runs a command; returns exit code, standard output, standard error."""

    def call(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def built(run, checkpoint_folder, out):
    assert run("build", checkpoint_folder, out, "--target", "fake")[0] == 0
    return out


def test_build_reports_progress_on_standard_error_only(run, checkpoint_folder, out):
    code, stdout, stderr = run("build", checkpoint_folder, out, "--target", "fake", "--json")
    assert code == 0
    document = json.loads(stdout)
    assert document["built"] == ["fake/model.json", "fake/model_fp16.json", "fake/model_int8.json"]
    assert " s  done  fake/model.json: prove" in stderr
    code, stdout, _ = run("build", checkpoint_folder, out, "--target", "fake")
    assert code == 0
    assert stdout.count("up to date") == 3
    assert json.loads(json_of(out))["command"][:2] == ["squeezebert-export", "build"]


def json_of(out):
    return (Path(out) / "manifest.json").read_text()


def test_a_refused_artifact_is_exit_code_1_with_its_check(run, target, checkpoint_folder, out):
    target.wrong["int8"] = 0.1
    code, stdout, stderr = run("build", checkpoint_folder, out, "--target", "fake")
    assert code == 1
    assert "error: fake/model_int8.json failed the check 'outputs': differ by" in stderr
    assert "refused" in stdout
    code, stdout, _ = run("build", checkpoint_folder, out, "--target", "fake", "--json")
    assert code == 1
    assert json.loads(stdout)["refused"]["fake/model_int8.json"][0]["passed"] is False


def test_an_artifact_that_cannot_be_written_is_said_to_be_so(run, target, checkpoint_folder, out):
    def overflow(spec):
        if spec.precision == "fp32":
            raise UserError("The weights exceed the type.", "Choose another precision.")

    target.in_the_middle = overflow
    code, _, stderr = run("build", checkpoint_folder, out, "--target", "fake")
    assert code == 1
    assert "error: fake/model.json could not be written: The weights exceed the type." in stderr


@pytest.mark.parametrize(
    "words",
    [
        ["build", "./nowhere", "{out}", "--target", "fake"],
        ["build", "random:gpt", "{out}", "--target", "fake"],
        ["build", "{source}", "{out}", "--target", "none"],
        ["build", "{source}", "{out}", "--target", "fake", "--precision", "int3"],
        ["build", "{source}", "{out}", "--target", "fake", "--backend", "xnnpack"],
        ["build", "{source}", "{out}", "--target", "fake", "--task", "question-answering"],
        ["build", "{source}", "{source}", "--target", "fake"],
        ["build", "{source}", "{source}/config.json", "--target", "fake"],
        ["build", "{source}", "{out}", "--target", "fake", "--eval-data", "{source}/vocab.txt"],
        ["verify", "{out}"],
        ["verify", "{source}"],
        ["evaluate", "{source}", "--data", "x.tsv"],
        ["evaluate", "{out}", "--data", "x.tsv", "--processes", "2"],
        ["predict", "{source}", "--text", "x"],
        ["inspect", "{source}/config.json"],
        ["baseline", "./nowhere", "{out}"],
    ],
)
def test_bad_input_is_exit_code_2_and_one_line(words, run, checkpoint_folder, out):
    filled = [word.format(source=checkpoint_folder, out=out) for word in words]
    code, stdout, stderr = run(*filled)
    assert code == 2
    assert stdout == ""
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in stderr
    code, stdout, _ = run(*filled, "--json")
    error = json.loads(stdout)["error"]
    assert error["exit_code"] == code == 2
    assert f"{error['message']} {error['next_step']}" in line


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["build"],
        ["build", "m", "o", "--precision", "fp32,,int8"],
        ["build", "m", "o", "--eval-limit", "0"],
        ["build", "m", "o", "--task", "translation"],
        ["predict", "b"],
        ["evaluate", "b"],
        ["evaluate", "b", "--data", "d.tsv", "--processes", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: squeezebert-export" in capsys.readouterr().err


def test_an_interruption_is_exit_code_130_and_can_be_continued(run, target, checkpoint_folder, out):
    def interrupt(spec):
        if spec.precision == "fp16":
            raise KeyboardInterrupt

    target.in_the_middle = interrupt
    code, stdout, stderr = run("build", checkpoint_folder, out, "--target", "fake")
    assert code == 130
    assert stdout == ""
    assert stderr.splitlines()[-1].startswith("Interrupted. What was finished is kept")
    target.in_the_middle = None
    code, stdout, _ = run("build", checkpoint_folder, out, "--target", "fake", "--json")
    assert code == 0
    assert json.loads(stdout)["kept"] == ["fake/model.json"]


def test_a_refusing_disk_anywhere_is_no_traceback(run, built, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("exporter.inspection.inspect", refuse)
    code, _, stderr = run("inspect", built)
    assert code == 2
    assert "No space is left on the disk" in stderr


def test_dry_run_writes_nothing(run, checkpoint_folder, out, tmp_path):
    code, stdout, _ = run("build", checkpoint_folder, out, "--target", "fake", "--dry-run")
    assert code == 0
    assert "fake/model.json: not in the bundle yet" in stdout
    assert not (tmp_path / "out").exists()


def test_verify(run, built, tmp_path):
    code, stdout, _ = run("verify", built)
    assert code == 0
    assert "proved" in stdout
    (tmp_path / "out" / "fake" / "model.npz").write_bytes(b"x")
    code, stdout, stderr = run("verify", built, "--json")
    assert code == 1
    assert json.loads(stdout)["passed"] is False
    assert "fake/model.npz has 1 bytes instead of" in stderr


def test_verify_against_another_model_is_exit_code_1(run, built, tmp_path):
    other = write_checkpoint(tmp_path / "other", seed=1)
    code, _, stderr = run("verify", built, "--source", other)
    assert code == 1
    assert "not the model that the bundle was made from" in stderr


def test_evaluate(run, built, labelled):
    code, stdout, _ = run("evaluate", built, "--data", labelled, "--limit", "20", "--json")
    assert code == 0
    document = json.loads(stdout)
    assert document["artifacts"]["fake/model.json"]["examples"] == 20
    assert document["artifacts"]["fake/model.json"]["check"]["passed"] is True
    assert document["artifacts"]["fake/model.json"]["classes"][0]["label"] == "low"
    assert document["not_saved"] == "only the first 20 examples were used"
    code, stdout, _ = run("evaluate", built, "--data", labelled, "--no-save", "--processes", "2")
    assert "Not written into the bundle" in stdout
    assert 'accuracy": null' in json_of(built)
    code, stdout, _ = run("evaluate", built, "--data", labelled)
    assert "60 examples of data.tsv: PyTorch fp32 95.00%" in stdout
    assert "too few examples to tell a loss of 0.5 points (about 553 are needed)" in stdout
    assert "Not written" not in stdout
    code, stdout, _ = run("inspect", built)
    assert "95.00%" in stdout


def test_evaluate_exits_1_when_accuracy_is_lost(run, built, labelled, monkeypatch):
    monkeypatch.setattr("exporter.verification.accuracy.AGREEMENT_LIMITS", {"fp32": 2.0})
    monkeypatch.setattr("exporter.verification.accuracy.DEFAULT_AGREEMENT_LIMIT", 2.0)
    code, _, stderr = run("evaluate", built, "--data", labelled)
    assert code == 1
    assert "failed the check 'accuracy'" in stderr


def test_predict(run, built):
    code, stdout, _ = run("predict", built, "--text", "red cat", "--json")
    assert code == 0
    document = json.loads(stdout)
    assert {item["label"] for item in document["answer"]["labels"]} == {"low", "middle", "high"}
    code, stdout, _ = run("predict", built, "--text", "red", "--artifact", "fake/model_int8.json")
    assert "3 tokens, fake/model_int8.json" in stdout


def test_inspect(run, built):
    code, stdout, _ = run("inspect", built)
    assert code == 0
    assert "SqueezeBertForSequenceClassification" in stdout
    assert "3 labels: low, middle, high" in stdout
    code, stdout, _ = run("inspect", f"{built}/fake/model.json", "--json")
    assert json.loads(stdout)["target"] == "fake"


@pytest.mark.parametrize(
    "command", ["build", "verify", "evaluate", "predict", "inspect", "baseline"]
)
def test_help_teaches_by_example(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"  squeezebert-export {command} " in text
    assert "examples:" in text


def test_verify_tells_a_failed_proof_from_a_missing_input_in_its_help(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    assert "1 a proof failed, 2 an input is missing" in capsys.readouterr().out


def test_the_module_runs_as_a_program(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "exporter", "inspect", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.strip().endswith("does not exist. Check the path.")
