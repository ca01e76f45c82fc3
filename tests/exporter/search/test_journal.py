"""A journal outlives whatever happens to its file."""

import pytest

from exporter.search.journal import Journal


def test_results_are_kept(tmp_path):
    Journal(tmp_path / "folder" / "journal").put("a/1", {"loss": 0.5})
    journal = Journal(tmp_path / "folder" / "journal")
    assert journal.get("a/1") == {"loss": 0.5}
    assert journal.get("a/2") is None


def test_results_are_counted_by_the_beginning_of_their_keys(tmp_path):
    journal = Journal(tmp_path / "journal")
    for key in ("a/1", "a/2", "b/1", "a/2"):
        journal.put(key, 1)
    assert (journal.count("a/"), journal.count("c")) == (2, 0)


def test_lines_that_are_spoiled_are_left_out(tmp_path):
    path = tmp_path / "journal"
    Journal(path).put("before", 1)
    with path.open("ab") as stream:
        stream.write(b'\xff\xfe\x00["no text\n[3]\n["torn", 1')
    journal = Journal(path)
    assert (journal.get("before"), journal.get("torn")) == (1, None)
    journal.put("after", 2)
    assert Journal(path).get("after") == 2


@pytest.mark.parametrize(
    ("right", "wrong"), [(b"0.125", b"0.625"), (b"a/1", b"a/7")], ids=["digit", "key"]
)
def test_a_line_with_another_digit_is_left_out(tmp_path, right, wrong):
    path = tmp_path / "journal"
    Journal(path).put("a/1", {"loss": 0.125, "name": "\u00e9"})
    Journal(path).put("b", [1e-9, None, True])
    content = path.read_bytes()
    assert content.count(right) == 1
    path.write_bytes(content.replace(right, wrong))
    journal = Journal(path)
    assert journal.get("a/1") is None
    assert journal.count("a/") == 0
    assert journal.get("b") == [1e-9, None, True]


def test_lines_without_a_checksum_are_left_out(tmp_path):
    (tmp_path / "journal").write_text('["a/1",1]\n["00000000","a/2",1]\n')
    assert Journal(tmp_path / "journal").count("") == 0
