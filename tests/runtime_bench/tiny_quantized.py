"""A tiny int8 model, whose kernels differ from one Arm processor to the next."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tiny_bundles import LABELS, VOCABULARY

WIDTH = 64


def quantized_model(seed: int = 0) -> bytes:
    """logits = mean over tokens of (int8 product of embedding and weight) @ classifier."""
    generator = np.random.default_rng(seed)
    embedding = generator.standard_normal((VOCABULARY, WIDTH), dtype=np.float32)
    classifier = generator.standard_normal((WIDTH, LABELS), dtype=np.float32)
    product = ["quantized", "weight", "scale", "weight_scale", "zero_point"]
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["embedded"]),
        helper.make_node(
            "DynamicQuantizeLinear", ["embedded"], ["quantized", "scale", "zero_point"]
        ),
        helper.make_node("MatMulIntegerToFloat", product, ["hidden"], domain="com.microsoft"),
        helper.make_node("ReduceMean", ["hidden", "tokens"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "classifier"], ["logits"]),
    ]
    constants = {
        "embedding": embedding,
        "weight": generator.integers(-64, 64, (WIDTH, WIDTH), dtype=np.int8),
        "weight_scale": np.full((WIDTH,), 0.02, np.float32),
        "classifier": classifier,
        "tokens": np.array([1], np.int64),
    }
    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    operators = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=operators, ir_version=9)
    return bytes(model.SerializeToString())
