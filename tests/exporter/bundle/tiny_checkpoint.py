"""A Hugging Face folder with a tiny model, for tests that need a whole checkpoint."""

import json
from pathlib import Path

from safetensors.torch import save_file

from exporter.model.config import EncoderConfig
from exporter.model.random import sensitised_weights
from exporter.model.weights import to_hugging_face

WORDS = ["red", "green", "blue", "cat", "dog", "bird", "runs", "sleeps", "eats", "now", "then"]
LABELS = ("low", "middle", "high")


def write_checkpoint(
    folder: Path,
    *,
    task="sequence-classification",
    labels=LABELS,
    family="squeezebert",
    seed=0,
    positions=16,
    layers=2,
    token_types=2,
):
    """A Hugging Face folder with a model of 32 channels; returns ``folder``."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    config = EncoderConfig.from_hugging_face(
        {
            "model_type": family,
            "vocab_size": len(pieces),
            "hidden_size": 32,
            "embedding_size": 32,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": positions,
            "type_vocab_size": token_types,
        }
    )
    weights = sensitised_weights(config, task, len(labels or ()), seed)
    folder.mkdir(parents=True, exist_ok=True)
    values = config.to_hugging_face(task, labels)
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    state = {n: w.contiguous().clone() for n, w in to_hugging_face(weights, config, task).items()}
    save_file(state, folder / "model.safetensors")
    return folder
