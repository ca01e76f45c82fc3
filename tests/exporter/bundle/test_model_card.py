"""The model card: Hub metadata that is valid, numbers that were measured."""

from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from exporter.manifest import CalibrationRecord, ChoiceRecord
from exporter.model_card import model_card
from exporter.targets.base import INPUTS, TensorSpec


@pytest.fixture
def manifest(build, labelled):
    return build(eval_data=labelled).manifest


def test_metadata_is_read_by_the_hub_client(manifest):
    model = replace(
        manifest.model,
        licence="apache-2.0",
        hub_id="someone/model",
        datasets=("clinc_oos",),
        languages=("de",),
    )
    data = ModelCard(model_card(replace(manifest, model=model))).data
    assert data.language == "de"
    assert data.license == "apache-2.0"
    assert data.pipeline_tag == "text-classification"
    assert data.base_model == "someone/model"
    assert data.datasets == ["clinc_oos"]
    assert "squeezebert" in data.tags


def test_unknown_things_are_left_out_and_not_guessed(manifest):
    metadata = model_card(manifest).split("---")[1]
    for field in ("language", "license", "base_model", "datasets", "null", "None"):
        assert field not in metadata


def test_several_languages_are_a_list(manifest):
    model = replace(manifest.model, languages=("de", "fr"))
    assert ModelCard(model_card(replace(manifest, model=model))).data.language == ["de", "fr"]


def test_the_language_of_the_source_is_that_of_the_bundle(build, checkpoint_folder):
    (checkpoint_folder / "README.md").write_text("---\nlanguage: nl\n---\n")
    assert build().manifest.model.languages == ("nl",)


def test_the_library_follows_the_targets(manifest):
    card = model_card(manifest)
    assert ModelCard(card).data.library_name is None
    assert "## Use" not in card
    onnx = replace(manifest.artifacts[0], target="onnx", path="onnx/model_int8.onnx")
    card = model_card(replace(manifest, artifacts=(onnx,)))
    assert ModelCard(card).data.library_name == "transformers.js"
    assert "onnx" in ModelCard(card).data.tags
    for call in ("InferenceSession", "ORTModelForSequenceClassification", "@huggingface/transf"):
        assert call in card
    assert 'file_name="model_int8.onnx"' in card


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("model", '{ dtype: "fp32" }'),
        ("model_int8", '{ dtype: "int8" }'),
        ("model_int4", '{ dtype: "fp32", model_file_name: "model_int4" }'),
        ("model_mixed", '{ dtype: "fp32", model_file_name: "model_mixed" }'),
        ("model_portable", '{ dtype: "fp32", model_file_name: "model_portable" }'),
    ],
)
def test_transformers_js_is_told_the_file_that_no_type_names(manifest, file, options):
    """Of a type that it does not know, it reads model.onnx without a word."""
    onnx = replace(manifest.artifacts[0], target="onnx", path=f"onnx/{file}.onnx")
    assert f'"FOLDER", {options});' in model_card(replace(manifest, artifacts=(onnx,)))


def test_the_numbers_are_those_of_the_manifest(manifest):
    card = model_card(manifest)
    size = manifest.artifacts[0].bytes / 1e6
    assert f"| `fake/model.json` | fp32 | optimized | {size:.1f} MB | 2 of 2 passed |" in card
    low, high = manifest.artifacts[0].accuracy["interval"]
    assert f"data.tsv, 60 examples | 95.00% ({low:.2%} to {high:.2%}) | 95.00% | 100.00% |" in card
    assert "differ by 0.0e+00" in card


def test_the_accuracy_of_an_older_manifest_has_what_it_tells(manifest):
    """Older ones have no classes, and know of no other data."""
    newer = ("classes", "macro_f1", "skipped")
    artifacts = []
    for artifact in manifest.artifacts:
        accuracy = {key: value for key, value in artifact.accuracy.items() if key not in newer}
        artifacts.append(replace(artifact, accuracy=accuracy))
    card = model_card(replace(manifest, artifacts=tuple(artifacts)))
    assert "data.tsv, 60 examples | 95.00%" in card
    assert "| file | label |" in model_card(manifest)
    assert "| file | label |" not in card


CHOICE = ChoiceRecord(
    budget=0.005,
    goal="size",
    loss=0.0025,
    interval=(-0.001, 0.006),
    examples=1600,
    data="dev.tsv",
    data_sha256="0" * 64,
    methods={"int8": 2, "int8_tensor": 13},
    report="search/onnx/report.md",
    looks=1,
)


