"""Running .pte files: inputs, batches, buckets, and everything that cannot be opened."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from executorch.devtools.etdump.serialize import deserialize_from_etdump_flatcc
from executorch.extension.pybindings import portable_lib
from small_models import LABELS, MAX_POSITIONS, VOCABULARY, make_batch, tensors
from small_programs import Programs, SmallProgram

from exporter.errors import UserError
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array
from exporter.targets.executorch import TARGET
from exporter.targets.executorch.lower import BUCKETS, buckets
from exporter.targets.executorch.native_log import NativeError, listen
from exporter.targets.executorch.program import read_program
from exporter.targets.executorch.session import ExecutorchSession, traced_bytes

pytestmark = pytest.mark.usefixtures("quick")

Change = Callable[[dict[str, Array]], dict[str, Array]]


def reference(program: SmallProgram, inputs: Mapping[str, Array]) -> dict[str, Array]:
    with torch.no_grad():
        outputs = find_scheme("fp32").reference(program.model).run(**tensors(inputs))
    return {name: value.numpy() for name, value in outputs.items()}


def assert_close(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def program(programs: Programs) -> SmallProgram:
    return programs("fp32")


@pytest.fixture(scope="module")
def by_token(programs: Programs) -> SmallProgram:
    """With buckets of 32 and of 40 tokens."""
    return programs("fp32", "buckets", task="token-classification")


def test_every_length_up_to_the_bound(program: SmallProgram) -> None:
    session = TARGET.open(program.path)
    for length in (1, 2, 17, MAX_POSITIONS):
        inputs = make_batch(1, length)
        assert_close(session.run(inputs), reference(program, inputs))


def test_a_batch_equals_its_rows_alone(program: SmallProgram) -> None:
    session, inputs = TARGET.open(program.path), make_batch(4, 11)
    found = session.run(inputs)["logits"]
    assert found.shape == (4, len(LABELS))
    for row in range(4):
        alone = {name: values[row : row + 1] for name, values in inputs.items()}
        np.testing.assert_array_equal(found[row : row + 1], session.run(alone)["logits"])


def put(name: str, value: Any) -> Change:
    return lambda inputs: {**inputs, name: value(inputs[name])}


def at_the_end(value: int) -> Callable[[Array], Array]:
    return lambda array: np.concatenate([array[:, :-1], np.full_like(array[:, :1], value)], axis=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("input_ids", lambda a: a.astype(np.int32)), r"'int32', \(2, 5\)"),
        (put("attention_mask", lambda a: a.astype(np.float32)), "'float32'"),
        (put("attention_mask", lambda a: a.astype(bool)), "'bool'"),
        (put("input_ids", lambda a: a.tolist()), "'list'"),
        (put("input_ids", at_the_end(VOCABULARY)), f"input_ids has values .* {VOCABULARY - 1}"),
        (put("input_ids", at_the_end(2**40)), f"input_ids has values .* {VOCABULARY - 1}"),
        (put("input_ids", at_the_end(-1)), "input_ids has values from"),
        (
            put("token_type_ids", at_the_end(2)),
            "token_type_ids has values from 0 to 2; allowed are 0 to 1",
        ),
        (put("attention_mask", at_the_end(2)), "other than 0 and 1"),
        (put("attention_mask", at_the_end(-1)), "other than 0 and 1"),
        (put("attention_mask", lambda a: a[:, :-1]), r"\(2, 4\)"),
        (lambda i: {name: a[:, :0] for name, a in i.items()}, r"\(2, 0\)"),
        (lambda i: {name: a[:0] for name, a in i.items()}, r"\(0, 5\)"),
        (lambda i: {name: a[0] for name, a in i.items()}, r"\(5,\)"),
        (lambda i: {n: a for n, a in i.items() if n != "token_type_ids"}, "Give input_ids"),
        (lambda i: {**i, "position_ids": i["input_ids"]}, "Give input_ids"),
        (lambda _: make_batch(1, MAX_POSITIONS + 1), f"41 tokens; .* {MAX_POSITIONS} positions"),
    ],
)
@pytest.mark.parametrize("flavour", ["optimized", "buckets"])
def test_inputs_that_it_does_not_take(
    change: Change, message: str, flavour: str, program: SmallProgram, by_token: SmallProgram
) -> None:
    """Ids outside the tables would end the process; and the session lives on."""
    found = {"optimized": program, "buckets": by_token}[flavour]
    session, inputs = TARGET.open(found.path), make_batch(2, 5)
    with pytest.raises(UserError, match=message):
        session.run(change(inputs))
    assert_close(session.run(inputs), reference(found, inputs))


def test_lengths_between_buckets_are_padded_and_cut(by_token: SmallProgram) -> None:
    """Also a row without any token: it attends to its own positions, not to the padding."""
    session = TARGET.open(by_token.path)
    for length in (1, 5, 31, 32, 33, MAX_POSITIONS):
        inputs = make_batch(3, length)
        assert not inputs["attention_mask"][2].any()
        found = session.run(inputs)
        assert found["logits"].shape == (3, length, len(LABELS))
        assert_close(found, reference(by_token, inputs))


def test_hidden_states_are_cut_too(by_token: SmallProgram) -> None:
    found = TARGET.open(by_token.path, taps=True).run(make_batch(2, 7))
    assert found["hidden.0"].shape == found["hidden.1"].shape == (2, 7, 32)


def test_an_output_without_tokens_is_not_cut(programs: Programs) -> None:
    """As many labels as the bucket has tokens."""
    program = programs("fp32", "buckets", family="bert", max_positions=len(LABELS))
    inputs = make_batch(2, 2)
    found = TARGET.open(program.path).run(inputs)
    assert found["logits"].shape == (2, len(LABELS))
    assert_close(found, reference(program, inputs))
    (output,) = TARGET.signature(program.path)[1]
    assert output.shape == (1, len(LABELS))


def test_buckets_end_at_the_position_table(program: SmallProgram) -> None:
    config = program.model.config
    for longest, expected in ((20, (20,)), (32, (32,)), (40, (32, 40)), (512, BUCKETS)):
        assert buckets(replace(config, max_positions=longest)) == expected
    assert buckets(replace(config, max_positions=1024)) == (*BUCKETS, 1024)


def test_methods_share_their_weights(programs: Programs) -> None:
    """Two methods take less than one and a half times the room of one, programs included."""
    sizes = {"hidden_size": 64, "intermediate_size": 256, "vocab_size": 2000, "family": "bert"}
    both, one = (programs("fp32", flavour, **sizes) for flavour in ("buckets", "optimized"))
    assert sum(name.startswith("forward") for name in read_program(both.path).methods) == 2
    assert both.path.stat().st_size < 1.1 * one.path.stat().st_size


def test_threads_are_those_asked_for(program: SmallProgram) -> None:
    inputs = make_batch(1, 9)
    running, outputs = {}, {}
    for threads in (1, 3):
        session = TARGET.open(program.path, threads=threads)
        outputs[threads] = session.run(inputs)["logits"]
        running[threads] = psutil.Process().num_threads()
    TARGET.open(program.path)
    assert running[3] - running[1] == 2  # the calling thread computes too
    np.testing.assert_allclose(outputs[1], outputs[3], rtol=0, atol=1e-6)


def renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert len(old) == len(new)
        assert old in content
        return content.replace(old, new)

    return change


#: What is wrong, and what a session says; the target, which reads the file first, may say more.
DAMAGE: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda content: content[: len(content) // 2], "it is cut off.*Build it again"),
    (lambda content: content[:-1], "it is cut off.*Build it again"),
    (lambda content: content[:8], "it is (cut off|no .pte file).*Build it again"),
    (lambda _: b"", "it is (cut off|empty).*Build it again"),
    (lambda _: b"hello world " * 100, "it is no .pte file.*Build it again"),
    (renamed(b"ET12", b"ET11"), "its format is '?ET11'?.*Build it again"),
    (
        renamed(b"XnnpackBackend", b"NowhereBackend"),
        "this installation has no backend NowhereBackend. .*requirements.lock",
    ),
    (
        renamed(b"aten::native_layer_norm", b"aten::native_layer_nork"),
        "this installation has no kernel for aten::native_layer_nork.out. .*requirements.lock",
    ),
    (renamed(b"XH00", b"XH99"), "another version of XNNPACK|no XNNPACK graph.*Build it again"),
    (renamed(b"output_names", b"output_namez"), "does not say what its inputs and outputs are"),
    (renamed(b"vocab_size", b"vocab_sizz"), "does not say what its inputs and outputs are"),
    (renamed(b'["logits"]', b'["logits",'), "does not say what its inputs and outputs are"),
    (renamed(b'["logits"]', b'"logitses"'), "does not say what its inputs and outputs are"),
    (renamed(b'["logits"]', b'["lo","t"]'), "something wrong about its inputs and outputs"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGE)
@pytest.mark.parametrize("opened", [ExecutorchSession, TARGET.open])
def test_files_that_do_not_open(
    change: Callable[[bytes], bytes],
    message: str,
    opened: Callable[[Path], Any],
    program: SmallProgram,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The cause is in the message, and the runtime's log not on the screen."""
    path = program.copy(tmp_path, change(program.path.read_bytes()))
    with pytest.raises(UserError, match=message):
        opened(path)
    assert capfd.readouterr() == ("", "")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pte", tmp_path):
        with pytest.raises(UserError, match="does not exist or is no file"):
            ExecutorchSession(path)
        with pytest.raises(UserError, match=r"No such file|Is a directory"):
            TARGET.open(path)


