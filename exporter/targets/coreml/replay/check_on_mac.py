#!/usr/bin/env python3
"""Runs the packages in this folder with Core ML, and compares with what was computed without a Mac.

Beside every package lie golden inputs and outputs (NAME.golden.json): the exporter's interpreter
computed them from the bytes of the package. On each kind of processor this script predicts the
same inputs, compares, takes the time, and shows which operators Core ML plans for the Neural
Engine. It needs macOS 14 or newer, and: pip install coremltools numpy

exit codes: 0 all packages agree, 1 something does not, 2 something could not be checked
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

Document = dict[str, Any]

SCHEMA = 1
UNITS = ("ALL", "CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY")
#: The oldest that will do: macOS with ML programs of iOS 17, coremltools with compute plans.
MACOS, COREMLTOOLS = (14, 0), (8, 1)
#: The oldest system that tells its plan.
PLANNING_MACOS = (14, 4)
_PREDICT = Path(__file__).with_name("predict_on_mac.py")
MANIFEST = "Manifest.json"
_GOLDEN, _PACKAGE = ".golden.json", ".mlpackage"


class Unusable(Exception):
    """What cannot be checked, and why."""


def main(arguments: list[str]) -> int:
    """Check what ``arguments`` ask for. Returns the exit code."""
    options = parse(arguments)
    try:
        system = describe_system()
        packages = find_packages(options.packages)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{name} {value}" for name, value in system.items()))
    checked = [check(package, options.units, options.runs, system) for package in packages]
    failed = any(found["problems"] for found in checked)
    skipped = any(found["skipped"] for found in checked)
    report = {"schema": SCHEMA, "system": system, "passed": not (failed or skipped)}
    partial = options.out.with_name(options.out.name + ".partial")
    try:
        partial.write_text(json.dumps({**report, "packages": checked}, indent=1))
        partial.replace(options.out)
    except OSError as error:
        print(f"error: {options.out} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    verdict = "NOT all agree" if failed else "not all were checked" if skipped else "all agree"
    print(f"{len(checked)} packages: {verdict}. Report: {options.out}")
    return 1 if failed else 2 if skipped else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="*", help="such as model_fp16.mlpackage (default: all)")
    parser.add_argument(
        "--units",
        default=",".join(UNITS),
        type=lambda text: text.split(","),
        help="processors that Core ML may use, with commas (default: %(default)s)",
    )
    parser.add_argument("--runs", type=int, default=50, help="timed predictions (default: 50)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("check_on_mac.json"),
        help="the report (default: %(default)s in the current folder)",
    )
    options = parser.parse_args(arguments)
    unknown = [unit for unit in options.units if unit not in UNITS]
    if unknown:
        parser.error(f"no units '{unknown[0]}'; there are {', '.join(UNITS)}")
    if options.runs < 1:
        parser.error("--runs needs a number above zero")
    return options


def describe_system() -> Document:
    """This machine and its versions. Raises Unusable where Core ML cannot be asked."""
    if platform.system() != "Darwin":
        raise Unusable(f"Core ML runs on Macs only, and this is {platform.system()}.")
    macos = platform.mac_ver()[0]
    if numbers(macos) < MACOS:
        raise Unusable(f"macOS {macos} is too old. macOS {dotted(MACOS)} or newer is needed.")
    versions = {}
    for name in ("coremltools", "numpy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise Unusable(f"{name} is not installed. Run: pip install coremltools numpy") from None
    if numbers(versions["coremltools"]) < COREMLTOOLS:
        raise Unusable(
            f"coremltools {versions['coremltools']} is too old: {dotted(COREMLTOOLS)} or newer is "
            "needed. Run: pip install --upgrade coremltools"
        )
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        chip = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        chip = ""
    return {"machine": chip or platform.machine(), "macOS": macos, **versions}


def numbers(version: str) -> tuple[int, ...]:
    """(14, 4) of "14.4.1", (8, 0) of "8.0b1": what is not a number ends it."""
    found = []
    for part in version.split(".")[:2]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        found.append(int(digits or 0))
    return tuple(found)


def dotted(version: tuple[int, ...]) -> str:
    """The reverse."""
    return ".".join(map(str, version))


def find_packages(names: list[str]) -> list[Path]:
    """The packages called so, or all beside this script. Raises Unusable."""
    folder = Path(__file__).resolve().parent
    if names:
        found = [Path(name) if Path(name).exists() else folder / name for name in names]
        missing = [package for package in found if not package.is_dir()]
        if missing:
            raise Unusable(f"{missing[0]} is no package. Give the folder NAME{_PACKAGE}.")
        return found
    stems = {path.name[: -len(_GOLDEN)] for path in folder.glob(f"*{_GOLDEN}")}
    stems |= {path.name[: -len(_PACKAGE)] for path in folder.glob(f"*{_PACKAGE}")}
    if not stems:
        raise Unusable(f"There are no packages in {folder}. Copy the whole folder of the bundle.")
    return [folder / f"{stem}{_PACKAGE}" for stem in sorted(stems)]


def check(package: Path, units: list[str], runs: int, system: Document) -> Document:
    """Everything about one package, printed as it comes."""
    result: Document = {"package": package.name, "problems": [], "skipped": "", "units": {}}
    try:
        golden = read_golden(package)
        needed = (golden["minimum_macos"], 0)
        if numbers(system["macOS"]) < needed:
            raise Unusable(f"It needs macOS {dotted(needed)} or newer.")
    except Unusable as error:
        result["skipped"] = str(error)
        print(f"{package.name}: NOT CHECKED. {error}")
        return result
    print(f"{package.name} ({golden['precision']})")
    result["problems"] = changed_files(package, golden)
    if not result["problems"]:
        print("  its files are those that were proved")
        planned = numbers(system["macOS"]) >= PLANNING_MACOS
        for unit in units:
            request = {"package": str(package), "unit": unit, "runs": runs, "golden": golden}
            found = predict_apart({**request, "plan": planned and unit in ("ALL", "CPU_AND_NE")})
            result["units"][unit] = found
            result["problems"] += [f"{unit}: {problem}" for problem in found["problems"]]
            show(unit, found, golden["tolerance"]["relative"])
        if not planned:
            print(f"  no plan: macOS {dotted(PLANNING_MACOS)} or newer tells it")
    for problem in result["problems"]:
        print(f"  FAILED  {problem}")
    return result


def read_golden(package: Path) -> Document:
    """What NAME.golden.json holds. Raises Unusable."""
    path = package.with_suffix(_GOLDEN)
    try:
        golden: Document = json.loads(path.read_text(encoding="utf-8"))
        schema = golden["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Unusable(f"{path.name} is missing or damaged. Copy the bundle again.") from None
    if schema != SCHEMA:
        raise Unusable(f"{path.name} is of another version than this script.")
    return golden


def changed_files(package: Path, golden: Document) -> list[str]:
    """What is not as it was when the package was proved."""
    wanted = {entry["path"]: entry["sha256"] for entry in golden["files"]}
    # Finder leaves hidden files behind.
    found = {
        path.relative_to(package).as_posix(): path
        for path in package.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    problems = [f"{name} is no part of the package" for name in sorted(set(found) - set(wanted))]
    for name, digest in wanted.items():
        if name not in found:
            problems.append(f"{name} of the package is missing")
        elif content_hash(found[name]) != digest:
            problems.append(f"{name} of the package was changed: its SHA-256 is another")
    return problems


def content_hash(path: Path) -> str:
    """SHA-256; of a manifest without its white space, because coremltools writes it anew."""
    content = path.read_bytes()
    if path.name == MANIFEST:
        content = b"".join(content.split())
    return hashlib.sha256(content).hexdigest()


def predict_apart(request: Document) -> Document:
    """What predict_on_mac.py finds, in a process of its own: Core ML may end it without a word."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, str(_PREDICT), str(answer)]
        text = json.dumps(request)
        ended = subprocess.run(command, input=text, capture_output=True, text=True)
        if ended.returncode == 0:
            found: Document = json.loads(answer.read_text())
            return found
    said = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
    return {"problems": [f"the process was ended (code {ended.returncode}): {said}"]}


def show(unit: str, found: Document, limit: float) -> None:
    """Print what was found with one kind of processor; problems come later."""
    if not found.get("errors"):
        return
    times = ", ".join(f"{value:.2f} ms at {n} tokens" for n, value in found["median_ms"].items())
    worst = max(found["errors"].values())
    print(f"  {unit}: differs by at most {worst:.1e} (limit {limit:.0e}); median {times}")
    plan = found["plan"] or {}
    for name, part in plan.get("devices", {}).items():
        print(f"    {name}: {part['operators']} operators, {part['cost']:.1%} of estimated cost")
    for part in plan.get("not_on_neural_engine", ()):
        could = "which could" if part["neural_engine_could"] else "which cannot"
        print(
            f"      not on the Neural Engine, {could}: {part['operators']} {part['operator']} "
            f"on {part['device']}, {part['cost']:.1%}"
        )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