def test_a_mixed_artifact_says_how_it_was_chosen(manifest):
    first, *others = manifest.artifacts
    card = model_card(replace(manifest, artifacts=(replace(first, choice=CHOICE), *others)))
    (line,) = (line for line in card.splitlines() if "a search chose" in line)
    assert line.startswith(f"`{first.path}`: ")
    for said in (
        "as small as possible with a loss of at most 0.5 points",
        "On 1600 examples of dev.tsv that had no part in the choice, the points lost",
        "+0.25 (-0.10 to +0.60)",
        "[search/onnx/report.md](search/onnx/report.md)",
    ):
        assert said in line
    assert "flatters" not in card  # measured on other data
    assert "a search chose" not in model_card(manifest)


@pytest.mark.parametrize(
    ("looks", "says", "keeps_quiet_about"),
    [
        (1, ["dev.tsv that had no part in the choice, the"], ["had a part", "kept back"]),
        (
            2,
            [
                "On 1600 examples of dev.tsv, the points lost",
                "These examples had a part in the choice: 2 artifacts were judged on them",
            ],
            ["had no part", "kept back"],
        ),
        (None, ["dev.tsv that were kept back to judge it by, the"], ["had no part", "had a part"]),
    ],
)
def test_examples_that_had_a_part_in_the_choice_are_called_so(
    manifest, looks, says, keeps_quiet_about
):
    first, *others = manifest.artifacts
    chosen = replace(first, choice=replace(CHOICE, looks=looks))
    card = model_card(replace(manifest, artifacts=(chosen, *others)))
    (line,) = (line for line in card.splitlines() if "a search chose" in line)
    assert [said for said in says if said not in line] == []
    assert [said for said in keeps_quiet_about if said in line] == []


def test_accuracy_on_the_data_of_the_search_says_so(manifest):
    first, *others = manifest.artifacts
    texts = CalibrationRecord("plain.txt", "1" * 64, 128)
    choice = replace(
        CHOICE, data="data.tsv", data_sha256=first.accuracy["data_sha256"], calibration=texts
    )
    card = model_card(replace(manifest, artifacts=(replace(first, choice=choice), *others)))
    assert f"A part of the examples of data.tsv decided what `{first.path}` is" in card
    assert card.count("flatters") == 1
    assert "with 128 texts of plain.txt, to be" in card


def test_random_weights_are_called_random(manifest):
    assert "are random" not in model_card(manifest)
    model = replace(manifest.model, trained=False, seed=7)
    assert "**The weights are random (seed 7).**" in model_card(replace(manifest, model=model))


def test_a_baseline_does_not_claim_a_gate(manifest):
    assert "proved" in model_card(manifest)
    card = model_card(replace(manifest, recipe="stock"))
    assert "proved" not in card
    assert "passed no gate" in card


def test_the_card_lies_in_the_bundle(build, tmp_path):
    manifest = build().manifest
    assert (tmp_path / "out" / "README.md").read_text() == model_card(manifest)


def coreml(manifest, flavour, tokens, outputs):
    """The manifest with a CoreML package in place of its artifacts."""
    package = replace(
        manifest.artifacts[0],
        target="coreml",
        path=f"coreml/model_{flavour}.mlpackage",
        flavour=flavour,
        lengths=(32, 64),
        inputs=tuple(TensorSpec(name, "int32", (1, tokens)) for name in INPUTS),
        outputs=outputs,
        facts={"system": "iOS 18, macOS 15", "pad_token_id": "7"},
    )
    return replace(manifest, artifacts=(package,))


LOGITS = TensorSpec("logits", "float32", (1, 3))
CLASSES = (
    TensorSpec("classLabel", "string", ()),
    TensorSpec("classLabel_probs", "dictionary", (3,)),
)


def test_a_coreml_package_says_what_it_needs_takes_and_gives(manifest):
    card = model_card(coreml(manifest, "optimized", "32/64", (*CLASSES, LOGITS)))
    assert (
        "| `coreml/model_optimized.mlpackage` | iOS 18, macOS 15 | 32/64 | `classLabel` (the "
        "likeliest label), `classLabel_probs` (the probability of each of 3 labels), "
        "`logits` [1, 3] |"
    ) in card
    assert 'featureValue(for: "classLabel")!.stringValue' in card
    assert "`input_ids` with the id 7" in card
    assert "swift-transformers" in card
    assert "pip install coremltools numpy" in card


def test_a_coreml_package_without_labels_is_asked_for_its_tensor(manifest):
    card = model_card(coreml(manifest, "fixed_logits", 64, (LOGITS,)))
    assert "| iOS 18, macOS 15 | 64 | `logits` [1, 3] |" in card
    assert 'featureValue(for: "logits")!.multiArrayValue!' in card


def test_the_card_of_an_older_manifest_has_what_it_tells(manifest):
    old = coreml(manifest, "optimized", "sequence", (LOGITS,))
    old = replace(old, artifacts=(replace(old.artifacts[0], facts={}),))
    card = model_card(old)
    assert "|  | 32/64 | `logits` [1, 3] |" in card
    assert "the id of `[PAD]`" in card