def test_a_file_that_does_not_name_its_backend(program: SmallProgram, tmp_path: Path) -> None:
    for name in (b"xnnpacx", b"../../x"):
        content = renamed(b"xnnpack", name)(program.path.read_bytes())
        with pytest.raises(UserError, match="does not say which backend"):
            TARGET.open(program.copy(tmp_path, content))


def test_a_list_of_buckets_with_a_gap_at_its_end(by_token: SmallProgram, tmp_path: Path) -> None:
    content = renamed(b"[32, 40]", b"[32, 32]")(by_token.path.read_bytes())
    with pytest.raises(UserError, match="something wrong about its inputs"):
        TARGET.open(by_token.copy(tmp_path, content))


def test_names_that_are_fewer_than_the_outputs(programs: Programs, tmp_path: Path) -> None:
    found = programs("fp32", task="question-answering", family="bert")
    change = renamed(b'["start_logits", "end_logits"]', b'["start_logits_end_logits___"]')
    path = found.copy(tmp_path, change(found.path.read_bytes()))
    with pytest.raises(UserError, match="something wrong about its inputs"):
        TARGET.open(path)
    with pytest.raises(UserError, match="does not name all"):
        TARGET.signature(path)


def test_ordinary_use_is_silent(
    program: SmallProgram, by_token: SmallProgram, capfd: pytest.CaptureFixture[str]
) -> None:
    for found in (program, by_token):
        for taps in (False, True):
            TARGET.open(found.path, threads=2, taps=taps).run(make_batch(2, 6))
    TARGET.open(program.path)
    assert capfd.readouterr() == ("", "")


