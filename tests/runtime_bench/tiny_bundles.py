"""Bundles with tiny models, as folders on disk."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

HIDDEN, VOCABULARY, LABELS = 16, 50, 3


def tiny_model(weight_scale: float = 1.0, seed: int = 0) -> bytes:
    """logits = mean over tokens of (embedding * mask) @ classifier."""
    generator = np.random.default_rng(seed)
    embedding = generator.standard_normal((VOCABULARY, HIDDEN), dtype=np.float32) * weight_scale
    classifier = generator.standard_normal((HIDDEN, LABELS), dtype=np.float32)
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["embedded", "column"], ["masked"]),
        helper.make_node("ReduceMean", ["masked", "tokens"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "classifier"], ["logits"]),
    ]
    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])],
        [
            numpy_helper.from_array(embedding, "embedding"),
            numpy_helper.from_array(classifier, "classifier"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "tokens"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def write_bundle(
    folder: Path,
    *,
    family: str = "squeezebert",
    recipe: str = "squeezebert-export",
    source: str = "random:tiny",
    artifacts: Sequence[tuple[str, str, str]] = (("onnx/model.onnx", "fp32", "optimized"),),
    contents: Mapping[str, bytes] | None = None,
    max_positions: int = 64,
    accuracy: Mapping[str, Any] | None = None,
) -> Path:
    """A bundle; ``artifacts`` are (path, precision, flavour), ``contents`` overrides files."""
    items = []
    for path, precision, flavour in artifacts:
        content = (contents or {}).get(path, tiny_model())
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        stored = {"path": path, "bytes": len(content), "sha256": digest}
        items.append(
            {
                **stored,
                "target": path.split("/")[0],
                "precision": precision,
                "flavour": flavour,
                "files": [stored],
                "fingerprint": "f" * 64,
                "inputs": [
                    {"name": name, "dtype": "int64", "shape": ["batch", "sequence"]}
                    for name in ("input_ids", "attention_mask")
                ],
                "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", LABELS]}],
                "accuracy": accuracy,
            }
        )
    groups = 1 if family == "bert" else 4
    names = ("query", "key", "value", "post_attention", "intermediate", "output")
    document = {
        "schema": "squeezebert-bundle/1",
        "recipe": recipe,
        "labels": ["a", "b", "c"],
        "model": {
            "source": source,
            "source_hash": "0" * 64,
            "architecture": "Tiny",
            "family": family,
            "task": "sequence-classification",
            "trained": False,
            "vocab_size": VOCABULARY,
            "max_positions": max_positions,
            "layers": 2,
            "hidden_size": HIDDEN,
            "heads": 4,
            "intermediate_size": 32,
            "groups": dict.fromkeys(names, groups),
        },
        "artifacts": items,
    }
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
