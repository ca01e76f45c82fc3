"""Reading files: formats, damage, pickled code, and the Hub without a network."""

import fnmatch
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from exporter.checkpoint import load
from exporter.checkpoint_files import download, read_folder
from exporter.checkpoint_task import MNLI_LABELS
from exporter.errors import UserError
from exporter.model.config import EncoderConfig, Task
from exporter.model.random import sensitised_weights
from exporter.model.weights import to_hugging_face

CONFIG = {
    "model_type": "squeezebert",
    "vocab_size": 8,
    "hidden_size": 8,
    "embedding_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 12,
    "num_labels": 3,
}
VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##c\n"
OFFICIAL = "squeezebert/squeezebert-mnli"


def make_state() -> dict[str, torch.Tensor]:
    config = EncoderConfig.from_hugging_face(CONFIG)
    task: Task = "sequence-classification"
    return to_hugging_face(sensitised_weights(config, task, 3, 0), config, task)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint without weights."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "vocab.txt").write_text(VOCABULARY)
    return path


def refused(folder: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        read_folder(folder)
    assert caught.value.next_step
    return caught.value


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def write_shards(folder: Path, single: str, write: Callable[[Any, Path], None]) -> None:
    state = make_state()
    stem, suffix = single.rsplit(".", 1)
    names = sorted(state)
    places = {}
    for number, part in enumerate((names[:5], names[5:]), start=1):
        shard = f"{stem}-0000{number}-of-00002.{suffix}"
        write({name: state[name] for name in part}, folder / shard)
        places.update(dict.fromkeys(part, shard))
    (folder / f"{single}.index.json").write_text(json.dumps({"weight_map": places}))


class TestFormats:
    def test_safetensors(self, folder: Path) -> None:
        safetensors.torch.save_file(make_state(), folder / "model.safetensors")
        assert same(read_folder(folder).state, make_state())

    @pytest.mark.parametrize("zipped", [True, False])
    def test_pickle_of_plain_tensors(self, folder: Path, zipped: bool) -> None:
        path = folder / "pytorch_model.bin"
        torch.save(make_state(), path, _use_new_zipfile_serialization=zipped)
        assert same(read_folder(folder).state, make_state())

    def test_safetensors_come_first(self, folder: Path) -> None:
        safetensors.torch.save_file(make_state(), folder / "model.safetensors")
        (folder / "pytorch_model.bin").write_bytes(b"never opened")
        read_folder(folder)

    def test_shards(self, folder: Path) -> None:
        write_shards(folder, "model.safetensors", safetensors.torch.save_file)
        assert same(read_folder(folder).state, make_state())

    def test_pickled_shards(self, folder: Path) -> None:
        write_shards(folder, "pytorch_model.bin", torch.save)
        assert same(read_folder(folder).state, make_state())


class TestDamage:
    def test_no_weights(self, folder: Path) -> None:
        assert "has no weights" in refused(folder).message
        (folder / "tf_model.h5").touch()
        assert "tf_model.h5" in refused(folder).message

    @pytest.mark.parametrize("content", [None, "", "{", "[1]", "{}"])
    def test_configuration(self, folder: Path, content: str | None) -> None:
        safetensors.torch.save_file(make_state(), folder / "model.safetensors")
        path = folder / "config.json"
        path.unlink() if content is None else path.write_text(content)
        assert "config.json" in refused(folder).message

    @pytest.mark.parametrize("kept", [0, 4, 100, -1])
    def test_truncated_safetensors(self, folder: Path, kept: int) -> None:
        path = folder / "model.safetensors"
        safetensors.torch.save_file(make_state(), path)
        path.write_bytes(path.read_bytes()[:kept])
        assert "damaged or truncated" in refused(folder).message

    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize("kept", [0, 10, 1000, -100])
    def test_truncated_pickle(self, folder: Path, zipped: bool, kept: int) -> None:
        path = folder / "pytorch_model.bin"
        torch.save(make_state(), path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[:kept])
        assert "damaged" in refused(folder).message

    @pytest.mark.parametrize("zipped", [True, False])
    def test_pickled_code_is_never_run(self, folder: Path, tmp_path: Path, zipped: bool) -> None:
        trace = tmp_path / "code ran"

        class Code:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (trace,)

        path = folder / "pytorch_model.bin"
        state: dict[str, Any] = {**make_state(), "payload": Code()}
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        assert "pickled code, which is never run" in refused(folder).message
        assert not trace.exists()
        torch.load(path, weights_only=False)  # what would have happened
        assert trace.exists()

    def test_plain_pickle_is_refused(self, folder: Path) -> None:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Path("b")}))
        assert "pickled code" in refused(folder).message

    @pytest.mark.parametrize("content", [{"state_dict": {"a": torch.zeros(1)}}, [torch.zeros(1)]])
    def test_not_a_state_dict(self, folder: Path, content: object) -> None:
        torch.save(content, folder / "pytorch_model.bin")
        assert "not a plain state dict" in refused(folder).message

    def test_missing_shard(self, folder: Path) -> None:
        write_shards(folder, "model.safetensors", safetensors.torch.save_file)
        (folder / "model-00002-of-00002.safetensors").unlink()
        assert "model-00002-of-00002.safetensors" in refused(folder).message

    def test_shard_without_its_tensor(self, folder: Path) -> None:
        write_shards(folder, "model.safetensors", safetensors.torch.save_file)
        path = folder / "model-00002-of-00002.safetensors"
        state = safetensors.torch.load_file(path)
        state.pop("transformer.pooler.dense.bias")
        safetensors.torch.save_file(state, path)
        assert "transformer.pooler.dense.bias" in refused(folder).message

    @pytest.mark.parametrize("places", [None, [], {"a": 1}, {"a": "../model.safetensors"}])
    def test_index_that_cannot_be_right(self, folder: Path, places: object) -> None:
        safetensors.torch.save_file(make_state(), folder.parent / "model.safetensors")
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": places}))
        assert index.name in refused(folder).message


