"""CoreML, for iPhones, iPads and Macs: ``.mlpackage`` folders.

Flavours are forms (``exporter.targets.coreml.form``): layout, lengths of texts, and whether the
package names the class. Packages do not run on this machine: the interpreter of this package
(``exporter.targets.coreml.interpreter``) executes what is on disk.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from exporter.errors import REBUILD, UserError
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.quantization.schemes import find_scheme, summary
from exporter.targets.base import (
    ArtifactSpec,
    Coverage,
    StoredTensor,
    Target,
    TensorSpec,
    code_hash,
)
from exporter.targets.coreml import form as forms
from exporter.targets.coreml import interface, stored
from exporter.targets.coreml.calibration import measured_ranges
from exporter.targets.coreml.interpreter import open_package
from exporter.targets.coreml.lower import lower
from exporter.targets.coreml.proof import say
from exporter.targets.coreml.replay import SCRIPTS, golden_cases, golden_path, write_golden
from exporter.targets.coreml.session import CoremlSession, is_ranged, lengths

#: The scheme of a precision, where it has another name.
_SCHEMES = {"fp16": "fp16_compute", "int8": "int8_weights", "int4": "int4_weights"}
_PRECISIONS = ("fp32", "fp16", "int8", "int4", "palettized6", "palettized4", "w8a8")
_USUAL_PRECISIONS = ("fp16", "int8")
_TOOL = "com.github.apple."
_MASKS = "attention_mask: 1 token, 0 padding"
_PARITY = "measured_parity"
#: Of packages that take every length, one that is replayed on a Mac beside the longest.
_GOLDEN_LENGTH = 7


class CoremlTarget(Target):
    """See ``exporter.targets.base.Target``."""

    name = "coreml"
    suffix = ".mlpackage"
    precisions = _PRECISIONS
    flavours = forms.flavours()
    backends = ()
    offers = f"coreml has {', '.join(_PRECISIONS)}, each in all of its flavours"

    def artifacts(
        self, precisions: tuple[str, ...], flavours: tuple[str, ...], backends: tuple[str, ...] = ()
    ) -> tuple[ArtifactSpec, ...]:
        """``coreml/model.mlpackage`` and its variants."""
        del backends
        return tuple(
            ArtifactSpec(self.name, precision, flavour, _path(precision, flavour))
            for flavour in flavours
            if flavour in self.flavours
            for precision in precisions or _USUAL_PRECISIONS
            if precision in _PRECISIONS
        )

    def scheme(self, precision: str) -> str:
        return _SCHEMES.get(precision, precision)

    def takes_lengths(self, flavour: str) -> bool:
        return flavour in self.flavours

    def check(self, spec: ArtifactSpec, model: SourceModel) -> None:
        """Lengths that are asked for have to be those of the flavour, and within the model's."""
        forms.form(spec.flavour, model.task, spec.lengths).takes(model.config)

    def not_run(self, spec: ArtifactSpec) -> str:
        del spec
        return "not run on CoreML; this project's interpreter executed the package"

    def fingerprint(self) -> str:
        return code_hash(version("coremltools"), Path(__file__).parent)

    def stored_model(self, model: SourceModel, precision: str) -> SourceModel:
        return find_scheme(self.scheme(precision)).round_weights(model)

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        shape = forms.form(spec.flavour, model.task, spec.lengths)
        scheme = find_scheme(self.scheme(spec.precision))
        config = model.config
        said = {
            **metadata,
            "task": model.task,
            "labels": json.dumps(model.labels, ensure_ascii=False),
            "max_positions": str(config.max_positions),
            "vocab_size": str(config.vocab_size),
            "token_types": str(config.token_types),
            "pad_token_id": str(config.pad_token_id),
            "mask_convention": _MASKS,
            "layout": shape.layout,
            "lengths": json.dumps([shape.lengths, *shape.takes(config)]),
            "deployment_target": shape.deployment(spec.precision, config),
            "recipe": summary(scheme.name),
        }
        if scheme.static_activations:
            model = measured_ranges(model, shape)
        lower(model, spec.precision, scheme, shape, said, path)
        CoremlSession(path)  # a package that does not load is never handed on

    def open(self, path: Path, *, threads: int = 1, taps: bool = False) -> CoremlSession:
        """``threads`` has no effect: the products are numpy's."""
        del threads
        return CoremlSession(path, taps)

    def signature(self, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        return interface.signature(open_package(path))

    def declared(self, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        return interface.declared(open_package(path))

    def facts(self, path: Path) -> Mapping[str, str]:
        return interface.facts(open_package(path))

    def metadata(self, path: Path) -> dict[str, str]:
        said = open_package(path).description.user_defined
        return {key: value for key, value in said.items() if not key.startswith(_TOOL)}

    def lengths(self, path: Path) -> tuple[int, ...]:
        package = open_package(path)
        return () if is_ranged(package) else lengths(package, path)

    def limit(self, path: Path) -> int:
        return lengths(open_package(path), path)[-1]

    def structure(self, path: Path) -> str:
        return stored.structure(open_package(path))

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        del config, task  # the names in the package say everything
        return stored.stored_weights(open_package(path))

    def activation_ranges(self, path: Path) -> Mapping[str, float]:
        return stored.activation_ranges(open_package(path))

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        package = open_package(path)
        return stored.coverage(package, precision, self.scheme(precision), config, task, labels)

    def files(self, path: Path) -> tuple[Path, ...]:
        found = (file for file in path.rglob("*") if not file.name.startswith("."))
        inside = sorted(file for file in found if file.is_file())
        golden = golden_path(path)
        return (*inside, golden) if golden.is_file() else tuple(inside)

    def finish(self, path: Path, model: SourceModel, measured: Mapping[str, str]) -> None:
        """Write what was measured into the package, and golden inputs and outputs beside it."""
        before = self.structure(path)
        say(path, {_PARITY: json.dumps(dict(measured), ensure_ascii=False, sort_keys=True)})
        if self.structure(path) != before:
            raise UserError(f"{path} changed as its measurements were written.", REBUILD)
        session = CoremlSession(path)
        limit = self.limit(path)
        taken = self.lengths(path) or (min(_GOLDEN_LENGTH, limit), limit)
        cases = golden_cases(model.config, tuple(sorted({*taken[:2], *taken[-2:]})))
        write_golden(path, cases, session.run, golden_path(path))

    def shared_files(self) -> Mapping[str, bytes]:
        return {f"{self.name}/{name}": content for name, content in SCRIPTS.items()}


def _path(precision: str, flavour: str) -> str:
    parts = ["model"]
    parts += [] if flavour == forms.USUAL else [flavour]
    parts += [] if precision == "fp32" else [precision]
    return f"coreml/{'_'.join(parts)}.mlpackage"


TARGET = CoremlTarget()
