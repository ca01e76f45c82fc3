"""The base-size models through the real command: gate, sizes and memory."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

#: Bytes. What int8 asks for: one byte a weight (51.1 million), and 1 MB for all the rest.
INT8_LIMIT = 52.3e6
#: Bytes: the same for ExecuTorch.
PTE_INT8_LIMIT = 52e6
#: Bytes of resident memory that exporting and proving the base model may take.
MEMORY_LIMIT = 4e9


@pytest.mark.slow
def test_squeezebert_base_passes_the_gate_in_every_precision(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    command = [sys.executable, "-m", "exporter", "build", "random:squeezebert-base", str(out)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert sorted(answer["built"]) == [
        "onnx/model.onnx",
        "onnx/model_fp16.onnx",
        "onnx/model_int8.onnx",
    ]
    assert not answer["refused"]
    sizes = {path.name: path.stat().st_size for path in (out / "onnx").iterdir()}
    assert sizes["model_int8.onnx"] < INT8_LIMIT
    assert sizes["model_fp16.onnx"] < 0.51 * sizes["model.onnx"]
    # Kilobytes on Linux; the largest of all children so far, of which this is the only large one.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MEMORY_LIMIT

    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["built"] == []


@pytest.mark.slow
def test_portable_squeezebert_base_passes_the_gate(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    command = [sys.executable, "-m", "exporter", "build", "random:squeezebert-base", str(out)]
    options = ["--flavour", "portable", "--precision", "fp32,int8"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_bert_base_passes_the_gate_in_int8(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    command = [sys.executable, "-m", "exporter", "build", "random:bert-base", str(out)]
    done = subprocess.run(
        [*command, "--precision", "int8"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_squeezebert_base_passes_the_gate_in_int8_on_executorch(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    command = [sys.executable, "-m", "exporter", "build", "random:squeezebert-base", str(out)]
    options = ["--target", "executorch", "--precision", "int8", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["built"] == ["executorch/model_int8.pte"]
    assert (out / "executorch" / "model_int8.pte").stat().st_size < PTE_INT8_LIMIT
    (artifact,) = json.loads((out / "manifest.json").read_text())["artifacts"]
    matrices = {name for name, dtype in artifact["coverage"]["weights"].items() if dtype == "int8"}
    # Two tables, 12 layers of 6 matrices, the pooler: all but the two that stay fp32 on purpose.
    assert len(matrices) == 2 + 12 * 6 + 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MEMORY_LIMIT
