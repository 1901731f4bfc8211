"""The algorithms: intake, pruning, distillation, quantization, export. Pure torch and ONNX."""
