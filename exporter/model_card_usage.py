"""The part of a bundle's model card that says how to run its artifacts."""

from collections.abc import Sequence

from exporter.manifest import ArtifactRecord, Manifest
from exporter.targets.base import TensorSpec

#: ONNX files that transformers.js finds by the name of a type, and that name.
BROWSER_TYPES = {"model": "fp32", "model_fp16": "fp16", "model_int8": "int8"}

#: Names of the tasks on the Hub.
PIPELINE_TAGS = {
    "sequence-classification": "text-classification",
    "feature-extraction": "feature-extraction",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "masked-lm": "fill-mask",
}
_OPTIMUM_CLASSES = {
    "sequence-classification": "ORTModelForSequenceClassification",
    "feature-extraction": "ORTModelForFeatureExtraction",
    "token-classification": "ORTModelForTokenClassification",
    "question-answering": "ORTModelForQuestionAnswering",
    "masked-lm": "ORTModelForMaskedLM",
}
#: The shortest method of the flavour ``buckets``, where the model is no shorter.
_BUCKET = 32
#: Types of outputs of a CoreML classifier beside its logits.
_NO_TENSORS = ("string", "dictionary")


def usage(manifest: Manifest) -> str:
    """The section on how to run the artifacts, a snippet for each runtime; "" where none runs."""
    parts = [_onnx_usage(manifest), _executorch_usage(manifest), _coreml_usage(manifest)]
    return "\n\n".join(["## Use", *filter(None, parts)]) if any(parts) else ""


def _executorch_usage(manifest: Manifest) -> str:
    """How to run the .pte that needs nothing but the ordinary runtime."""
    found = [a for a in manifest.artifacts if a.target == "executorch" and not a.not_run]
    if not found:
        return ""
    first = found[0]
    outputs = ", ".join(f"`{tensor.name}` {_shape(tensor.shape)}" for tensor in first.outputs)
    method, padding, note = "forward", "", ""
    if first.flavour == "buckets":
        length = min(_BUCKET, manifest.model.max_positions)
        method = f"forward_{length}"
        padding = f"""tokenizer.enable_truncation({length})
tokenizer.enable_padding(length={length})
"""
        note = f", here {length}: pad a text to the length of a method"
    return f"""ExecuTorch (`{method}` takes input ids, attention mask and token types, int64
[1, sequence]{note}; outputs: {outputs}; the constant methods are `labels`, `max_length`, ...):

```python
import executorch.kernels.quantized  # int8 embeddings
import tokenizers, torch
from executorch.runtime import Runtime

tokenizer = tokenizers.Tokenizer.from_file("FOLDER/tokenizer.json")
{padding}row = tokenizer.encode("some text")
program = Runtime.get().load_program("FOLDER/{first.path}")
outputs = program.load_method("{method}").execute(
    [torch.tensor([row.ids]), torch.tensor([row.attention_mask]), torch.tensor([row.type_ids])]
)
```"""


def _coreml_usage(manifest: Manifest) -> str:
    found = [a for a in manifest.artifacts if a.target == "coreml"]
    if not found:
        return ""
    first, task = found[0], manifest.model.task
    name = first.path.rpartition("/")[2].removesuffix(".mlpackage")
    classifies = task == "sequence-classification" and "logits" not in first.flavour
    tensors = [output.name for output in first.outputs if output.dtype not in _NO_TENSORS]
    answer = (
        'answer.featureValue(for: "classLabel")!.stringValue'
        if classifies
        else (f'answer.featureValue(for: "{tensors[0]}")!.multiArrayValue!')
    )
    return f"""CoreML (`input_ids`, `attention_mask` and `token_type_ids`, each int32 [1, tokens]):

{_coreml_packages(found)}

{_coreml_inputs(first)}

Swift, for a package in an Xcode project (**not run on a device here**):

```swift
import CoreML

let settings = MLModelConfiguration()
settings.computeUnits = .all
let model = try MLModel(
    contentsOf: Bundle.main.url(forResource: "{name}", withExtension: "mlmodelc")!,
    configuration: settings)
func row(_ values: [Int32]) -> MLMultiArray {{
    let array = try! MLMultiArray(shape: [1, NSNumber(value: values.count)], dataType: .int32)
    for (index, value) in values.enumerated() {{ array[index] = NSNumber(value: value) }}
    return array
}}
let answer = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: [
    "input_ids": row(ids), "attention_mask": row(mask), "token_type_ids": row(types)]))
let result = {answer}
```

On a Mac, `python coreml/check_on_mac.py` predicts golden inputs with every package, compares with
what was proved, and shows which operators the Neural Engine takes. It needs macOS 14 (for packages
of iOS 18: 15), and `pip install coremltools numpy`."""


