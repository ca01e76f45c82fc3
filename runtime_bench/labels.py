"""Short names: of entries, so that every ratio can name both of its ends, and of cores."""

from collections import Counter
from collections.abc import Sequence

from runtime_bench.bundles import Artifact, Bundle, ModelFacts

_STOCK_TOOL = {
    ("onnx", "fp32"): " (torch.onnx)",
    ("onnx", "int8"): " (quantize_dynamic)",
}


def model_name(model: ModelFacts) -> str:
    """``SqueezeBERT`` or ``bert-base-uncased`` for the base sizes, otherwise family and size.

    The name states the architecture. Whether the weights are trained stands beside it in every
    table; latency does not depend on it.
    """
    base = (model.layers, model.hidden_size, model.intermediate_size) == (12, 768, 3072)
    if model.family == "squeezebert":
        return "SqueezeBERT" if base else f"SqueezeBERT {model.layers}x{model.hidden_size}"
    if model.family == "bert":
        full = base and set(model.groups.values()) == {1}
        return "bert-base-uncased" if full else f"BERT {model.layers}x{model.hidden_size}"
    return f"{model.family} {model.layers}x{model.hidden_size}"


def short_label(bundle: Bundle, artifact: Artifact) -> str:
    """For example ``bert-base-uncased stock fp32 (torch.onnx)`` or ``SqueezeBERT ours int8``."""
    stock = bundle.recipe == "stock"
    words = [model_name(bundle.model), "stock" if stock else "ours", artifact.precision]
    if artifact.flavour not in ("optimized", "stock"):
        words.append(artifact.flavour)
    if artifact.target != "onnx":
        words.append(artifact.target)
    tool = _STOCK_TOOL.get((artifact.target, artifact.precision), "") if stock else ""
    return " ".join(words) + tool


def unique_labels(pairs: Sequence[tuple[Bundle, Artifact]]) -> list[str]:
    """One label per pair; where two would be equal, the source, then the path, is added."""
    labels = [short_label(bundle, artifact) for bundle, artifact in pairs]
    details = (
        [bundle.model.source for bundle, _ in pairs],
        [artifact.path for _, artifact in pairs],
        [str(bundle.folder) for bundle, _ in pairs],
    )
    for detail in details:
        counts = Counter(labels)
        shared = {label for label, count in counts.items() if count > 1}
        for label in shared:
            places = [index for index, other in enumerate(labels) if other == label]
            if len({detail[index] for index in places}) > 1:
                for index in places:
                    labels[index] = f"{label} [{detail[index]}]"
    return labels


def cpu_list(cpus: Sequence[int]) -> str:
    """Runs of cores in short: ``0-3,6``."""
    parts: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
