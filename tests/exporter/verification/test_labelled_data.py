"""Reading labelled files, good and bad."""

import gzip

import pytest

from exporter.errors import UserError
from exporter.verification.labelled_data import read_labelled, read_texts

LABELS = ("entailment", "neutral", "contradiction")


def write(folder, text, name="data.tsv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("header", "pair"),
    [
        ("text\tlabel", False),
        ("sentence\tlabel", False),
        ("text\ttext_pair\tlabel", True),
        ("premise\thypothesis\tlabel", True),
        ("sentence1\tsentence2\tgold_label", True),
    ],
)
def test_headers_of_the_usual_data_sets_are_known(header, pair, tmp_path):
    row = "one\ttwo\tneutral" if pair else "one\tneutral"
    data = read_labelled(write(tmp_path, f"{header}\n{row}\n"), LABELS)
    assert data.texts == ("one",)
    assert data.pairs == (("two",) if pair else None)
    assert data.labels == (1,)
    assert data.name == "data.tsv"
    assert len(data.sha256) == 64


def test_columns_are_found_by_name_not_by_place(tmp_path):
    text = "index\tgold_label\tsentence2\tsentence1\n7\tneutral\tb\ta\n"
    data = read_labelled(write(tmp_path, text), LABELS)
    assert (data.texts, data.pairs, data.labels) == (("a",), ("b",), (1,))


def test_gzip_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    text = "\ufefftext\tlabel\r\none\tneutral\r\n"
    assert read_labelled(write(tmp_path, text), LABELS).texts == ("one",)
    packed = write(tmp_path, gzip.compress(text.encode()), "data.tsv.gz")
    assert read_labelled(packed, LABELS).texts == ("one",)


def test_texts_are_literal(tmp_path):
    # Quotes are text, and so are the line separators of Unicode.
    text = 'text\tlabel\n"a" \u2028b\u0085c\tneutral\n'
    assert read_labelled(write(tmp_path, text), LABELS).texts == ('"a" \u2028b\u0085c',)


def test_labels_are_matched_without_letter_case_where_that_is_unambiguous(tmp_path):
    path = write(tmp_path, "text\tlabel\na\tENTAILMENT\nb\tContradiction\n")
    assert read_labelled(path, LABELS).labels == (0, 2)
    path = write(tmp_path, "text\tlabel\na\tyes\n")
    assert read_labelled(path, ("Yes", "yes")).labels == (1,)
    path = write(tmp_path, "text\tlabel\na\tYES\n")
    with pytest.raises(UserError, match="does not know: YES"):
        read_labelled(path, ("Yes", "yes"))


# As GLUE ships MultiNLI's development set, shortened.
MNLI = """\
index\tpromptID\tpairID\tgenre\tsentence1_parse\tsentence1\tsentence2\tlabel1\tgold_label
0\t63735\t63735n\tslate\t(ROOT (S))\tThe new rights.\tEveryone likes them.\tneutral\tneutral
1\t91383\t91383c\ttravel\t(ROOT (S))\t"In the sun."\tIt rains.\tneutral\t-
2\t755\t755e\ttravel\t(ROOT (S))\tIt was hot.\tIt was warm.\tentailment\tentailment
3\t78013\t78013c\tslate\t(ROOT (S))\tNo.\tYes.\tcontradiction\tcontradiction
"""


def test_multinli_as_glue_ships_it_is_read_and_lines_without_a_label_are_skipped(tmp_path):
    path = write(tmp_path, MNLI)
    data = read_labelled(path, LABELS)
    assert data.texts == ("The new rights.", "It was hot.", "No.")
    assert data.pairs == ("Everyone likes them.", "It was warm.", "Yes.")
    assert data.labels == (1, 0, 2)
    assert (data.skipped, data.complete) == (1, True)
    data = read_labelled(path, LABELS, limit=2)
    assert (data.texts[-1], data.skipped, data.complete) == ("It was hot.", 1, False)
    assert read_labelled(path, LABELS, limit=3).complete


def test_a_dash_that_the_model_knows_is_a_label(tmp_path):
    data = read_labelled(write(tmp_path, "text\tlabel\none\t-\ntwo\t+\n"), ("+", "-"))
    assert (data.labels, data.skipped) == ((1, 0), 0)


def test_numbers_are_read_where_the_model_has_numbers(tmp_path):
    data = read_labelled(write(tmp_path, "text\tlabel\none\t1\n"), ("0", "1"))
    assert data.labels == (1,)


@pytest.mark.parametrize(
    "columns",
    [("label", "text", "text"), ("text", "label", "text"), ("text", "text", "label")],
)
def test_two_columns_of_one_name_are_a_pair_in_their_order(columns, tmp_path):
    values = iter(["first", "second"])
    row = [("neutral" if name == "label" else next(values)) for name in columns]
    text = "\t".join(columns) + "\n" + "\t".join(row) + "\n"
    data = read_labelled(write(tmp_path, text), LABELS)
    assert (data.texts, data.pairs, data.labels) == (("first",), ("second",), (1,))


def test_a_limit_takes_the_first(tmp_path):
    rows = "".join(f"t{i}\tneutral\n" for i in range(5))
    path = write(tmp_path, "text\tlabel\n" + rows)
    assert read_labelled(path, LABELS, limit=2).texts == ("t0", "t1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("text\tlabel\n", "holds no examples"),
        ("one\tneutral\ntwo\tneutral\n", "no usable header: 'one"),
        ("text\nfoo\n", "no column for labels"),
        ("text\tlabel\none\tneutral\ntwo\n", "line 3: 1 fields instead of 2"),
        ("text\tlabel\none\ttwo\tneutral\n", "line 2: 3 fields instead of 2"),
        ("text\tlabel\n\tneutral\n", "line 2: text is empty"),
        ("text\tlabel\none\t \n", "line 2: label is empty"),
        ("premise\thypothesis\tlabel\na\t\tneutral\n", "line 2: hypothesis is empty"),
        ("text\tlabel\none\tmaybe\ntwo\tno\n", r"not know: maybe, no\. .*entailment, neutral"),
        ("text\tlabel\none\t-\ntwo\t-\n", "None of the 2 examples of .* has a label"),
        ("text\tlabel\none\t0\ntwo\t2\n", r"numbers for labels: 0, 2\. .*in its order: entailment"),
        ("text\tlabel\none\t-1\n", "numbers for labels: -1"),
        (b"text\tlabel\none\tneutral\n\xff\xfe\tneutral\n", "line 3: not UTF-8"),
        (gzip.compress(b"text\tlabel\none\tneutral\n", mtime=0)[:-6], "damaged gzip"),
        (b"\x1f\x8bnonsense", "damaged gzip"),
    ],
)
def test_files_that_cannot_be_used_say_why_and_where(text, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        read_labelled(write(tmp_path, text), LABELS)
    assert caught.value.next_step
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="not found"):
        read_labelled(tmp_path / "none.tsv", LABELS)
    with pytest.raises(UserError, match="file is where a folder is needed, or the reverse"):
        read_labelled(tmp_path, LABELS)


def test_texts_need_no_labels(tmp_path):
    path = tmp_path / "data.tsv"
    path.write_text("premise\thypothesis\na\tb\nc\td\n")
    found = read_texts(path, limit=1)
    assert (found.texts, found.pairs, found.labels) == (("a",), ("b",), None)
    path.write_text("text\tlabel\na\tnobody knows this\n")
    assert read_texts(path).labels == ("nobody knows this",)
