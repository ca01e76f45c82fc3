"""The manifest against its published schema, and damaged ones."""
# ruff: noqa: ARG001 - fixtures are asked for by name

import copy
import hashlib
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import jsonschema
import pytest

import exporter
from exporter.errors import UserError
from exporter.manifest import CalibrationRecord, ChoiceRecord
from exporter.manifest_file import (
    as_document,
    changed_files,
    content_hash,
    file_record,
    from_document,
    read_manifest,
    write_manifest,
)

SCHEMA = json.loads(
    (Path(exporter.__file__).parent / "schema" / "manifest.schema.json").read_text()
)


@pytest.fixture
def document(build, labelled, tmp_path):
    build(eval_data=labelled, eval_limit=8)
    return json.loads((tmp_path / "out" / "manifest.json").read_text())


def validate(document):
    validator = jsonschema.Draft202012Validator(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator.validate(document)


def test_a_built_manifest_obeys_the_schema(document):
    validate(document)


def test_reading_and_writing_lose_nothing(document, tmp_path):
    manifest = read_manifest(tmp_path / "out")
    assert json.loads(json.dumps(as_document(manifest))) == document
    write_manifest(tmp_path / "copy", manifest)
    assert json.loads((tmp_path / "copy" / "manifest.json").read_text()) == document


def fields(value, path=()):
    """Every path to an object's field."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from fields(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(item, (*path, index))


# What is free in form: maps by name, and what a gate of another version may measure.
FREE = ("groups", "versions", "measured", "coverage", "verification", "accuracy")
# Newer than the first manifests, which are read all the same.
ADDED = {
    "backend": "",
    "not_run": "",
    "command": (),
    "calibration": None,
    "lengths": (),
    "facts": {},
    "choice": None,
    "other_accuracies": (),
}


def added(path):
    """Whether it is a field of an artifact that older manifests do not have."""
    return path[0] == "artifacts" and path[-1] in ADDED


def test_manifests_from_before_a_field_was_added_are_read(document):
    for path in filter(added, list(fields(document))):
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]
    assert not set(ADDED) & document["artifacts"][0].keys()
    validate(document)
    for artifact in from_document(document).artifacts:
        assert {name: getattr(artifact, name) for name in ADDED} == ADDED


def test_the_reader_and_the_schema_ask_for_the_same_fields(document):
    checked = 0
    for path in list(fields(document)):
        if any(name in FREE for name in path[:-1]) or added(path):
            continue
        broken = copy.deepcopy(document)
        holder = broken
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]
        with pytest.raises(jsonschema.ValidationError):
            validate(broken)
        with pytest.raises(ValueError, match=str(path[-1])):
            from_document(broken)
        checked += 1
    assert checked > 60


CHOICE = ChoiceRecord(
    budget=0.005,
    goal="time",
    loss=0.0025,
    interval=(-0.001, 0.006),
    examples=1600,
    data="dev.tsv",
    data_sha256="0" * 64,
    methods={"int8": 2, "int8_tensor": 13},
    report="search/onnx/report.md",
    looks=2,
    mix_sha256="1" * 64,
    calibration=CalibrationRecord("plain.txt", "2" * 64, 128, 0, {"16": 128}),
)


def test_a_choice_is_written_and_read(document):
    manifest = from_document(document)
    chosen = replace(manifest.artifacts[0], choice=CHOICE)
    written = json.loads(json.dumps(as_document(manifest.with_artifact(chosen))))
    validate(written)
    assert from_document(written).artifacts[0].choice == CHOICE
    (artifact, *_) = written["artifacts"]
    choice = artifact["choice"]
    del choice["looks"], choice["mix_sha256"], choice["calibration"]  # newer than the first ones
    validate(written)
    older = replace(CHOICE, looks=None, mix_sha256=None, calibration=None)
    assert from_document(written).artifacts[0].choice == older
    validate({**written, "artifacts": [artifact | {"choice": choice | {"looks": None}}]})
    for looks in (0, "2"):
        with pytest.raises(jsonschema.ValidationError):
            validate({**written, "artifacts": [artifact | {"choice": choice | {"looks": looks}}]})
    choice["mix_sha256"] = "1234"
    with pytest.raises(ValueError, match="no SHA-256"):
        from_document(written)
    with pytest.raises(jsonschema.ValidationError):
        validate(written)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "squeezebert-bundle/2"),
        (("recipe",), "cooked"),
        (("model", "trained"), "yes"),
        (("model", "layers"), True),
        (("model", "heads"), 4.0),
        (("labels",), "low"),
        (("artifacts", 0, "files"), {}),
        (("artifacts", 0, "path"), "/etc/passwd"),
        (("artifacts", 0, "path"), "../../x"),
        (("artifacts", 0, "files", 0, "path"), "a/../../x"),
        (("artifacts", 0, "files", 0, "path"), "a\\..\\x"),
        (("tokenizer", "files", 0), "/etc/passwd"),
        (("files", 0, "path"), ""),
        (("artifacts", 0, "inputs", 0, "shape"), [None]),
        (("artifacts", 0, "files"), []),
        (("artifacts", 0, "fingerprint"), "0" * 63),
        (("artifacts", 0, "files", 1, "sha256"), "X" * 64),
        (("artifacts", 0, "sha256"), ""),
        (("files", 0, "sha256"), "0" * 65),
        (("model", "source_hash"), "none"),
        (("tokenizer", "hash"), "none"),
        (("evaluation", "sha256"), "none"),
    ],
)
def test_wrong_values_are_refused_by_reader_and_schema(path, value, document):
    holder = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    with pytest.raises(ValueError, match=r"\w"):
        from_document(document)
    if not isinstance(value, float):  # JSON Schema takes 4.0 for an integer
        with pytest.raises(jsonschema.ValidationError):
            validate(document)


@pytest.mark.parametrize(
    ("field", "value"), [("path", "fake/other.json"), ("path", "fak"), ("sha256", "0" * 64)]
)
def test_path_and_hash_of_an_artifact_are_those_of_its_first_file(field, value, document):
    document["artifacts"][0][field] = value
    with pytest.raises(ValueError, match="of its content" if field == "sha256" else "begin with"):
        from_document(document)


def test_unknown_fields_are_ignored(document):
    document["artifacts"][0]["new"] = 1
    document["new"] = {}
    validate(document)
    assert from_document(document)


def test_infinite_measurements_are_written_as_null(build, tmp_path):
    manifest = build().manifest
    verification = {"passed": True, "checks": [{"measured": {"ratio": float("inf")}}]}
    artifact = replace(manifest.artifacts[0], verification=verification)
    write_manifest(tmp_path / "copy", manifest.with_artifact(artifact))
    text = (tmp_path / "copy" / "manifest.json").read_text()
    assert json.loads(text)["artifacts"][0]["verification"]["checks"][0]["measured"] == {
        "ratio": None
    }


def test_a_replaced_artifact_keeps_its_place(build):
    manifest = build().manifest
    first = replace(manifest.artifacts[0], flavour="portable")
    found = manifest.with_artifact(first)
    assert [a.path for a in found.artifacts] == [a.path for a in manifest.artifacts]
    assert found.artifacts[0].flavour == "portable"


def test_the_manifest_tells_no_more_paths_than_the_user_typed(
    build, tmp_path, checkpoint_folder, labelled, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    build(model="source", out=Path("out"), eval_data=Path("data.tsv"), command=["build", "source"])
    for name in ("manifest.json", "README.md", "config.json"):
        assert str(tmp_path) not in Path("out", name).read_text()


def test_changed_files_are_named_with_what_is_wrong(build, tmp_path):
    manifest = build().manifest
    out = tmp_path / "out"
    records = [f for a in manifest.artifacts for f in a.files]
    assert changed_files(out, records) == ()
    data = bytearray((out / "fake" / "model.npz").read_bytes())
    data[1000] ^= 1
    (out / "fake" / "model.npz").write_bytes(data)
    (out / "fake" / "model_int8.json").unlink()
    (out / "fake" / "model.json").write_text("{}")
    assert changed_files(out, records) == (
        f"fake/model.json has 2 bytes instead of {records[0].bytes}",
        "fake/model.npz has another SHA-256 than recorded",
        "fake/model_int8.json is missing",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "schema is None"),
        ('{"schema": "squeezebert-bundle/9"}', "squeezebert-bundle/9"),
        ('{"schema": "squeezebert-bundle/1"}', "model is missing"),
    ],
)
def test_damaged_manifests_are_one_line(text, message, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_manifest_and_no_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no manifest\.json"):
        read_manifest(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        read_manifest(tmp_path / "none")


def test_a_package_has_the_hash_of_the_list_of_its_files(document, tmp_path):
    package = tmp_path / "fake" / "model.package"
    (package / "inside").mkdir(parents=True)
    (package / "b.bin").write_bytes(b"b")
    (package / "inside" / "a.bin").write_bytes(b"a")
    (tmp_path / "fake" / "beside.json").write_bytes(b"{}")
    names = ["inside/a.bin", "b.bin"]
    files = [file_record(tmp_path, package / name) for name in names]
    beside = file_record(tmp_path, tmp_path / "fake" / "beside.json")
    found = content_hash("fake/model.package", [*files, beside])
    listed = subprocess.run(
        ["sha256sum", "b.bin", "inside/a.bin"], cwd=package, capture_output=True, check=True
    )
    assert found == hashlib.sha256(listed.stdout).hexdigest()
    artifact = document["artifacts"][0]
    artifact["files"] = [asdict(file) for file in (*files, beside)]
    artifact |= {"path": "fake/model.package", "sha256": found}
    assert from_document(document).artifacts[0].sha256 == found
    artifact["files"][1]["sha256"] = "0" * 64
    with pytest.raises(ValueError, match="not that of its content"):
        from_document(document)
