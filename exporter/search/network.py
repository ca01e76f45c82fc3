"""A classifier in PyTorch, computed by a mix: part by part, and fast enough for a search."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from exporter.model.config import SourceModel
from exporter.model.encoder import EncoderModel
from exporter.model.layers import GroupedLinear
from exporter.quantization.activations import fake_quantize, replace_inputs
from exporter.quantization.mix import METHODS, Inputs, Mix, is_table, matrices, uniform_mix
from exporter.quantization.rounding import Rounded
from exporter.quantization.schemes.mixed import quantized_input, rounded, smoothed, tensor_parts
from exporter.search.examples import Examples, batches, padded
from exporter.search.products import QuantizedProducts
from exporter.targets.base import Array

#: Batches after which progress is told.
_PROGRESS_EVERY = 8

_NONE: Mapping[int, Inputs] = {}


class Network:
    """The model of a mix on padded batches, each example as if it ran by itself.

    It computes what ``mixed_reference`` does of one example: where a method takes the range of a
    tensor, this takes that of each example's tokens.
    """

    def __init__(
        self,
        model: SourceModel,
        stored: Mapping[str, Rounded],
        empty: EncoderModel,
        products: Mapping[int, Inputs] = _NONE,
    ) -> None:
        """``stored`` are the weights of ``model.mix`` that are not fp32, by weight name; ``empty``
        is a module of the model's shape, which is copied: initializing one takes 20 ms.
        ``products`` are the layers whose attention products are quantized, and how."""
        mix = model.mix
        if mix is None:
            raise ValueError("a network computes a mix, and the model has none")
        values = {name: torch.from_numpy(weight.values()) for name, weight in stored.items()}
        weights = {**smoothed(model).weights, **values}
        self._mix, self._config = mix, model.config
        self._module = copy.deepcopy(empty)
        self._module.load_state_dict(weights, strict=True, assign=True)
        self._module.eval().requires_grad_(False)
        self._valid = torch.ones(1, 1, 1)
        replace_inputs(self._module, self._quantized)
        for index, inputs in products.items():
            attention = self._module.get_submodule(f"layers.{index}.attention")
            attention.products = QuantizedProducts(inputs, lambda: self._valid)

    def logits(self, batch: Mapping[str, Array]) -> Array:
        """int64 [B, T] arrays by name -> [B, labels]."""
        return self.logits_from(batch, 0, self.embeddings(batch))

    def embeddings(self, batch: Mapping[str, Array]) -> torch.Tensor:
        """[B, T, H]: what layer 0 reads."""
        with torch.inference_mode():
            return self._module.embed(
                torch.from_numpy(batch["input_ids"]), torch.from_numpy(batch["token_type_ids"])
            )

    def inputs_of_layers(self, batch: Mapping[str, Array]) -> list[torch.Tensor]:
        """[B, T, H] for every layer, and last what the head reads ([B, 1, H])."""
        found = [self.embeddings(batch)]
        for index in range(self._config.layers):
            found.append(self._layer(batch, index, found[-1]))
        return found

    def logits_from(self, batch: Mapping[str, Array], layer: int, hidden: torch.Tensor) -> Array:
        """[B, labels] from what ``layer`` (all layers' number: the head) reads."""
        for index in range(layer, self._config.layers):
            hidden = self._layer(batch, index, hidden)
        with torch.inference_mode():
            logits: Array = self._module.head(hidden)["logits"].numpy()
        return logits

    def _layer(self, batch: Mapping[str, Array], index: int, hidden: torch.Tensor) -> torch.Tensor:
        mask = torch.from_numpy(batch["attention_mask"])
        self._valid = mask[:, :, None].float()
        with torch.inference_mode():
            bias = self._module.mask_bias(mask)
            last = index == self._config.layers - 1
            return self._module.layer(index, hidden, bias, first_only=last)

    def _quantized(self, name: str, layer: GroupedLinear, tensor: torch.Tensor) -> torch.Tensor:
        method = self._mix.method(name)
        if method.inputs == "float":
            return tensor
        factors = self._mix.factors(name)
        if factors is not None:
            tensor = tensor / torch.from_numpy(factors)
        if method.inputs != "tensor":
            return quantized_input(self._mix, self._config, name, layer.groups, tensor)
        if tensor.dim() == 3 and tensor.shape[1] == self._valid.shape[1]:
            # Every range includes 0, so that zeros add nothing to it, and nobody reads padding.
            tensor = tensor * self._valid
        parts = [
            fake_quantize(part.flatten(1), by_token=True).reshape(part.shape)
            for part in tensor.chunk(tensor_parts(self._config, name), dim=-1)
        ]
        return torch.cat(parts, dim=-1)


class Networks:
    """Networks of one model by many mixes; a weight is rounded once for each way to store it."""

    def __init__(self, model: SourceModel) -> None:
        """``model`` is the one whose weights artifacts store (``Target.stored_model``), unsmoothed.

        ValueError for a model that is no sequence classifier: others have no single label.
        """
        if model.task != "sequence-classification":
            raise ValueError(f"no sequence classifier: {model.task}")
        self.model = model
        with torch.device("meta"):
            self._empty = EncoderModel(model.config, model.task, len(model.labels or ()))
        self._known: dict[tuple[str, str, bytes], Rounded] = {}

    @property
    def fp32(self) -> Mix:
        """Every layer and table as it is."""
        return uniform_mix(self.model.config, self.model.task, "fp32", "fp32")

    def network(self, mix: Mix, products: Mapping[int, Inputs] = _NONE) -> Network:
        """Of ``mix``, its corrected weights included; ``products`` as in ``Network``."""
        model = replace(self.model, mix=mix)
        return Network(model, self.stored(mix), self._empty, products)

    def stored(self, mix: Mix) -> dict[str, Rounded]:
        """As ``rounded_weights`` gives them."""
        weights = smoothed(replace(self.model, mix=mix)).weights
        found: dict[str, Rounded] = {}
        for name in matrices(self.model.config, self.model.task):
            method = mix.methods[name]
            kind = method if is_table(name) else METHODS[method].weights
            if kind == "fp32":
                continue
            weight, factors = f"{name}.weight", None if is_table(name) else mix.factors(name)
            key = (weight, kind, b"" if factors is None else factors.tobytes())
            if weight not in mix.corrected and key not in self._known:
                fresh = rounded(mix, name, weights[weight].numpy())
                if fresh is not None:
                    self._known[key] = fresh
            found[weight] = mix.corrected.get(weight) or self._known[key]
        return found

    def logits(
        self, mix: Mix, examples: Examples, progress: Callable[[str], None] = lambda _: None
    ) -> Array:
        """[examples, labels] of ``mix``, in the order of ``examples``."""
        network = self.network(mix)
        found: list[Array | None] = [None] * len(examples)
        for number, chosen in enumerate(batches(examples)):
            if number % _PROGRESS_EVERY == 0:
                progress(f"{number * len(chosen)}/{len(examples)} examples")
            batch = padded([examples.rows[index] for index in chosen])
            for index, row in zip(chosen, network.logits(batch), strict=True):
                found[index] = row
        return np.stack([row for row in found if row is not None])