def _coreml_packages(found: Sequence[ArtifactRecord]) -> str:
    """What each package needs, takes and gives, as a table."""
    lines = ["| package | needs | tokens | outputs |", "| --- | --- | --- | --- |"]
    for artifact in found:
        tokens = artifact.inputs[0].shape[1]
        if tokens == "sequence":  # of a manifest from before lengths were declared
            tokens = "/".join(map(str, artifact.lengths))
        outputs = ", ".join(map(_coreml_output, artifact.outputs))
        needs = artifact.facts.get("system", "")
        lines.append(f"| `{artifact.path}` | {needs} | {tokens} | {outputs} |")
    return "\n".join(lines)


def _coreml_output(output: TensorSpec) -> str:
    if output.dtype == "string":
        return f"`{output.name}` (the likeliest label)"
    if output.dtype == "dictionary":
        return f"`{output.name}` (the probability of each of {output.shape[0]} labels)"
    return f"`{output.name}` {_shape(output.shape)}"


def _coreml_inputs(artifact: ArtifactRecord) -> str:
    pad = artifact.facts.get("pad_token_id", "of `[PAD]`")
    return f"""Ids come from `tokenizer.json` in this folder. In Swift,
[swift-transformers](https://github.com/huggingface/swift-transformers) reads it
(`AutoTokenizer.from(modelFolder:)`; not tried here). For a check, in Python:
`tokenizers.Tokenizer.from_file("tokenizer.json").encode("some text").ids`. Pad a text at its end to
a number of tokens that the package takes: `input_ids` with the id {pad}, `attention_mask` (1 for a
token) and `token_type_ids` (1 for the second text of a pair) with 0."""


def _onnx_usage(manifest: Manifest) -> str:
    onnx = [artifact for artifact in manifest.artifacts if artifact.target == "onnx"]
    if not onnx:
        return ""
    first, model = onnx[0], manifest.model
    file_name = first.path.rpartition("/")[2]
    outputs = ", ".join(f"`{tensor.name}` {_shape(tensor.shape)}" for tensor in first.outputs)
    inputs = ", ".join(f"`{tensor.name}` {_shape(tensor.shape)}" for tensor in first.inputs)
    optimum = _OPTIMUM_CLASSES[model.task]
    pipeline = PIPELINE_TAGS[model.task]
    return f"""Inputs ({first.inputs[0].dtype}): {inputs}. Outputs: {outputs}.
`FOLDER` is this folder, or its name on the Hub.

ONNX Runtime:

```python
import numpy as np, onnxruntime, tokenizers

tokenizer = tokenizers.Tokenizer.from_file("FOLDER/tokenizer.json")
row = tokenizer.encode("some text")
session = onnxruntime.InferenceSession("FOLDER/{first.path}")
outputs = session.run(None, {{
    "input_ids": np.array([row.ids]),
    "attention_mask": np.array([row.attention_mask]),
    "token_type_ids": np.array([row.type_ids]),
}})
```

Optimum:

```python
from optimum.onnxruntime import {optimum}
from transformers import AutoTokenizer, pipeline

model = {optimum}.from_pretrained("FOLDER", subfolder="onnx", file_name="{file_name}")
run = pipeline("{pipeline}", model=model, tokenizer=AutoTokenizer.from_pretrained("FOLDER"))
```{_transformers_js(manifest, file_name.removesuffix(".onnx"))}"""


def _transformers_js(manifest: Manifest, file: str) -> str:
    """Its snippet, where it has a class for the model (version 4.3 was tried)."""
    if (manifest.model.family, manifest.model.task) == ("squeezebert", "token-classification"):
        return ""
    pipeline = PIPELINE_TAGS[manifest.model.task]
    # A file that is no type's has to be named: asked for it as a type, 4.3 takes model.onnx.
    options = f'dtype: "{BROWSER_TYPES.get(file, "fp32")}"'
    options += "" if file in BROWSER_TYPES else f', model_file_name: "{file}"'
    return f"""

transformers.js:

```js
import {{ pipeline }} from "@huggingface/transformers";
const run = await pipeline("{pipeline}", "FOLDER", {{ {options} }});
```"""


def _shape(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"
