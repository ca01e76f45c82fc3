"""The whole way through the real adb client, a real adbd for arm64 and the real Arm runners."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm64_phone.namespace import SERIAL, reason_against, run_beside_phone
from arm64_phone.root import make_root

from runtime_bench.cli import main
from runtime_bench.emulation.profiles import DEFAULT, profile_named
from runtime_bench.native import places
from runtime_bench.records import WarmUpRecord
from runtime_bench.results import Results, read_results

pytestmark = pytest.mark.slow
OPTIONS = (
    *("--lengths", "8", "--blocks", "2", "--seconds-per-block", "0.01", "--starts", "0"),
    *("--pause-limit", "0", "--warm-up-limit", "1", "--cores", "all"),
)


@pytest.fixture(scope="module")
def made() -> Path:
    """The phone's root; a machine that cannot run it skips, and says why."""
    if reason := reason_against():
        pytest.skip(reason)
    system = places.sysroot() / DEFAULT
    if not (places.runner_folder("aarch64") / "onnx_runner").is_file() or not system.is_dir():
        pytest.skip("the runners for aarch64 are not built (make native)")
    try:
        return make_root(places.folder() / "arm64-phone")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the packages of the phone cannot be had: {error}")


def outputs(results: Results) -> dict[str, Any]:
    """The logits of each artifact, by its path."""
    paths = {
        entry["id"]: entry["artifact"]["path"] for entry in results.run.entries if entry["bundle"]
    }
    found: tuple[WarmUpRecord, ...] = results.warm_ups
    return {
        paths[item.entry]: np.array(item.outputs["logits"]["values"])
        for item in found
        if item.entry in paths
    }


def test_a_run_on_an_arm64_phone(
    made: Path, make_bundle: Any, tiny_pte: bytes, tmp_path: Path
) -> None:
    artifacts = (
        ("onnx/model.onnx", "fp32", "optimized"),
        ("executorch/model.pte", "fp32", "optimized"),
    )
    bundle = make_bundle("tiny", artifacts=artifacts, contents={"executorch/model.pte": tiny_pte})
    data, results = tmp_path / "data", tmp_path / "phone.jsonl"
    done = run_beside_phone(
        made,
        places.sysroot() / DEFAULT,
        data,
        profile_named(DEFAULT).emulator_cpu,
        tmp_path,
        [
            *(sys.executable, "-m", "runtime_bench", "run", str(bundle)),
            *("--device", f"adb:{SERIAL}", "--out", str(results), *OPTIONS),
        ],
    )
    assert done.returncode == 0, done.stderr + done.stdout
    found = read_results(results)
    assert found.ends
    assert found.ends[0].failed == ()
    assert found.run.device["emulated"] is True
    assert found.run.device["architecture"] == "aarch64"
    assert "asimddp" in found.run.device["features"]
    assert {"experimental-runner", "fixed-performance", "thermal-unknown", "emulator"} <= {
        warning.code for warning in found.run.warnings
    }
    # Nothing stays on the phone.
    assert list((data / "local/tmp").iterdir()) == []
    # What the Arm code computes is what this host computes.
    here = tmp_path / "host.jsonl"
    assert main(["run", str(bundle), "--out", str(here), *OPTIONS]) == 0
    arm, host = outputs(found), outputs(read_results(here))
    assert set(arm) == set(host) == {path for path, _, _ in artifacts}
    for path, logits in host.items():
        np.testing.assert_allclose(arm[path], logits, rtol=0, atol=1e-5)
