"""What the native runners are built from: exact versions, and the hash of every file."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wheel:
    """A package on the Python package index; ``sha256`` of its file by architecture.

    ``members`` are the parts that the runners need: paths in the wheel begin with one of them.
    """

    package: str
    version: str
    members: tuple[str, ...]
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class DebianPackage:
    """A file in a Debian archive, ``path`` below the archive's address."""

    path: str
    sha256: str


# The same versions as in pyproject.toml: one build of each runtime for Python and native runners.
ONNXRUNTIME = Wheel(
    "onnxruntime",
    "1.31.1",
    ("onnxruntime/capi/libonnxruntime.so.",),
    {
        "x86_64": "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        "aarch64": "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
    },
)
EXECUTORCH = Wheel(
    "executorch",
    "1.5.1",
    ("executorch/include/", "executorch/lib/lib"),
    {
        "x86_64": "274c28c2fe2b76acb03f9fa381537425c40e0098dcf886baf6d97a1a55ffe300",
        "aarch64": "8ee02348a3ea80ddf770822911ebf78da616b73afce0fbaaa79f23311c88c66a",
    },
)
# No wheel carries ONNX Runtime's headers. These are older than the library, which keeps serving
# them: its C interface is versioned. They are the same for every architecture.
ONNXRUNTIME_HEADERS = DebianPackage(
    "pool/main/o/onnxruntime/libonnxruntime-dev_1.21.0+dfsg-1_amd64.deb",
    "14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08",
)
EXECUTORCH_LIBRARIES = (
    "libexecutorch.so",
    "libexecutorch_threadpool.so",
    "libexecutorch_kernels_optimized.so",
    "libexecutorch_kernels_quantized.so",
    "libexecutorch_backend_xnnpack.so",
)
# The Linux wheels of both packages ask for this C library or a newer one, and for this Python.
WHEEL_PLATFORM = "manylinux_2_28"
WHEEL_PYTHON = "3.11"
