"""The names of a checkpoint's labels, and those that the user gives."""

from pathlib import Path

import pytest
from checkpoint_folders import LABELS, Write, checkpoint_writer, refused

from exporter.checkpoint import load


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return checkpoint_writer(tmp_path)


class TestLabels:
    """Named by the checkpoint or by the user; never guessed."""

    @pytest.mark.parametrize("table", [None, {}, {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}])
    def test_missing(self, table: object, write: Write) -> None:
        folder = write(config={"id2label": table})
        error = refused(folder)
        assert "does not name its 3 labels" in error.message
        assert "--labels" in error.next_step
        assert load(str(folder), labels=["x", "y", "z"]).model.labels == ("x", "y", "z")

    def test_order_is_that_of_the_numbers(self, write: Write) -> None:
        folder = write(config={"id2label": {"2": "yes", "0": "no", "1": "maybe"}})
        found = load(str(folder))
        assert found.model.labels == LABELS
        assert found.config_json["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}
        assert found.config_json["label2id"] == {"no": 0, "maybe": 1, "yes": 2}

    @pytest.mark.parametrize(
        ("table", "cause"),
        [
            ({"0": "no", "1": "yes"}, "2 labels, but the classifier has 3 outputs"),
            ({"0": "no", "1": "yes", "3": "maybe"}, "does not number"),
            ({"0": "no", "1": "yes", "2": "no"}, "two labels alike"),
            (["no", "yes", "maybe"], "does not number"),
        ],
    )
    def test_tables_that_cannot_be_right(self, table: object, cause: str, write: Write) -> None:
        assert cause in refused(write(config={"id2label": table})).message

    @pytest.mark.parametrize(
        ("labels", "cause"),
        [
            (["a", "b"], "2 labels, but the classifier has 3 outputs"),
            (["a", "b", "a"], "repeated"),
            (["a", " ", "c"], "empty"),
            (["yes", "no", "maybe"], "in another order"),
        ],
    )
    def test_given_labels_that_cannot_be_right(
        self, labels: list[str], cause: str, write: Write
    ) -> None:
        assert cause in refused(write(), labels=labels).message

    def test_given_labels_rename(self, write: Write) -> None:
        found = load(str(write()), labels=["nein", "vielleicht", "ja"])
        assert found.model.labels == ("nein", "vielleicht", "ja")
        assert found.config_json["id2label"]["2"] == "ja"

    def test_tasks_without_labels(self, write: Write) -> None:
        assert "no labels" in refused(write("bert", "masked-lm"), labels=["a"]).message
