"""The native runners by target, as every device with native code starts them."""

from collections.abc import Mapping
from pathlib import Path

#: Names of the executables in a folder of runners (native/places.py).
EXECUTABLES: Mapping[str, str] = {
    "onnx": "onnx_runner",
    "sgemm": "onnx_runner",
    "executorch": "executorch_runner",
}


def write_peak_model(path: Path, size: tuple[int, int, int]) -> None:
    """The fp32 matrix product (rows, inner size, columns) as a model for ``onnx_runner``."""
    from runtime_bench.runners.sgemm_worker import matrix_product  # it loads a whole runtime

    path.write_bytes(matrix_product(*size))
