"""`python peer_tools.py TOOL SOURCE ROWS TARGET`: one float file quantized by one tool as its documentation says.

Runs in the peers' environment and knows nothing of this project. ROWS is a .npy file of calibration rows.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static


class Reader(CalibrationDataReader):  # type: ignore[misc] # its library is untyped
    """One row at a time."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        self.name, self.array = name, rows
        self.rewind()

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next row, None after the last."""
        return next(self.rows, None)

    def rewind(self) -> None:
        """Begin anew."""
        self.rows: Iterator[dict[str, np.ndarray]] = iter({self.name: row[None]} for row in self.array)


def onnxruntime(source: str, rows: np.ndarray, target: str) -> None:
    """ONNX Runtime's static quantization: QDQ, per channel, uint8 activations and int8 weights."""
    prepared = f"{target}.prepared"
    quant_pre_process(source, prepared)
    quantize_static(
        prepared,
        target,
        Reader(onnx.load(source).graph.input[0].name, rows),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def nncf(source: str, rows: np.ndarray, target: str) -> None:
    """NNCF's post-training quantization with its defaults."""
    import nncf

    model = onnx.load(source)
    name = model.graph.input[0].name
    onnx.save(nncf.quantize(model, nncf.Dataset(list(rows), lambda row: {name: row[None]})), target)


def neural_compressor(source: str, rows: np.ndarray, target: str) -> None:
    """Neural Compressor's static quantization for ONNX: QDQ, per channel."""
    from onnx_neural_compressor.quantization import config, quantize

    reader = Reader(onnx.load(source).graph.input[0].name, rows)
    quantize(
        source,
        target,
        config.StaticQuantConfig(calibration_data_reader=reader, quant_format=QuantFormat.QDQ, per_channel=True),
    )
    onnx.save(onnx.load(target), target)  # one file: it keeps the weights beside the graph


TOOLS: dict[str, Callable[[str, np.ndarray, str], None]] = {
    "onnxruntime": onnxruntime,
    "nncf": nncf,
    "neural_compressor": neural_compressor,
}

if __name__ == "__main__":
    TOOLS[sys.argv[1]](sys.argv[2], np.load(sys.argv[3]), sys.argv[4])
