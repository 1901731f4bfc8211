"""Static INT8 quantization: ranges are observed once, and any selection of layers is quantized by them."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationMethod,
    QuantFormat,
    QuantType,
    TensorsData,
    quant_pre_process,
    quantize_static,
    save_tensors_data,
)

from model_compression.errors import CompressionError, QuantizationError, cause_of
from model_compression.onnx_files import compact, pack_weights, save_onnx, strip
from model_compression.quantization.float_regions import region, steps_of
from model_compression.quantization.masks import operations_in_float, operations_of
from model_compression.quantization.ranges import observe_ranges
from model_compression.quiet import quiet
from model_compression.settings import Activations
from model_compression.training import Arrays

TYPES: dict[Activations, QuantType] = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FLOAT_KERNELS = ("ConvTranspose",)  # ONNX Runtime computes them in float, whatever is around them
FUSED = ("Relu", "Clip")  # activations that ONNX Runtime computes with the layer before them
BATCH_ROWS = 256
MADE = ("QuantizeLinear", "DequantizeLinear")
REMEDY = "check that the calibration split fits the model, or drop `ptq` from the ladder"
ALL_IN_FLOAT = "every layer is faster in float: add `float` to the ladder, or drop `float_where_faster` from it"


logger = logging.getLogger("edgewright")


class StaticQuantizer:
    """A float graph with its ranges, from which QDQ graphs with per-channel int8 weights are made.

    Operations on masked values stay in float, and so do those that have no integer kernel, whose weights pack_weights()
    stores in 8 bits. So do those that cannot be quantized: `refused` has the names of these nodes.
    """

    def __init__(
        self, source: Path, calibration: Arrays, folder: Path, method: str, reduce_range: bool, activations: Activations
    ) -> None:  # fmt: skip
        self.prepared, self._cache, self._made = (folder / n for n in ("prepared.onnx", "ranges.json", "made.onnx"))
        quant_pre_process(source, self.prepared, skip_symbolic_shape=True)
        self.graph = _with_names(self.prepared)
        ranges = observe_ranges(self.graph, calibration, method)
        values = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.cut.items()}
        save_tensors_data(TensorsData(CalibrationMethod.MinMax, values), self._cache)
        self._reduce_range, self._activations = reduce_range, activations
        self._row = tuple(array[:1] for array in calibration)
        without_kernel = {node.name for node in self.graph.graph.node if node.op_type in FLOAT_KERNELS}
        self._kept = operations_in_float(operations_of(self.graph), ranges.seen) | without_kernel
        self.refused: tuple[str, ...] = ()
        self.refused = tuple(
            self._refused([node.name for node in self.graph.graph.node if node.name not in self._kept])
        )

    def layers(self) -> dict[str, str]:
        """Map each layer with constant weights, by the name of its weight, to its node, in the graph's order.

        Layers that cannot be quantized are left out.
        """
        weights = {weight.name for weight in self.graph.graph.initializer}
        return {
            node.input[1].removesuffix(".weight"): node.name
            for node in self.graph.graph.node
            if node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in weights
            if node.name not in (*self._kept, *self.refused)
        }

    def shipped_with(self, node: str) -> list[str]:
        """Return a layer's node, and that of the activation that is computed with it: its range is behind that."""
        (layer,) = (each for each in self.graph.graph.node if each.name == node)
        readers = [each for each in self.graph.graph.node if layer.output[0] in each.input]
        is_read = layer.output[0] in {value.name for value in self.graph.graph.output}
        fused = [each.name for each in readers if each.op_type in FUSED and len(readers) == 1 and not is_read]
        return [node, *(name for name in fused if name not in (*self._kept, *self.refused))]

    def region(self, in_float: Sequence[str]) -> list[str]:
        """Return the nodes that stay in float with these layers: their own, and those that lie between them alone."""
        layers = self.layers()
        fixed = {node.name for node in self.graph.graph.node if node.op_type in WEIGHTED}
        fixed &= {*self._kept, *self.refused}
        chosen = {layers[layer] for layer in in_float if layer in layers}
        return sorted(region(steps_of(self.graph, {*layers.values(), *fixed}), {*chosen, *fixed}))

    def quantized(self, *, only: Sequence[str] = (), without: Sequence[str] = ()) -> onnx.ModelProto:
        """Quantize all nodes, `only` the named ones, or all except those in `without`."""
        quantize_static(
            self.prepared,
            self._made,
            nodes_to_quantize=list(only) or None,
            nodes_to_exclude=[*self._kept, *self.refused, *without] or None,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=self._reduce_range,
            activation_type=TYPES[self._activations],
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=self._cache,
        )
        return onnx.load(self._made)

    def _refused(self, nodes: list[str]) -> list[str]:
        """Return the nodes that the quantizer or ONNX Runtime cannot do, by halving."""
        if not nodes or self._runs(nodes):
            return []
        if len(nodes) == 1:
            return nodes
        half = len(nodes) // 2
        return [*self._refused(nodes[:half]), *self._refused(nodes[half:])]

    def _runs(self, nodes: list[str]) -> bool:
        try:
            answers(self.quantized(only=nodes), self._row)
        except Exception as error:  # both raise errors of many kinds
            logger.debug("%d nodes do not quantize together: %s", len(nodes), cause_of(error))
            return False
        return True


