"""The bundle's ``README.md``: Hub metadata and what was measured, from the manifest alone."""

from collections.abc import Sequence

from huggingface_hub import ModelCardData

from exporter.accuracy_tables import (
    CLASSES_HEADER,
    class_rows,
    classes_note,
    divergences,
    mcnemar_result,
    percent,
    points_lost,
)
from exporter.manifest import ArtifactRecord, ChoiceRecord, Manifest
from exporter.model_card_usage import PIPELINE_TAGS, usage

_FAMILY_NAMES = {"squeezebert": "SqueezeBERT", "bert": "BERT"}
_MEGABYTE = 1e6


def model_card(manifest: Manifest) -> str:
    """Markdown with the Hub's YAML metadata at the top.

    Fields that are not known (language, licence, data sets, base model) are left out rather than
    guessed.
    """
    sections = [
        f"---\n{_metadata(manifest)}\n---",
        f"# {_title(manifest)}",
        _introduction(manifest),
        _artifacts(manifest),
        _accuracy(manifest),
        usage(manifest),
        _provenance(manifest),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _metadata(manifest: Manifest) -> str:
    model = manifest.model
    targets = sorted({artifact.target for artifact in manifest.artifacts}, reverse=True)
    tags = [*targets, model.family, *sorted({a.precision for a in manifest.artifacts})]
    data = ModelCardData(
        language=model.languages[0] if len(model.languages) == 1 else list(model.languages) or None,
        license=model.licence,
        library_name="transformers.js" if _has_onnx(manifest) else None,
        pipeline_tag=PIPELINE_TAGS[model.task],
        tags=tags,
        datasets=list(model.datasets) or None,
        base_model=model.hub_id,
    )
    return data.to_yaml()


def _has_onnx(manifest: Manifest) -> bool:
    return any(artifact.target == "onnx" for artifact in manifest.artifacts)


def _title(manifest: Manifest) -> str:
    name = _FAMILY_NAMES.get(manifest.model.family, manifest.model.family)
    kind = "stock export" if manifest.recipe == "stock" else "for phones"
    return f"{name} {kind}: {manifest.model.source}"


def _introduction(manifest: Manifest) -> str:
    model = manifest.model
    groups = sorted(set(model.groups.values()), reverse=True)
    grouped = f", linear layers in {groups[0]} groups" if groups[0] > 1 else ""
    lines = [
        f"{model.architecture} with {model.layers} layers of {model.hidden_size} channels, "
        f"{model.heads} heads{grouped}: {model.parameters / 1e6:.2f} million parameters, "
        f"at most {model.max_length} tokens."
    ]
    if not model.trained:
        lines.append(
            f"**The weights are random (seed {model.seed}).** The model has learned nothing: it "
            "serves to measure speed and size, and its answers mean nothing."
        )
    if manifest.recipe == "stock":
        lines.append(
            "This is a baseline: what the exporters and quantizers of PyTorch, ONNX Runtime and "
            "ExecuTorch give by themselves. Its artifacts were run and compared with PyTorch, and "
            "passed no gate."
        )
    else:
        lines.append(
            "Every artifact was proved against PyTorch before it entered this folder: layer by "
            "layer, output by output, weight by weight. The measurements are in `manifest.json`."
        )
    return "\n\n".join(lines)


def _artifacts(manifest: Manifest) -> str:
    if not manifest.artifacts:
        return ""
    rows = [
        [
            f"`{artifact.path}`",
            artifact.precision,
            artifact.flavour,
            f"{artifact.bytes / _MEGABYTE:.1f} MB",
            _checks(artifact),
        ]
        for artifact in manifest.artifacts
    ]
    header = ["file", "precision", "flavour", "size", "checks"]
    limits = [f"`{a.path}`: **{a.not_run}**" for a in manifest.artifacts if a.not_run]
    details = [
        f"- `{artifact.path}`, {check['name']}: {check['detail']}"
        for artifact in manifest.artifacts
        for check in artifact.verification["checks"]
        if check["name"] != "accuracy"
    ]
    choices = [_choice(a.path, a.choice) for a in manifest.artifacts if a.choice is not None]
    parts = ["## Artifacts", _table(header, rows), *limits, *choices, "\n".join(details)]
    return "\n\n".join(parts)


def _choice(path: str, choice: ChoiceRecord) -> str:
    """What a mixed artifact was to lose and to be, and what it loses on what examples."""
    goal = {"size": "as small as possible", "time": "as fast as possible"}[choice.goal]
    loss = points_lost({"loss": choice.loss, "loss_interval": choice.interval})
    texts = ""
    if choice.calibration is not None:
        texts = f", with {choice.calibration.examples} texts of {choice.calibration.data}"
    had_no_part, had_a_part = _looks(choice.looks)
    return (
        f"`{path}`: a search chose how each layer is computed and stored{texts}, to be {goal} with "
        f"a loss of at most {choice.budget * 100:g} points. On {choice.examples} examples of "
        f"{choice.data}{had_no_part}, the points lost (95 % interval) are {loss}. {had_a_part}"
        f"The search: [{choice.report}]({choice.report})."
    )


def _looks(looks: int | None) -> tuple[str, str]:
    """What follows from how many artifacts were judged, behind the examples and behind the loss."""
    if looks is None:  # an older manifest
        return " that were kept back to judge it by", ""
    if looks == 1:
        return " that had no part in the choice", ""
    return "", (
        f"These examples had a part in the choice: {looks} artifacts were judged on them before "
        "one was taken, and each further one makes it likelier that one is within the budget by "
        "luck. "
    )


def _checks(artifact: ArtifactRecord) -> str:
    checks = artifact.verification["checks"]
    return f"{sum(check['passed'] for check in checks)} of {len(checks)} passed"


def _accuracy(manifest: Manifest) -> str:
    measured = [
        (f"`{artifact.path}`", found)
        for artifact in manifest.artifacts
        for found in (artifact.accuracy, *artifact.other_accuracies)
        if found is not None
    ]
    if not measured:
        return ""
    header = [
        "file",
        "data",
        "accuracy (95 % interval)",
        "PyTorch fp32",
        "agreement",
        "macro F1",
        "points lost (95 % interval)",
        "McNemar p (right alone: PyTorch : file)",
        "divergence (mean, largest)",
    ]
    rows = []
    for name, found in measured:
        low, high = found["interval"]
        rows.append(
            [
                name,
                f"{found['data']}, {found['examples']} examples",
                f"{found['accuracy']:.2%} ({low:.2%} to {high:.2%})",
                f"{found['reference_accuracy']:.2%}",
                f"{found['agreement']:.2%}",
                percent(found.get("macro_f1")),
                points_lost(found),
                mcnemar_result(found),
                divergences(found),
            ]
        )
    majorities = {found["data"]: found["majority"] for _, found in measured}
    frequent = ", ".join(f"{share:.2%} on {data}" for data, share in majorities.items())
    note = (
        f"Always answering the most frequent label scores {frequent}. Agreement: share of the "
        "examples with the same answer as PyTorch in fp32. Points lost: accuracy of PyTorch minus "
        "the file's. Divergence: Kullback-Leibler, of the file's probabilities from PyTorch's, in "
        "nats."
    )
    parts = ["## Accuracy", _table(header, rows), note, *_chosen_by(manifest), *_classes(manifest)]
    return "\n\n".join(parts)


def _chosen_by(manifest: Manifest) -> list[str]:
    """Accuracy on data that decided what the file is says less than accuracy on other data."""
    return [
        f"A part of the examples of {artifact.choice.data} decided what `{artifact.path}` is: its "
        f"row on all of them flatters it. What it loses on {artifact.choice.examples} others is "
        "said under Artifacts."
        for artifact in manifest.artifacts
        if artifact.choice is not None
        for found in (artifact.accuracy, *artifact.other_accuracies)
        if found is not None and found["data_sha256"] == artifact.choice.data_sha256
    ]


def _classes(manifest: Manifest) -> list[str]:
    """The labels, as each file answers them; older manifests do not have them."""
    found = {a.path: a.accuracy for a in manifest.artifacts if a.accuracy is not None}
    rows = []
    for path, accuracy in found.items():
        for index, row in enumerate(class_rows(accuracy)):
            rows.append(["" if index else f"`{path}`", *row])
    if not rows:
        return []
    note = classes_note(tuple(found.values()))
    return [_table(["file", *CLASSES_HEADER], rows), *([note] if note else [])]


def _provenance(manifest: Manifest) -> str:
    model = manifest.model
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    made = [a.command for a in manifest.artifacts if a.command] or [manifest.command]
    commands = ", ".join(f"`{' '.join(command)}`" for command in dict.fromkeys(made))
    return f"""## Provenance

Made from `{model.source}` (hash `{model.source_hash[:16]}`) by {commands}
with {versions}."""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
