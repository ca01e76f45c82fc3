"""Running one text through an artifact of a bundle, and saying what it answers."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from exporter.bundle_folder import artifact_path
from exporter.checkpoint import hash_files
from exporter.errors import REBUILD, UserError
from exporter.filesystem import explained_os_errors
from exporter.inspection import recognise
from exporter.manifest import ArtifactRecord, Manifest
from exporter.manifest_file import is_bundle, read_manifest
from exporter.targets.base import Array, RangedSession, Session, Target, find_target
from exporter.targets.coreml.interpreter import RangeReport
from exporter.tokenizer import TOKENIZER_FILES, complete_files, encode_batch, load_tokenizer

_TOP = 5
_MASK = "[MASK]"


@dataclass(frozen=True)
class Prediction:
    """The answer of ``artifact`` to a text: ``answer`` has the fields that fit the task, ``ranges``
    those of all values that were computed, where asked for.
    """

    artifact: str
    task: str
    tokens: int
    answer: Mapping[str, Any]
    ranges: RangeReport | None = None

    def as_dict(self) -> dict[str, Any]:
        """The document that ``predict --json`` prints."""
        ranges = {} if self.ranges is None else {"ranges": self.ranges.as_dict()}
        answer = {"artifact": self.artifact, "task": self.task, "tokens": self.tokens}
        return {**answer, "answer": dict(self.answer), **ranges}


@dataclass(frozen=True)
class _Artifact:
    """What is asked, and all that is needed to ask it."""

    name: str
    target: Target
    path: Path
    task: str
    labels: tuple[str, ...]
    max_length: int
    tokenizer_files: Mapping[str, bytes]


def predict(
    path: Path,
    text: str,
    text_pair: str | None = None,
    *,
    artifact: str | None = None,
    tokenizer: Path | None = None,
    ranges: bool = False,
) -> Prediction:
    """Run ``text`` (with ``text_pair``: a pair) through an artifact.

    ``path`` is a bundle (``artifact`` is one of its paths, the first by default), an artifact in a
    bundle, or one alone, with the folder of its ``tokenizer``. ``ranges`` asks for the range of
    every value on the way, which CoreML packages tell.

    The answer holds, by task: ``labels`` with probabilities in falling order
    (sequence-classification); ``tokens`` with their label and its probability
    (token-classification); ``text``, ``start``, ``end`` in characters of the context and ``score``
    (question-answering: the text is the question, the pair its context); for every ``[MASK]`` the
    likeliest pieces (masked-lm); ``norm`` and ``first_values`` of the mean over the tokens
    (feature-extraction).

    Raises UserError for texts longer than the model takes, a missing pair or ``[MASK]``, an
    unknown or changed artifact, an answer that is not finite, another tokenizer than the artifact
    was made with, and ranges of an artifact that tells none.
    """
    chosen = _find(path, artifact, tokenizer)
    if chosen.task == "question-answering" and text_pair is None:
        raise UserError(
            "Question answering needs a question and its context.",
            "Give the question with --text and the context with --text-pair.",
        )
    pieces = load_tokenizer(chosen.tokenizer_files)
    pairs = None if text_pair is None else [text_pair]
    inputs = encode_batch(pieces, [text], pairs, chosen.max_length, truncate=False)
    _require_room(inputs["input_ids"].shape[1], chosen)
    session = chosen.target.open(chosen.path)
    outputs = {name: values[0] for name, values in session.run(inputs).items()}
    report = _ranges(session, inputs, chosen.name) if ranges else None
    _require_finite(outputs, chosen.name, report)
    asked = _Asked(pieces, inputs["input_ids"][0], text, text_pair, chosen.labels)
    answer = _ANSWERS[chosen.task](asked, outputs)
    return Prediction(chosen.name, chosen.task, inputs["input_ids"].shape[1], answer, report)


def _require_room(tokens: int, chosen: _Artifact) -> None:
    """UserError where the model takes as many tokens and this artifact does not."""
    if tokens > (limit := chosen.target.limit(chosen.path)):
        raise UserError(
            f"The text has {tokens} tokens; {chosen.name} takes at most {limit}.",
            "Ask another artifact with --artifact, or build one for longer texts: see --lengths.",
        )


def _require_finite(outputs: Mapping[str, Array], name: str, report: RangeReport | None) -> None:
    """UserError, which names the operator where the ranges are known, for infinity and NaN."""
    if all(np.isfinite(values).all() for values in outputs.values()):
        return
    first = None if report is None else report.first_not_finite
    where = "" if first is None else f"; the first value that is not: {first.name}, {first.place}"
    raise UserError(
        f"{name} gives no finite answer to this text{where}.",
        "Build it in fp32: --precision fp32. (Of a CoreML package, --ranges says where.)",
    )


def _ranges(session: Session, inputs: Mapping[str, Array], name: str) -> RangeReport:
    if not isinstance(session, RangedSession):
        raise UserError(f"{name} does not tell its ranges.", "Only CoreML packages do.")
    return session.ranges(inputs)


def _find(path: Path, artifact: str | None, tokenizer: Path | None) -> _Artifact:
    folders = (path.resolve(), *path.resolve().parents)
    bundle = next(filter(is_bundle, folders), None)
    if tokenizer is not None and bundle == path.resolve():
        raise UserError(f"{path} is a bundle, which has its tokenizer.", "Leave out --tokenizer.")
    if path.exists() and (bundle is None or tokenizer is not None):
        return _alone(path, tokenizer)
    if bundle is None or not path.exists():
        bundle = path  # what is wrong with it, reading tells
    elif bundle != path.resolve():
        artifact = path.resolve().relative_to(bundle).as_posix()
    manifest = read_manifest(bundle)
    record = find_artifact(manifest, artifact)
    return _Artifact(
        name=record.path,
        target=find_target(record.target),
        path=artifact_path(bundle, record),
        task=manifest.model.task,
        labels=manifest.labels or (),
        max_length=manifest.model.max_length,
        tokenizer_files=read_tokenizer_files(bundle, manifest.tokenizer.files),
    )


def _alone(path: Path, tokenizer: Path | None) -> _Artifact:
    """The artifact at ``path`` by what it says of itself."""
    target = recognise(path)
    said = target.metadata(path)
    if tokenizer is None:
        raise UserError(
            f"{path} lies in no bundle, and brings no tokenizer.",
            "Name the folder of the model's tokenizer with --tokenizer.",
        )
    try:
        labels = tuple(json.loads(said["labels"]) or ())
        task, longest, wanted = said["task"], int(said["max_length"]), said["tokenizer_hash"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not say what it is: {error}.", REBUILD) from error
    names = [name for name in TOKENIZER_FILES if (tokenizer / name).is_file()]
    if not names:
        raise UserError(f"{tokenizer} has no tokenizer.", "It needs tokenizer.json or vocab.txt.")
    files = read_tokenizer_files(tokenizer, names)
    files = files if wanted == hash_files(files) else complete_files(files, sys.maxsize, longest)
    if wanted != hash_files(files):
        raise UserError(
            f"The tokenizer in {tokenizer} is not the one that {path} was made with.",
            "Name the folder of the checkpoint, or of the bundle.",
        )
    return _Artifact(str(path), target, path, task, labels, longest, files)


def find_artifact(manifest: Manifest, path: str | None) -> ArtifactRecord:
    """The artifact at ``path``, the first one for None; UserError when there is none."""
    known = ", ".join(artifact.path for artifact in manifest.artifacts)
    if not known:
        raise UserError("The bundle holds no artifact.", "Run the build again.")
    found = manifest.artifacts[0] if path is None else manifest.artifact(path)
    if found is None:
        raise UserError(f"The bundle has no artifact '{path}'.", f"It has: {known}.")
    return found


def read_tokenizer_files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The files ``names`` of ``folder``. Raises UserError when one is missing."""
    files = {}
    for name in names:
        with explained_os_errors(folder / name):
            files[name] = (folder / name).read_bytes()
    return files


