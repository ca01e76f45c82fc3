"""The results file: append only, readable when cut off, valid against its schema."""

import json
from pathlib import Path

import pytest

from runtime_bench.errors import InputError
from runtime_bench.records import EndRecord, RunRecord
from runtime_bench.results import ResultsWriter, read_results


def head() -> RunRecord:
    return RunRecord("2026-01-01T00:00:00", (), {}, {}, (8,), (1,), {}, (), (), ())


def written(path: Path) -> Path:
    with ResultsWriter(path, resume=False) as writer:
        writer.write(head())
        writer.write(EndRecord("2026-01-01T00:01:00", ()))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = read_results(written(tmp_path / "new" / "results.jsonl"))
    assert found.run == head()
    assert found.ends == (EndRecord("2026-01-01T00:01:00", ()),)
    assert not found.cut_off


def test_a_record_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsWriter(path, resume=False) as writer:
        writer.write(head())
        assert read_results(path).run == head()


def test_a_line_that_was_cut_off_is_left_out_and_dropped_on_resume(tmp_path: Path) -> None:
    path = written(tmp_path / "results.jsonl")
    whole = path.read_text()
    path.write_text(whole + '{"schema": "squeezebert-rec')
    assert read_results(path).cut_off
    with ResultsWriter(path, resume=True):
        assert path.read_text() == whole


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path / "results.jsonl")
    before = path.read_text()
    with pytest.raises(InputError, match=r"exists already.*--resume"):
        ResultsWriter(path, resume=False)
    assert path.read_text() == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        ResultsWriter(tmp_path / "file" / "results.jsonl", resume=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    writer = ResultsWriter(tmp_path / "results.jsonl", resume=False)
    writer._stream.close()
    writer._stream = Path("/dev/full").open("a", encoding="utf-8")  # noqa: SIM115
    with pytest.raises(InputError, match="No space left"), writer:
        writer.write(head())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "line 3, is no"),
        ("nonsense", "line 3, is no"),
        ('{"schema": "squeezebert-record/1", "kind": "end", "surprise": 1}', "line 3, is no"),
        ('{"schema": "squeezebert-record/2", "kind": "end"}', "line 3, is no"),
        ('{"schema": "squeezebert-record/1", "kind": "unheard"}', "line 3, is no"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path / "results.jsonl")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=message):
        read_results(path)


def test_what_is_no_results_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "missing.jsonl")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(InputError, match="does not begin with a run record"):
        read_results(empty)
    binary = tmp_path / "model.onnx"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="cannot be read"):
        read_results(binary)
    end = {"schema": "squeezebert-record/1", "kind": "end", "ended": "x", "failed": []}
    headless = tmp_path / "headless.jsonl"
    headless.write_text(json.dumps(end) + "\n")
    with pytest.raises(InputError, match="does not begin"):
        read_results(headless)
