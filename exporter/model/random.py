"""Deterministic random weights: a freshly initialized model, and a twin on which errors show.

Every tensor has its own generator, seeded from the seed and the tensor's name, so that a tensor
does not depend on the task or on the number of layers.
"""

import hashlib
import math
from collections.abc import Callable

import torch

from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes

#: Standard deviation of transformers' initialization (``initializer_range`` of BertConfig).
INITIALIZER_RANGE = 0.02

#: Root mean square of the embeddings and of the hidden states between the layers of the
#: sensitised weights. Small on purpose: LayerNorm's relative error from a wrong epsilon is
#: epsilon / (2 * variance), so at variance 0.05 ** 2 an epsilon of 1e-5 instead of 1e-12
#: changes the result by 2e-3, against 5e-6 at variance 1.
SENSITISED_SCALE = 0.05


def seeded_weights(
    config: EncoderConfig, task: Task, label_count: int, seed: int
) -> dict[str, torch.Tensor]:
    """Weights like those of an untrained model of transformers.

    Normal with standard deviation 0.02, LayerNorm gains 1, all biases 0; the padding token's
    embedding is 0. They stand in for a trained model where only speed and size matter.
    """

    def fill(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        if name.endswith(".bias"):
            return torch.zeros(shape)
        if name.endswith("norm.weight"):
            return torch.ones(shape)
        tensor = torch.randn(shape, generator=generator) * INITIALIZER_RANGE
        if name == "embeddings.word.weight":
            tensor[config.pad_token_id] = 0
        return tensor

    return _filled(config, task, label_count, seed, fill)


def sensitised_weights(
    config: EncoderConfig, task: Task, label_count: int, seed: int
) -> dict[str, torch.Tensor]:
    """Weights on which every part of the computation shows in the outputs.

    On weights like ``seeded_weights`` attention is uniform, activations stay where they are
    linear, and LayerNorm gains and biases do nothing, so an exporter may get them wrong unseen.
    Here attention scores have a standard deviation of 0.8 to 1.5 within a row (the largest
    probability is 4 to 8 times the mean), the inputs of the activation lie in its curved range
    (mean -1.2, standard deviation 1.3), every gain and bias is random, and hidden states are small
    where epsilon matters (``SENSITISED_SCALE``); only the last LayerNorm brings them to about 1.
    All values fit in fp16.

    Tokens stay different through 12 layers (half of the variance of the hidden states is between
    tokens). Plain large weights do not do that: what all tokens share (biases, the positive mean
    of the activation, averages over tokens) grows with depth until all tokens are equal and
    attention is uniform again. Against it the attention term is small beside the residual, and the
    activation's inputs are mostly negative. Rounding is not blown up: a relative error of the
    embeddings grows 2-fold through 12 layers of 768 channels.

    One parameter never shows, in any model: the bias of the key. It adds the same amount to all
    scores of a query, and softmax does not see that. Whoever verifies has to compare it directly.
    """
    scale = SENSITISED_SCALE
    last_norm = f"layers.{config.layers - 1}.feed_forward.norm"
    # Gain of a weight matrix over 1 / sqrt(inputs), mean and spread of its bias. Inside the layers
    # the gain also undoes the small scale of the hidden states at a block's entry.
    linear = {
        "attention.query": (1.2 / scale, 0.0, 0.3),
        "attention.key": (1.2 / scale, 0.0, 0.3),
        "attention.value": (1.0, 0.0, 0.15 * scale),
        "attention.output": (0.3, 0.0, 0.15 * scale),
        "feed_forward.intermediate": (1.2 / scale, -1.2, 0.3),
        "feed_forward.output": (1.5 * scale, 0.0, 0.15 * scale),
        "head.pooler": (0.8, 0.0, 0.4),
        "head.classifier": (1.0, 0.0, 0.5),
        # near the minimum of the GELU, so that the head's LayerNorm sees a small variance too
        "head.transform": (0.6, -1.2, 0.3),
        "head.decoder": (1.0, 0.0, 0.5),
    }

    def fill(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        module, _, parameter = name.rpartition(".")
        noise = torch.randn(shape, generator=generator)
        if module.startswith("embeddings.") and module != "embeddings.norm":
            return noise * scale / math.sqrt(3)  # the sum of three embeddings has rms ``scale``
        if module.endswith("norm"):
            size = 1.0 if module in (last_norm, "head.norm") else scale
            if parameter == "weight":
                return (torch.rand(shape, generator=generator) + 0.5) * size
            return noise * 0.15 * size
        gain, mean, spread = linear[".".join(module.split(".")[-2:])]
        return mean + noise * spread if parameter == "bias" else noise * gain / math.sqrt(shape[1])

    return _filled(config, task, label_count, seed, fill)


def _filled(
    config: EncoderConfig,
    task: Task,
    label_count: int,
    seed: int,
    fill: Callable[[str, tuple[int, ...], torch.Generator], torch.Tensor],
) -> dict[str, torch.Tensor]:
    weights = {}
    for name, shape in weight_shapes(config, task, label_count).items():
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        weights[name] = fill(name, shape, generator)
    return weights