@dataclass(frozen=True)
class _Asked:
    tokenizer: Tokenizer
    token_ids: Array
    text: str
    text_pair: str | None
    labels: tuple[str, ...]

    def piece(self, token_id: int) -> str:
        return self.tokenizer.id_to_token(int(token_id)) or f"id {token_id}"


def _label_probabilities(asked: _Asked, outputs: Mapping[str, Array]) -> dict[str, Any]:
    probabilities = _softmax(outputs["logits"])
    order = np.argsort(-probabilities, kind="stable")
    return {
        "labels": [
            {"label": asked.labels[i], "probability": float(probabilities[i])} for i in order
        ]
    }


def _token_labels(asked: _Asked, outputs: Mapping[str, Array]) -> dict[str, Any]:
    probabilities = _softmax(outputs["logits"])
    best = probabilities.argmax(axis=-1)
    return {
        "tokens": [
            {
                "token": asked.piece(token_id),
                "label": asked.labels[label],
                "probability": float(row[label]),
            }
            for token_id, label, row in zip(asked.token_ids, best, probabilities, strict=True)
        ]
    }


def _answer_span(asked: _Asked, outputs: Mapping[str, Array]) -> dict[str, Any]:
    """The likeliest span inside the context: P(start) P(end) with start <= end."""
    encoding = asked.tokenizer.encode(asked.text, asked.text_pair)
    inside = np.array([sequence == 1 for sequence in encoding.sequence_ids])
    if not inside.any():
        raise UserError("The context holds no token.", "Give a context with --text-pair.")
    start = _softmax(np.where(inside, outputs["start_logits"], -np.inf))
    end = _softmax(np.where(inside, outputs["end_logits"], -np.inf))
    scores = np.triu(np.outer(start, end))
    first, last = np.unravel_index(int(scores.argmax()), scores.shape)
    begin, finish = encoding.offsets[first][0], encoding.offsets[last][1]
    return {
        "text": (asked.text_pair or "")[begin:finish],
        "start": begin,
        "end": finish,
        "score": float(scores[first, last]),
    }


def _masked_pieces(asked: _Asked, outputs: Mapping[str, Array]) -> dict[str, Any]:
    mask = asked.tokenizer.token_to_id(_MASK)
    positions = np.flatnonzero(asked.token_ids == mask) if mask is not None else np.array([])
    if not len(positions):
        raise UserError(
            f"The text holds no {_MASK}.", f"Write {_MASK} where a word is to be found."
        )
    probabilities = _softmax(outputs["logits"][positions])
    return {
        "masks": [
            {
                "position": int(position),
                "pieces": [
                    {"piece": asked.piece(i), "probability": float(row[i])}
                    for i in np.argsort(-row, kind="stable")[:_TOP]
                ],
            }
            for position, row in zip(positions, probabilities, strict=True)
        ]
    }


def _embedding(_: _Asked, outputs: Mapping[str, Array]) -> dict[str, Any]:
    mean = outputs["last_hidden_state"].mean(axis=0)
    return {
        "size": len(mean),
        "norm": float(np.linalg.norm(mean)),
        "first_values": [float(value) for value in mean[:_TOP]],
    }


_ANSWERS: Mapping[str, Callable[[_Asked, Mapping[str, Array]], dict[str, Any]]] = {
    "sequence-classification": _label_probabilities,
    "token-classification": _token_labels,
    "question-answering": _answer_span,
    "masked-lm": _masked_pieces,
    "feature-extraction": _embedding,
}


def _softmax(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result
