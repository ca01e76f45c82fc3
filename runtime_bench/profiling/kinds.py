"""Which kind of work an operator is, by the names that the runtimes' profilers give.

Names are those of runners/*_profiler.py. A name that no rule knows is of the kind ``OTHER``, and
listed wherever that is shown.
"""

import re
from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of work, in the order in which tables show them."""

    WEIGHT_PRODUCTS = "matrix products with weights"
    ATTENTION_PRODUCTS = "attention products"
    FUSED_ATTENTION = "fused attention (products and softmax)"
    NORMALIZATION = "normalization"
    ACTIVATION = "activation function"
    SOFTMAX = "softmax"
    QUANTIZATION = "quantization, dequantization"
    LAYOUT = "layout and copies"
    ELEMENTWISE = "elementwise, reductions"
    EMBEDDINGS = "embeddings"
    OTHER = "other"
    DELEGATE = "in delegates, not reported"
    OVERHEAD = "runtime overhead"


#: The suffixes by which the ONNX Runtime profiler's reader tells apart what has one name there.
TWO_ACTIVATIONS = " of two activations"
NOT_A_TABLE = " of no table"

_ONNX: Mapping[Kind, str] = {
    Kind.WEIGHT_PRODUCTS: "MatMul Gemm FusedGemm FusedMatMul MatMulInteger MatMulIntegerToFloat "
    "DynamicQuantizeMatMul QLinearMatMul QGemm MatMulNBits Conv FusedConv NhwcFusedConv "
    "ConvInteger QLinearConv",
    Kind.FUSED_ATTENTION: "Attention MultiHeadAttention QAttention GroupQueryAttention",
    Kind.NORMALIZATION: "LayerNormalization SkipLayerNormalization SimplifiedLayerNormalization "
    "SkipSimplifiedLayerNormalization RMSNormalization BatchNormalization",
    Kind.ACTIVATION: "Gelu FastGelu BiasGelu QuickGelu Tanh Erf Relu Sigmoid",
    Kind.SOFTMAX: "Softmax LogSoftmax",
    Kind.QUANTIZATION: "DynamicQuantizeLinear QuantizeLinear DequantizeLinear",
    Kind.LAYOUT: "Transpose Reshape Flatten Squeeze Unsqueeze Slice Split Concat Expand Tile Pad "
    "Cast Identity Shape ConstantOfShape Range ReorderInput ReorderOutput",
    Kind.ELEMENTWISE: "Add Sub Mul Div Sum Pow Sqrt Neg Abs Reciprocal Exp Log Min Max Clip Where "
    "Equal Less LessOrEqual Greater GreaterOrEqual And Or Not IsNaN ReduceMean ReduceSum "
    "ReduceMax",
    Kind.EMBEDDINGS: "Gather GatherBlockQuantized EmbedLayerNormalization",
}
# XNNPACK: "Fully Connected (NC, QDU8, F32, QC8W) GEMM"; the name ends before the parenthesis.
_XNNPACK: Mapping[Kind, str] = {
    Kind.WEIGHT_PRODUCTS: "Fully Connected|Convolution|Deconvolution",
    Kind.ATTENTION_PRODUCTS: "Batch Matrix Multiply|Dynamic Fully Connected",
    Kind.NORMALIZATION: "Normalize",
    Kind.ACTIVATION: "GELU|ApproxGELU|TanH|Sigmoid|HardSwish|LeakyReLU|PReLU|ELU|Clamp",
    Kind.SOFTMAX: "Softmax",
    Kind.QUANTIZATION: "Convert",
    Kind.LAYOUT: "Transpose|Static Reshape|Static Expand Dims|Split Dims|Fuse Dims|Slice|Copy|"
    "Constant Pad|Concatenate|Pack LH",
    Kind.ELEMENTWISE: "Add|Subtract|Multiply|Divide|Maximum|Minimum|Power|Negate|Abs|Exp|Log|"
    "Square|Square Root|Reciprocal Square Root|Squared Difference|Mean|Mean Squared|Sum|"
    "Reduce Max|Reduce Min|Binary Elementwise|Unary Elementwise",
}
# ExecuTorch's kernels: "native_call_native_layer_norm.out"; the name is between call_ and the dot.
_KERNELS: Mapping[Kind, str] = {
    Kind.WEIGHT_PRODUCTS: "addmm mm linear convolution mixed_mm mixed_linear",
    Kind.ATTENTION_PRODUCTS: "bmm",
    Kind.FUSED_ATTENTION: "custom_sdpa sdpa_with_kv_cache",
    Kind.NORMALIZATION: "native_layer_norm native_group_norm _native_batch_norm_legit_no_training",
    Kind.ACTIVATION: "gelu tanh relu sigmoid erf hardtanh",
    Kind.SOFTMAX: "_softmax _log_softmax",
    Kind.QUANTIZATION: "choose_qparams choose_qparams_per_token_asymmetric quantize_per_tensor "
    "quantize_per_token quantize_per_channel dequantize_per_tensor dequantize_per_token "
    "dequantize_per_channel",
    Kind.LAYOUT: "permute_copy transpose_copy t_copy view_copy unsqueeze_copy squeeze_copy "
    "expand_copy slice_copy select_copy split_copy split_with_sizes_copy unbind_copy narrow_copy "
    "alias_copy as_strided_copy detach_copy lift_fresh_copy cat stack repeat clone copy _to_copy "
    "_to_dim_order_copy _clone_dim_order _empty_dim_order constant_pad_nd full full_like zeros "
    "ones empty arange scalar_tensor index index_select gather",
    Kind.ELEMENTWISE: "add sub rsub mul div pow sqrt rsqrt reciprocal neg abs exp log maximum "
    "minimum clamp where masked_fill eq ne lt le gt ge logical_and logical_or logical_not "
    "bitwise_and bitwise_or bitwise_not mean sum amax amin any var cumsum",
    Kind.EMBEDDINGS: "embedding embedding_byte embedding_4bit embedding_2bit",
}


def _by_name(table: Mapping[Kind, str], separator: str | None) -> Mapping[str, Kind]:
    return {name: kind for kind, names in table.items() for name in names.split(separator)}


_ONNX_KINDS = {
    **_by_name(_ONNX, None),
    "MatMul" + TWO_ACTIVATIONS: Kind.ATTENTION_PRODUCTS,
    "FusedMatMul" + TWO_ACTIVATIONS: Kind.ATTENTION_PRODUCTS,
    "MatMulInteger" + TWO_ACTIVATIONS: Kind.ATTENTION_PRODUCTS,
    "MatMulIntegerToFloat" + TWO_ACTIVATIONS: Kind.ATTENTION_PRODUCTS,
    "Gather" + NOT_A_TABLE: Kind.LAYOUT,
}
_XNNPACK_KINDS = _by_name(_XNNPACK, "|")
_KERNEL_KINDS = _by_name(_KERNELS, None)
_KERNEL = re.compile(r"native_call_(?:\w+::)?(\w+)(?:\.\w+)?$")


def kind_of(target: str, name: str) -> Kind:
    """The kind of the operator ``name`` of an artifact for ``target``."""
    if target == "onnx":
        return _ONNX_KINDS.get(name, Kind.OTHER)
    if kernel := _KERNEL.match(name):
        return _KERNEL_KINDS.get(kernel[1], Kind.OTHER)
    return _XNNPACK_KINDS.get(name.partition(" (")[0], Kind.OTHER)
