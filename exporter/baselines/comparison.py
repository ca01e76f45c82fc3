"""How far a stock artifact is from PyTorch: measured and written down, without a tolerance."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from exporter.baselines.base import KeptWeights
from exporter.checkpoint import Checkpoint
from exporter.model.reference import reference_outputs
from exporter.targets.base import INPUTS, OUTPUTS, Array
from exporter.verification.report import Check

_SEED = 0
_LENGTHS = (1, 8, 33, 128)


def compare_stock(
    module: Any,
    run: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    checkpoint: Checkpoint,
    kept: KeptWeights | None = None,
) -> Check:
    """Run the artifact beside transformers' model; the check says how far apart they are.

    ``run`` gives the artifact's outputs by name, from int64 [B, T] inputs by name. Inputs are
    random token ids at several lengths, the second row half padding. There is no tolerance: a stock
    artifact fails only when it cannot run or gives values that are not finite. ``cosine`` is the
    smallest between the outputs centred by row (over all values for outputs with one value a
    token): plain cosines are near one even for wrong logits. ``kept`` is written down with it.
    """
    config, task = checkpoint.model.config, checkpoint.model.task
    generator = torch.Generator().manual_seed(_SEED)
    difference, cosine, finite = 0.0, 1.0, True
    for length in sorted({min(length, config.max_positions) for length in _LENGTHS}):
        ids = torch.randint(0, config.vocab_size, (2, length), generator=generator)
        mask = torch.ones_like(ids)
        mask[1, (length + 1) // 2 :] = 0
        types = torch.zeros_like(ids)
        expected, _ = reference_outputs(module, ids, mask, types)
        feed = {
            name: tensor.numpy() for name, tensor in zip(INPUTS, (ids, mask, types), strict=True)
        }
        outputs = run(feed)
        for name in OUTPUTS[task]:  # BERT without a head has its pooler as a second output
            found, wanted = outputs[name], expected[name].numpy()
            finite = finite and bool(np.isfinite(found).all())
            difference = max(difference, float(np.abs(found - wanted).max()))
            cosine = min(cosine, _centred_cosine(found, wanted))
    detail = (
        f"runs; largest difference to PyTorch {difference:.2e}, smallest centred cosine "
        f"{cosine:.5f} (no tolerance: a stock artifact promises nothing)"
        if finite
        else "gives values that are not finite"
    )
    measured = {"max_abs_diff": difference, "centred_cosine": cosine}
    if kept is not None and finite:
        detail += f"; {kept.count} of {kept.total} weights stayed fp32"
        measured |= {"fp32_weights": kept.count, "weights": kept.total}
    return Check(name="outputs", passed=finite, detail=detail, measured=measured)


def _centred_cosine(found: Array, wanted: Array) -> float:
    axis = -1 if found.ndim == 3 or found.shape[-1] > 2 else None
    found, wanted = (values - values.mean(axis=axis, keepdims=True) for values in (found, wanted))
    scale = np.linalg.norm(found) * np.linalg.norm(wanted)
    return float((found * wanted).sum() / scale) if scale > 0 else math.nan
