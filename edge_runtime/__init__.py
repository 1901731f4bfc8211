"""The runtime that ships to the device: bundles, sessions, measurement. numpy and onnxruntime only."""
