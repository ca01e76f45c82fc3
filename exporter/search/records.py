"""What a search keeps in its journal, and under which keys: those of everything it depends on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch

from exporter.quantization.mix import Mix, read_mix
from exporter.quantization.rounding import Rounded
from exporter.search.candidates import Built, Candidate
from exporter.search.examples import SEED, Judgement
from exporter.search.found import Wish
from exporter.search.journal import Journal
from exporter.search.machine import machine_hash
from exporter.search.preparation import Extent, Row
from exporter.targets.base import ArtifactSpec, Target, code_hash

#: Code that decides what is measured, beside the rooms of the model and of quantization.
_MEASURING = (
    "examples", "levels", "network", "preparation", "products", "sensitivity", "timing", "workshop",
)  # fmt: skip
_VERIFYING = ("accuracy", "classification", "evaluation", "labelled_data", "paired_statistics")

#: Code that decides what is chosen, beside that.
_CHOOSING = ("candidates", "choice", "comparing", "confirming", "costs", "search", "stand_ins")


def search_key(
    source_hash: str, data_hash: str, count: int, rows: Sequence[Row], target: Target
) -> str:
    """Of everything that measurements depend on: model, data, calibration, target and code.

    ``count`` is the number of examples; ``rows`` are the calibration texts. The code is this
    package's, the target's (``Target.fingerprint``) and the versions of PyTorch, numpy and the
    tokenizers.
    """
    package = Path(__file__).parent.parent
    code = code_hash(
        f"{torch.__version__} {np.__version__} {tokenizers.__version__}",
        package / "model",
        package / "quantization",
        package / "tokenizer.py",
        *(package / "search" / f"{name}.py" for name in _MEASURING),
        *(package / "verification" / f"{name}.py" for name in _VERIFYING),
    )
    facts = [source_hash, data_hash, count, SEED, target.name, target.fingerprint(), code]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for row in rows:
        for name in sorted(row):
            digest.update(np.ascontiguousarray(row[name]).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Finished:
    """A choice that nothing but its time could have changed, and did not.

    ``candidates`` are those that were looked at, by name; ``extent`` is what was measured before.
    """

    chosen: str
    extent: Extent
    candidates: Mapping[str, Mapping[str, Any]]

    def restored(self, levels: Mapping[str, Rounded]) -> dict[str, Candidate] | None:
        """With their mixes, whose corrected weights are of ``levels``; None where one is not, or
        where its levels are others than those that were judged."""
        found = {}
        for name, known in self.candidates.items():
            mix, corrected = read_mix(known["mix"])
            if not levels.keys() >= set(corrected):
                return None
            chosen = {weight: levels[weight] for weight in corrected}
            mix = Mix(mix.methods, mix.smoothing, mix.bounds, chosen)
            if mix.sha256 != known["sha256"]:
                return None
            found[name] = Candidate(
                name,
                dict(known["methods"]),
                mix,
                float(known["milliseconds"]),
                float(known["bytes"]),
                float(known["divergence"]),
                _judgement(known["searched"]),
                _judgement(known["confirmed"]),
                None if known["built"] is None else Built.from_dict(known["built"]),
            )
        return found


class Records:
    """The records of one search: of ``key``, for artifacts like ``spec``, to a wish.

    What a mix does is known to all searches of the key; looks and the choice are those of one wish.
    """

    def __init__(self, journal: Journal, key: str, spec: ArtifactSpec, wish: Wish) -> None:
        self._journal, self._key = journal, key
        own = [Path(__file__).with_name(f"{name}.py") for name in _CHOOSING]
        goal = "size" if wish.smallest else "time"
        self._kind = f"{spec.flavour}/{spec.backend}"
        self._wish = f"{self._kind}/{goal}/{wish.budget!r}"
        self._choice = f"{key}/finished/{self._wish}/{machine_hash()}/{code_hash('', *own)}"

    def searched(self, mix: Mix) -> Judgement | None:
        """What a mix's reference does on the part to choose by."""
        return _judgement(self._journal.get(self._of(mix, "searched")))

    def keep_searched(self, mix: Mix, judgement: Judgement) -> None:
        """Keep what ``searched`` gives."""
        self._journal.put(self._of(mix, "searched"), asdict(judgement))

    def confirmed(self, mix: Mix) -> Judgement | None:
        """What a mix's artifact does on the part to judge by."""
        return _judgement(self._journal.get(self._of(mix, f"confirmed/{self._kind}")))

    def keep_confirmed(self, mix: Mix, judgement: Judgement) -> None:
        """Keep what ``confirmed`` gives."""
        self._journal.put(self._of(mix, f"confirmed/{self._kind}"), asdict(judgement))

    def look(self, mix: Mix) -> None:
        """The judgement of the mix's artifact decides now whether it is chosen."""
        key = self._of(mix, f"looked/{self._wish}")
        if self._journal.get(key) is None:
            self._journal.put(key, True)

    @property
    def looks(self) -> int:
        """Artifacts whose judgement has decided so, those of interrupted searches included."""
        return self._journal.count(f"{self._key}/looked/{self._wish}/")

    def finished(self) -> Finished | None:
        """The choice of an earlier search to the same wish, on this machine and with this code."""
        known = self._journal.get(self._choice)
        if known is None:
            return None
        return Finished(known["chosen"], Extent(*known["extent"]), known["candidates"])

    def finish(self, chosen: str, candidates: Mapping[str, Candidate], extent: Extent) -> None:
        """Keep what ``finished`` gives."""
        looked_at = {n: c for n, c in candidates.items() if c.searched or c.confirmed or c.built}
        documents = {
            name: known.as_dict() | {"mix": known.mix.text(), "sha256": known.mix.sha256}
            for name, known in looked_at.items()
        }
        found = {"chosen": chosen, "extent": [extent.smoothing, extent.every]}
        self._journal.put(self._choice, {**found, "candidates": documents})

    def _of(self, mix: Mix, what: str) -> str:
        # The hash covers corrected levels. They do not follow from key and text: a layer's levels
        # depend on what is smoothed before it, and that on how much the time was enough for.
        return f"{self._key}/{what}/{mix.sha256}"


def _judgement(found: Any) -> Judgement | None:
    return None if found is None else Judgement.from_dict(found)