def test_the_log_is_given_back_to_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    assert listen(lambda: 3) == 3
    with pytest.raises(NativeError, match="the moon is full") as caught:
        listen(lambda: exec('raise RuntimeError("the moon is full.")'))
    assert "Build it again" in caught.value.next_step
    with pytest.raises(NativeError, match="memory ran out"):
        listen(lambda: exec('raise RuntimeError("failed, error: 0x21")'))
    with pytest.raises(ZeroDivisionError):  # what is no message of the runtime passes
        listen(lambda: 1 // 0)
    portable_lib._unsafe_reset_threadpool(1)
    assert "threadpool" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("precision", "flavour", "changes"),
    [
        ("fp32", "optimized", {}),
        ("fp32", "buckets", {"task": "token-classification"}),
        ("int8", "optimized", {}),
        ("fp32", "optimized", {"task": "question-answering", "family": "bert"}),
    ],
)
def test_room_for_the_tracer_is_enough_and_no_waste(
    precision: str, flavour: str, changes: dict[str, Any], programs: Programs, tmp_path: Path
) -> None:
    """The runtime ends the process when the tracer runs out of room."""
    path = programs(precision, flavour, **changes).path
    program = read_program(path)
    lengths = {"forward": 13, "forward_32": 32, "forward_40": 40}
    for name, length in lengths.items():
        if name in program.methods:
            reserved = traced_bytes(program, name, length)
            used = tracer_use(path, name, length, tmp_path)
            assert used <= reserved < 1.2 * used


def tracer_use(path: Path, method: str, length: int, folder: Path) -> int:
    """Bytes up to the end of the last tensor that the tracer kept."""
    program = portable_lib._load_program(str(path), enable_etdump=True, debug_buffer_size=10**7)
    loaded = program.load_method(method)
    loaded.call(tuple(torch.ones(1, length, dtype=torch.int64) for _ in range(3)))
    program.write_etdump_result_to_file(str(folder / "trace"), str(folder / "tensors"))
    trace = deserialize_from_etdump_flatcc((folder / "trace").read_bytes())
    events = [event.debug_event for run in trace.run_data for event in run.events]
    kept = [event.debug_entry.tensor for event in events if event is not None]
    assert len(kept) > 10
    widths = {"LONG": 8, "FLOAT": 4}
    return max(
        int(tensor.offset) + int(np.prod(tensor.sizes)) * widths[tensor.scalar_type.name]
        for tensor in kept
        if tensor is not None
    )


def test_constant_methods_carry_the_metadata(program: SmallProgram) -> None:
    metadata = TARGET.metadata(program.path)
    assert json.loads(metadata["labels"]) == list(LABELS)
    assert metadata["task"] == "sequence-classification"
    assert metadata["max_positions"] == str(MAX_POSITIONS)
    assert metadata["backend"] == "xnnpack"
    assert not {"layer_order", "vocab_size", "input_names"} & metadata.keys()
