"""Quantization: files with 16, 8 or 4 bits a number, made from a float ONNX file or in training.

There is one function per rung of the ladder: `convert_to_half`, `quantize_after_training`, `quantize_dynamically`,
`quantize_weights`, `quantize_mixed`, `train_quantized`. A float file (for `train_quantized`, a float model) comes in,
with calibration rows where the ranges of activations are fixed; the path of a smaller file goes out. `faster_in_float`
measures runs of layers, `one_layer_at_a_time` single ones.
"""

from model_compression.quantization.dynamic import quantize_dynamically
from model_compression.quantization.fp16 import convert_to_half
from model_compression.quantization.int4 import quantize_weights
from model_compression.quantization.islands import faster_in_float
from model_compression.quantization.mixed import LayerAnswer, one_layer_at_a_time, quantize_mixed
from model_compression.quantization.qat import train_quantized
from model_compression.quantization.static import answers, quantize_after_training

__all__ = [
    "LayerAnswer",
    "answers",
    "convert_to_half",
    "faster_in_float",
    "one_layer_at_a_time",
    "quantize_after_training",
    "quantize_dynamically",
    "quantize_mixed",
    "quantize_weights",
    "train_quantized",
]
