"""Makes everything native: ``python -m runtime_bench.native.set_up`` (or: ``make native``)."""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime_bench.errors import BenchError, InputError
from runtime_bench.native import pins, places
from runtime_bench.native.build import Recipe, build
from runtime_bench.progress import say

_INTERRUPTED = 130
_HOST, _AARCH64, _EMULATION = "host", "aarch64", "emulation"
_HELP = f"""\
Builds the native runners into {places.folder().name}/ of the checkout: onnx_runner and
executorch_runner, for this machine and for 64-bit Arm Linux, each in one folder with every library
it needs; and what emulates an Arm device. The libraries are those of the Python packages
onnxruntime {pins.ONNXRUNTIME.version} and executorch {pins.EXECUTORCH.version}; every file fetched
is checked against its sha256 (runtime_bench/native/pins.py). What is up to date is left alone.

Needs CMake, make, g++, the cross compiler, nlohmann's JSON headers and qemu:
  sudo runtime_bench/install_system_packages.sh
"""
_EXAMPLES = """\
examples:
  python -m runtime_bench.native.set_up                 all of it
  python -m runtime_bench.native.set_up --only host     the runners for this machine only
  .native/x86_64/onnx_runner --model BUNDLE/onnx/model.onnx --length 128
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 2 something is missing (said on standard error)."""
    options = _parser().parse_args(arguments)
    try:
        set_up(options.only, options.force, options.onnxruntime_headers)
    except BenchError as error:
        print(f"error: {error.message}\n{error.next_step}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def set_up(only: str | None, force: bool, headers: Path | None) -> None:
    """Make one part, or all of them; raises InputError for what is missing."""
    host = platform.machine()
    if platform.system() != "Linux" or host not in pins.ONNXRUNTIME.sha256:
        raise InputError(
            f"The native runners are built on Linux, x86_64 or aarch64; this is "
            f"{platform.system()} on {host}.",
            "Measure with the Python runners here: squeezebert-bench run BUNDLE",
        )
    architectures = [host, _AARCH64] if only is None else [host if only == _HOST else _AARCH64]
    if only != _EMULATION:
        for architecture in dict.fromkeys(architectures):
            made = build(Recipe(architecture, headers), force=force)
            done = "done" if made else "up to date"
            say(f"{architecture}: {done}: {places.runner_folder(architecture)}")
    if only in (None, _EMULATION):
        # Here, because the emulation itself builds on this package.
        from runtime_bench.emulation.set_up import set_up as set_up_emulation

        set_up_emulation(force)
        say("emulated Arm device: done")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime_bench.native.set_up",
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", choices=(_HOST, _AARCH64, _EMULATION), help="make one part instead of all"
    )
    parser.add_argument("--force", action="store_true", help="make again what is up to date")
    parser.add_argument(
        "--onnxruntime-headers",
        type=Path,
        metavar="FOLDER",
        help="ONNX Runtime's headers, where Debian's archive cannot be reached",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
