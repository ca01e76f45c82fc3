"""What is quantized in a .pte file, where every operator runs, and what breaks a promise."""

from collections import Counter
from collections.abc import Iterator, Sequence

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.kept import KEPT
from exporter.quantization.mix import METHODS, MIXED, TABLE_METHODS, Mix, is_table, read_mix
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Coverage
from exporter.targets.executorch.backends.xnnpack.smoothing import (
    MULTIPLY,
    read_smoothing,
    smoothed_inputs,
    vector,
)
from exporter.targets.executorch.backends.xnnpack.stored import (
    FULLY_CONNECTED,
    LOOKUPS,
    NORM,
    computing,
    method_weights,
)
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.precisions import check, scheme_of, uniform
from exporter.targets.executorch.program import Argument, DelegateCall, KernelCall, Method, Program
from exporter.targets.executorch.structure import operators

_TYPES = {32: "float32", 8: "int8", 4: "int4"}

#: Operators that may run outside the delegate, and why.
OUTSIDE = {
    NORM: "XNNPACK has no LayerNorm, and one made of its operators takes as long",
    LOOKUPS[0]: "XNNPACK has no lookup",
    LOOKUPS[1]: "XNNPACK has no lookup",
    LOOKUPS[2]: "XNNPACK has no lookup",
    "aten::slice_copy.Tensor_out": "XNNPACK takes no slice whose length is dynamic",
    "aten::select_copy.int_out": "takes the output apart: the first token's row, or start and end",
    "aten::alias_copy.out": "the numbers of the positions, where a method has all of them",
    "aten::view_copy.out": "changes the shape only",
    "aten::unsqueeze_copy.out": "changes the shape only",
    "aten::_to_copy.out": "makes fp32 of the mask and of the 1 that it is subtracted from",
    "aten::sym_size.int": "a number: the text's length",
    "executorch_prim::sub.Scalar": "a number made of the text's length",
    "executorch_prim::mul.Scalar": "a number made of the text's length",
}


def coverage(
    program: Program, precision: str, config: EncoderConfig, task: Task, labels: int
) -> Coverage:
    """Stored types, where every operator runs, and where the promise of ``precision`` is broken."""
    expected = weight_shapes(config, task, labels)
    widths: dict[str, set[int]] = {}
    kept: dict[str, str] = {}
    mix, problem = _mix(program, precision, config, task)
    violations = [problem] if problem else []
    violations += read_smoothing(program).problems
    for method in computing(program):
        for part in method_weights(program, method, config, task):
            widths.setdefault(part.name, set()).add(part.bits or 64)
            if part.bits < 32 and not part.input_quantized:
                violations.append(f"{part.name} is int{part.bits}, but its input is fp32")
        violations += _unknown_products(program, method)
    for name, found in widths.items():
        if name not in expected:
            violations.append(f"{name} is no weight of the model")
            continue
        promised, reason = _promise(name, expected[name], precision, mix)
        if max(found) != promised:
            violations.append(
                f"{name} is stored with {max(found)} bits, {precision} promises {promised}"
            )
        elif reason:
            kept[name] = reason
    counts = operators(program)
    for name in sorted({name for method in counts.values() for name in method.undelegated}):
        if name not in OUTSIDE:
            violations.append(f"{name} runs outside the delegate")
    return Coverage(
        weights={name: _TYPES.get(max(bits), "other") for name, bits in sorted(widths.items())},
        operators=_operator_counts(program),
        kept=kept,
        violations=tuple(violations),
        outside={
            name: OUTSIDE[name]
            for name in sorted({n for method in counts.values() for n in method.undelegated})
            if name in OUTSIDE
        },
    )


def _operator_counts(program: Program) -> dict[str, int]:
    """Over all methods; what the delegate runs under "xnnpack." and its kind."""
    total: Counter[str] = Counter()
    for counts in operators(program).values():
        total.update({f"xnnpack.{kind}": number for kind, number in counts.delegated.items()})
        total.update(counts.undelegated)
    return dict(sorted(total.items()))


def _mix(program: Program, precision: str, config: EncoderConfig, task: Task) -> tuple[Mix, str]:
    """The mix that ``precision`` promises, or the file itself; and what is wrong about that one."""
    if precision != MIXED:
        return uniform(precision, config, task), ""
    try:
        mix, _ = read_mix(str(program.constants().get("mix")))
        check(mix, config, task)
        return mix, ""
    except (ValueError, UserError) as error:
        return uniform("fp32", config, task), f"the file does not say its mix: {error}"


def _promise(name: str, shape: Sequence[int], precision: str, mix: Mix) -> tuple[int, str]:
    """The bits a weight is to be stored with, and why where these are more than the scheme's."""
    least = find_scheme(scheme_of(precision)).weight_bits
    if least == 32:
        return 32, ""
    if len(shape) == 1:
        return 32, "a vector (bias or LayerNorm): a thousandth of the size"
    if name in KEPT:
        return 32, KEPT[name]
    layer = name.removesuffix(".weight")
    table, method = is_table(layer), mix.methods[layer]
    bits = TABLE_METHODS[method] if table else METHODS[method].bits
    if bits == least:
        return bits, ""
    if precision == MIXED:
        return bits, f"chosen: {method}"
    return bits, "an embedding table" if table else "its rows are no whole blocks of 32 inputs"


def _unknown_products(program: Program, method: Method) -> Iterator[str]:
    """Operators with constant matrices that the audit would not see."""
    smoothing = {(found.call, found.id) for found in smoothed_inputs(program, method)}
    for index, call in enumerate(method.calls):
        if isinstance(call, KernelCall):
            if call.operator not in (NORM, *LOOKUPS) and any(map(_is_matrix, call.arguments)):
                yield f"{call.operator} reads a constant that the audit does not see"
            continue
        if not isinstance(call, DelegateCall):
            continue
        if call.graph is None:
            yield f"a part runs on {call.backend}"
            continue
        known = {id for place, id in smoothing if place == index}
        handed = {call.graph.values[id].external_id for id in known}
        for position, argument in enumerate(call.arguments):
            if position not in handed and _is_matrix(argument):
                yield "the delegate is handed a constant that is no linear layer's"
        for node in call.graph.nodes:
            if node.kind == FULLY_CONNECTED:
                continue
            for field, id in node.fields.items():
                if not field.endswith("_id") or id not in call.graph.values:
                    continue
                smoothes = node.kind == MULTIPLY and id in known
                if not smoothes and vector(call, int(str(id))) is not None:
                    yield f"{node.kind} reads a constant that is no linear layer's"


def _is_matrix(argument: Argument) -> bool:
    """Not a number, and no indices: those count as part of the structure."""
    if isinstance(argument, tuple):
        return any(map(_is_matrix, argument))
    constant = argument if isinstance(argument, ConstantReference) else None
    return constant is not None and constant.size > 1 and constant.dtype != "int64"
