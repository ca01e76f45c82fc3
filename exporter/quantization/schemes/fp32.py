"""fp32: nothing is rounded."""

from exporter.model.config import SourceModel
from exporter.quantization.reference import Reference, plain_reference
from exporter.quantization.schemes import Scheme


def _reference(model: SourceModel) -> Reference:
    return plain_reference(model)


SCHEME = Scheme("fp32", 32, lambda model: model, _reference)
