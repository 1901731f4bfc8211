"""Deltas that know models: a file of weights or a graph from the file that a device has, in few bytes.

Two files come in, a delta goes out (`encode_delta`, for the publisher); a base and a delta come in, the file goes out
(`apply_delta`, for the device), and it has the promised digest or there is a DeltaError. Weights of two versions differ
by small steps, so they are subtracted before they are compressed. A delta without a base is the compressed file.
"""

from edge_runtime.deltas.delta_decoder import apply_delta
from edge_runtime.deltas.delta_encoder import encode_delta
from edge_runtime.deltas.delta_format import EMPTY

__all__ = ["EMPTY", "apply_delta", "encode_delta"]
