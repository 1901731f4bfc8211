"""`python -P -m edge_runtime.remote`: measures on this device what a pipeline asks for, on stdin and stdout."""

import os
import sys
from contextlib import suppress

from edge_runtime.errors import MeasurementInterrupted
from edge_runtime.remote.far_end import answer_pipeline


def main() -> int:
    """Answer until the pipeline has no more questions; whatever else would write to stdout is led to stderr.

    Return 0, or 2 with one line on stderr.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    try:
        with suppress(BrokenPipeError):
            answer_pipeline(incoming, outgoing)
    except (MeasurementInterrupted, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"error: {type(error).__name__}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
