"""What check_on_mac.py starts for one package on one kind of processor. Not called by hand.

The request comes as JSON on standard input, the answer goes into the file that is named.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

try:
    import numpy as np
except ImportError:
    print("error: numpy is not installed. Run: pip install coremltools numpy", file=sys.stderr)
    raise SystemExit(2) from None

Document = dict[str, Any]

#: Between the probabilities and the softmax of the same prediction's logits, relative and absolute.
#: Measured: at most 1.3e-2 beyond the absolute one where fp16 adds up 1000 labels one by one.
RELATIVE, ABSOLUTE = 2e-2, 1e-4
_MOST_WARM_UPS = 10
_NEURAL_ENGINE = "Neural Engine"
_DEVICES = {
    "MLNeuralEngineComputeDevice": _NEURAL_ENGINE,
    "MLGPUComputeDevice": "GPU",
    "MLCPUComputeDevice": "CPU",
}


def examine(request: Document) -> Document:
    """Load the package, predict the golden inputs, compare, take the time, and tell the plan."""
    import coremltools  # takes seconds, and warns of much that is no concern of this script

    golden = request["golden"]
    feeds = [
        {name: np.array(values, np.int32)[None] for name, values in case["inputs"].items()}
        for case in golden["cases"]
    ]
    lengths = {feed["input_ids"].shape[1]: feed for feed in feeds}
    try:
        units = coremltools.ComputeUnit[request["unit"]]
        started = time.perf_counter()
        model = coremltools.models.MLModel(request["package"], compute_units=units)
        loaded = time.perf_counter() - started
        predicted = [model.predict(dict(feed)) for feed in feeds]
        times = {
            length: median_ms(model, feed, request["runs"])
            for length, feed in sorted(lengths.items())
        }
        plan = plan_of(model, units) if request["plan"] else None
    except Exception as error:  # Core ML's errors have no class of their own
        return {"problems": [f"Core ML refuses: {error}"]}
    errors, problems = compare(golden, predicted)
    return {
        "problems": problems,
        "errors": errors,
        "load_seconds": loaded,
        "median_ms": times,
        "plan": plan,
    }


def median_ms(model: Any, feed: Document, runs: int) -> float:
    """Of ``runs`` predictions, after a few that do not count; Python's share is in it."""
    taken = []
    for _ in range(min(runs, _MOST_WARM_UPS) + runs):
        started = time.perf_counter()
        model.predict(dict(feed))
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken[-runs:])


def compare(golden: Document, predicted: list[Document]) -> tuple[dict[str, float], list[str]]:
    """The relative error of every case, and what is wrong with the predictions."""
    limit = golden["tolerance"]["relative"]
    errors: dict[str, float] = {}
    problems: list[str] = []
    for index, case in enumerate(golden["cases"]):
        place, outputs = case["name"], predicted[index]
        for name, wanted in case["outputs"].items():
            found = difference(outputs.get(name), wanted)
            if found is None:
                problems.append(f"{place}: {name} is missing, of another shape or not finite")
                continue
            error = found / scale(golden, name)
            errors[place] = max(errors.get(place, 0.0), error)
            if error > limit:
                problems.append(f"{place}: {name} differs by {error:.1e}, limit {limit:.0e}")
        if golden["labels"] and place in errors:
            problems += [f"{place}: {found}" for found in class_problems(golden, outputs)]
    return errors, problems


def scale(golden: Document, name: str) -> float:
    """Root mean square of an output over all cases: one score near 0 is no measure."""
    values = [value for case in golden["cases"] for value in case["outputs"][name]["values"]]
    return float(np.sqrt(np.mean(np.square(values)))) or 1.0


def difference(actual: Any, wanted: Document) -> float | None:
    """Root mean square; None for what is missing, of another shape or not finite."""
    if actual is None or list(np.shape(actual)) != wanted["shape"]:
        return None
    values = np.asarray(actual, np.float32).ravel()
    if not np.isfinite(values).all():
        return None
    if wanted["positions"]:
        values = values[wanted["positions"]]
    expected = np.array(wanted["values"], np.float32)
    return float(np.sqrt(np.mean(np.square(values - expected, dtype=np.float64))))


def class_problems(golden: Document, outputs: Document) -> list[str]:
    """Label and probabilities have to follow from the logits, in the order of the labels."""
    labels = golden["labels"]
    label_name, probabilities_name = golden["predicted"]
    label, probabilities = outputs.get(label_name), outputs.get(probabilities_name)
    if not isinstance(probabilities, dict):
        return [f"{probabilities_name} are missing"]
    if set(probabilities) != set(labels):
        wrong = min(set(probabilities) ^ set(labels))
        return [f"{probabilities_name}: the label '{wrong}' is missing or unknown"]
    logits = np.asarray(outputs["logits"], np.float64).ravel()
    exponentials = np.exp(logits - logits.max())
    expected = exponentials / exponentials.sum()
    given = np.array([probabilities[name] for name in labels])
    allowed = ABSOLUTE + RELATIVE * expected
    if not (np.abs(given - expected) <= allowed).all():
        return [f"{probabilities_name} are not those of the logits, or of labels in another order"]
    if label not in labels or expected.max() - expected[labels.index(label)] > allowed.max():
        return [f"{label_name} is '{label}', which has not the largest logit"]
    return []


def plan_of(model: Any, units: Any) -> Document:
    """Where Core ML plans to run every operator, and its estimate of what each costs."""
    from coremltools.models.compute_plan import MLComputePlan

    # The compiled model: given the package, Core ML ends the process.
    plan = MLComputePlan.load_from_path(model.get_compiled_model_path(), units)
    counts: Counter[str] = Counter()
    costs: defaultdict[str, float] = defaultdict(float)
    elsewhere: dict[tuple[str, str, bool], list[float]] = {}
    for operation in plan.model_structure.program.functions["main"].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is None:  # a constant
            continue
        estimate = plan.get_estimated_cost_for_mlprogram_operation(operation)
        cost = 0.0 if estimate is None else estimate.weight
        device = device_name(usage.preferred_compute_device)
        counts[device] += 1
        costs[device] += cost
        if device != _NEURAL_ENGINE:
            able = _NEURAL_ENGINE in map(device_name, usage.supported_compute_devices)
            kind = operation.operator_name.rpartition(".")[2]
            elsewhere.setdefault((kind, device, able), []).append(cost)
    total = sum(costs.values()) or 1.0
    return {
        "devices": {
            name: {"operators": counts[name], "cost": costs[name] / total} for name in counts
        },
        "not_on_neural_engine": [
            {
                "operator": kind,
                "device": device,
                "operators": len(found),
                "cost": sum(found) / total,
                "neural_engine_could": able,
            }
            for (kind, device, able), found in sorted(
                elsewhere.items(), key=lambda item: -sum(item[1])
            )
        ],
    }


def device_name(device: Any) -> str:
    """In words, of coremltools' classes."""
    name = type(device).__name__
    return _DEVICES.get(name, name)


def asked(arguments: list[str]) -> Document | None:
    """The request on standard input; None where there is none, or nowhere to answer."""
    if len(arguments) != 1 or sys.stdin.isatty():
        return None
    try:
        found: Document = json.load(sys.stdin)
    except ValueError:
        return None
    return found


if __name__ == "__main__":
    request = asked(sys.argv[1:])
    if request is None:
        print("error: Not to be started by hand. Run: python check_on_mac.py", file=sys.stderr)
        raise SystemExit(2)
    Path(sys.argv[1]).write_text(json.dumps(examine(request)))