class TransportError(Exception):
    """Like those of an HTTP client, which derive from nothing in common and may say nothing."""


class TestHub:
    """``snapshot_download`` replaced: a folder stands for the repository, another for the cache."""

    @pytest.fixture
    def repository(self, folder: Path) -> Path:
        """As the official repository: a pickle, no architectures, no id2label."""
        torch.save(make_state(), folder / "pytorch_model.bin")
        (folder / "README.md").write_text("---\nlanguage: en\nlicense: bsd\n---\n")
        (folder / "tf_model.h5").write_bytes(b"not wanted")
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.safetensors").write_bytes(b"not wanted")
        return folder

    @pytest.fixture
    def calls(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> list[str | None]:
        """The revisions asked for."""
        asked: list[str | None] = []
        snapshot = tmp_path / "cache" / "snapshots" / "1fcfb78"

        def fake(model: str, *, revision: str | None, allow_patterns: list[str]) -> str:
            assert model.count("/") <= 1
            asked.append(revision)
            for path in repository.rglob("*"):
                name = path.relative_to(repository).as_posix()
                if path.is_file() and any(fnmatch.fnmatch(name, p) for p in allow_patterns):
                    (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, snapshot / name)
            return str(snapshot)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
        return asked

    def test_official_checkpoint(
        self, calls: list[str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        found = load(OFFICIAL)
        assert calls == [None, "1fcfb78"]  # then the pickle, of the same commit
        assert found.model.task == "sequence-classification"
        assert found.model.labels == MNLI_LABELS == ("contradiction", "entailment", "neutral")
        assert found.licence == "bsd"
        assert found.name == OFFICIAL
        snapshot = tmp_path / "cache" / "snapshots" / "1fcfb78"
        assert sorted(p.name for p in snapshot.rglob("*")) == [
            "README.md",
            "config.json",
            "pytorch_model.bin",
            "vocab.txt",
        ]

    def test_label_order_is_pinned_for_the_official_one_only(
        self, calls: list[str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match="--labels"):
            load("someone/squeezebert-mnli", task="sequence-classification")
        # A folder of that name is not the official checkpoint either.
        shutil.copytree(tmp_path / "model", tmp_path / OFFICIAL)
        calls.clear()
        with pytest.raises(UserError, match="--labels"):
            load(OFFICIAL, task="sequence-classification")
        assert calls == []

    @pytest.mark.usefixtures("calls")
    def test_the_pinned_order_cannot_be_swapped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match="another order"):
            load(OFFICIAL, labels=["entailment", "neutral", "contradiction"])

    def test_safetensors_are_preferred(self, calls: list[str | None], repository: Path) -> None:
        safetensors.torch.save_file(make_state(), repository / "model.safetensors")
        folder = download(OFFICIAL)
        assert calls == [None]
        assert (folder / "model.safetensors").is_file()
        assert not (folder / "pytorch_model.bin").exists()
        assert not (folder / "onnx").exists()

    @pytest.mark.parametrize(
        ("error", "cause", "remedy"),
        [
            (LocalEntryNotFoundError("no connection"), "no connection", "HF_HOME"),
            (ConnectionError("proxy\nsecond line"), "(proxy)", "HF_ENDPOINT"),
            (TransportError(), "(TransportError)", "local folder"),
            (OSError(28, "No space left on device"), "No space left", "local folder"),
        ],
    )
    def test_unreachable(
        self, error: Exception, cause: str, remedy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> str:
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises(UserError) as caught:
            load("nobody/no-such-model")
        assert "nobody/no-such-model" in caught.value.message
        assert cause in caught.value.message
        assert "second line" not in caught.value.message
        assert remedy in caught.value.next_step

    @pytest.mark.parametrize(
        ("kind", "cause"),
        [(RepositoryNotFoundError, "nor a public model"), (GatedRepoError, "accepted licence")],
    )
    def test_not_there_or_gated(
        self,
        kind: type[RepositoryNotFoundError],
        cause: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        response: Any = SimpleNamespace(headers={}, request=None)

        def fail(*_: object, **__: object) -> str:
            raise kind("401", response=response)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises(UserError, match=cause):
            load("nobody/no-such-model")

    @pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a b", "a/b/c", ""])
    def test_what_is_no_hub_id_is_never_looked_up(self, name: str, calls: list[str | None]) -> None:
        with pytest.raises(UserError):
            load(name)
        assert calls == []

    def test_a_file_is_not_a_checkpoint(self, folder: Path) -> None:
        with pytest.raises(UserError, match="is a file"):
            load(str(folder / "config.json"))