def _with_names(path: Path) -> onnx.ModelProto:
    """Give every node of a file a name, by which it can be left out; returns the graph."""
    model = onnx.load(path)
    taken = {node.name for node in model.graph.node}
    free = (name for name in (f"node_{index}" for index in range(2 * len(model.graph.node))) if name not in taken)
    for node in model.graph.node:
        node.name = node.name or next(free)
    onnx.save_model(model, path)
    return model


@contextmanager
def static_quantizer(
    source: Path,
    calibration: Arrays,
    *,
    method: str,
    reduce_range: bool,
    remedy: str,
    activations: Activations = "uint8",
) -> Iterator[StaticQuantizer]:
    """Open a float ONNX file for static quantization; its work folder lives as long as the context.

    `method` is minmax, percentile or entropy. `activations` int8 is for other devices than x86, where ONNX Runtime was
    slower with it than in FP32. `reduce_range` keeps weights within -64 to 64, for CPUs whose 8-bit dot product
    saturates (AVX2, and AVX-512 without VNNI). Raises QuantizationError, whose message ends with `remedy`, for
    everything that goes wrong inside.
    """
    refused: tuple[str, ...] = ()
    try:
        with tempfile.TemporaryDirectory(prefix="edgewright-static-") as folder, quiet("", "onnxruntime"):
            quantizer = StaticQuantizer(source, calibration, Path(folder), method, reduce_range, activations)
            refused = quantizer.refused
            yield quantizer
    except CompressionError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class below Exception
        raise QuantizationError(
            f"expected {source.name} to quantize with {len(calibration[0])} calibration rows, got {cause_of(error)}; "
            f"{remedy}"
        ) from error
    if refused:
        logger.info("in float, because ONNX Runtime's quantizer cannot do them: %s", ", ".join(refused))


def check_quantized(model: onnx.ModelProto, name: str, remedy: str) -> None:
    """Raise QuantizationError for a graph in which nothing was quantized.

    ONNX Runtime returns such a graph unchanged and without an error.
    """
    if not any(node.op_type in MADE for node in model.graph.node):
        raise QuantizationError(
            f"expected {name} to have operators that ONNX Runtime quantizes statically, found none; {remedy}"
        )


def answers(model: onnx.ModelProto | Path, rows: Arrays) -> np.ndarray:
    """Run a graph on all rows, on this machine; returns its first output, shape (rows, ...)."""
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return np.concatenate(
        [
            session.run(None, {name: a[start : start + BATCH_ROWS] for name, a in zip(names, rows, strict=True)})[0]
            for start in range(0, len(rows[0]), BATCH_ROWS)
        ]
    )


def quantize_after_training(
    source: Path,
    calibration: Arrays,
    path: Path,
    *,
    method: str,
    reduce_range: bool,
    activations: Activations = "uint8",
    in_float: Sequence[str] = (),
) -> Path:
    """Quantize an FP32 ONNX file to INT8 (QDQ, per-channel weights); returns the path.

    The settings are those of static_quantizer(); the layers called `in_float` are not quantized. Raises
    QuantizationError, also for a model without such an operator; `path` is then not written.
    """
    with static_quantizer(
        source, calibration, method=method, reduce_range=reduce_range, remedy=REMEDY, activations=activations
    ) as quantizer:
        model = quantizer.quantized(without=quantizer.region(in_float))
    check_quantized(model, source.name, ALL_IN_FLOAT if in_float else "drop `ptq` from the ladder")
    pack_weights(model)
    return save_onnx(compact(strip(model)), path)
