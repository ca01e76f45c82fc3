"""Running one text through an artifact of a bundle, and saying what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from exporter.bundle_folder import artifact_path
from exporter.errors import UserError
from exporter.filesystem import explained_os_errors
from exporter.manifest import ArtifactRecord, Manifest, read_manifest
from exporter.targets.base import Array, find_target
from exporter.tokenizer import encode_batch, load_tokenizer

_TOP = 5
_MASK = "[MASK]"


@dataclass(frozen=True)
class Prediction:
    """The answer of ``artifact`` to a text; ``answer`` has the fields that fit the task."""

    artifact: str
    task: str
    tokens: int
    answer: Mapping[str, Any]


def predict(
    bundle: Path, text: str, text_pair: str | None = None, *, artifact: str | None = None
) -> Prediction:
    """Run ``text`` (with ``text_pair``: a pair) through an artifact, the bundle's first by default.

    The answer holds, by task: ``labels`` with probabilities in falling order
    (sequence-classification); ``tokens`` with their label and its probability
    (token-classification); ``text``, ``start``, ``end`` in characters of the context and ``score``
    (question-answering: the text is the question, the pair its context); for every ``[MASK]`` the
    likeliest pieces (masked-lm); ``norm`` and ``first_values`` of the mean over the tokens
    (feature-extraction).

    Raises UserError for texts longer than the model takes, a missing pair or ``[MASK]``, an
    unknown or changed artifact.
    """
    manifest = read_manifest(bundle)
    record = find_artifact(manifest, artifact)
    task = manifest.model.task
    if task == "question-answering" and text_pair is None:
        raise UserError(
            "Question answering needs a question and its context.",
            "Give the question with --text and the context with --text-pair.",
        )
    tokenizer = load_tokenizer(read_tokenizer_files(bundle, manifest))
    pairs = None if text_pair is None else [text_pair]
    inputs = encode_batch(tokenizer, [text], pairs, manifest.model.max_length, truncate=False)
    session = find_target(record.target).open(artifact_path(bundle, record))
    outputs = {name: values[0] for name, values in session.run(inputs).items()}
    answer = _ANSWERS[task](
        _Asked(tokenizer, inputs["input_ids"][0], text, text_pair, manifest.labels or ()), outputs
    )
    return Prediction(record.path, task, inputs["input_ids"].shape[1], answer)


def find_artifact(manifest: Manifest, path: str | None) -> ArtifactRecord:
    """The artifact at ``path``, the first one for None; UserError when there is none."""
    known = ", ".join(artifact.path for artifact in manifest.artifacts)
    if not known:
        raise UserError("The bundle holds no artifact.", "Run the build again.")
    found = manifest.artifacts[0] if path is None else manifest.artifact(path)
    if found is None:
        raise UserError(f"The bundle has no artifact '{path}'.", f"It has: {known}.")
    return found


def read_tokenizer_files(bundle: Path, manifest: Manifest) -> dict[str, bytes]:
    """The bundle's tokenizer files by name. Raises UserError when one is missing."""
    files = {}
    for name in manifest.tokenizer.files:
        with explained_os_errors(bundle / name):
            files[name] = (bundle / name).read_bytes()
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
