"""Measures the machine: one float32 matrix product through ONNX Runtime.

``python -m runtime_bench.runners.sgemm_worker``. The load command's ``model`` is the size,
``ROWSxINNERxCOLUMNS``. The right-hand matrix is a constant, as in the models, so that it is packed
once: this is the fastest way to multiply that the same runtime has.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from runtime_bench.runners.onnx_worker import SessionModel
from runtime_bench.runners.protocol import Message, serve


def matrix_product(rows: int, inner: int, columns: int) -> bytes:
    """An ONNX model ``left [rows, inner] -> product [rows, columns]``, serialised."""
    weight = np.random.default_rng(0).standard_normal((inner, columns), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "sgemm",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, [rows, inner])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [rows, columns])],
        [numpy_helper.from_array(weight, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def open_model(command: Message) -> SessionModel:
    rows, inner, columns = (int(size) for size in str(command["model"]).split("x"))
    return SessionModel(matrix_product(rows, inner, columns), int(command["threads"]))


if __name__ == "__main__":
    serve(open_model, {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__})
