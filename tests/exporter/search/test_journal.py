"""A journal outlives whatever happens to its file."""

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
