"""TODO."""

from model_compression.quantization.dynamic import quantize_dynamically
from model_compression.quantization.fp16 import convert_to_half
from model_compression.quantization.int4 import quantize_weights
from model_compression.quantization.mixed import faster_in_float, one_layer_at_a_time, quantize_mixed
from model_compression.quantization.qat import train_quantized
from model_compression.quantization.static import Activations, answers, quantize_after_training

__all__ = [
    "Activations",
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
