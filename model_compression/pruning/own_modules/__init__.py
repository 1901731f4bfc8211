"""Modules of code, such as those of `build_model()`, that lose the units which were found in their own program.

A module is exported and rebuilt as a twin: a graph in which units are found, scored and removed as in every rebuilt
program. `program_of` gives the twin. `change` takes units out of the twin and lets the module follow: its tensors,
the sizes in its attributes, the blocks that it calls. `try_change` does so on copies. A module that then answers
otherwise than its twin is refused with a sentence.
"""

from model_compression.pruning.own_modules.changes import change, try_change
from model_compression.pruning.own_modules.smaller_attention import SmallerAttention
from model_compression.pruning.own_modules.twin import program_of

__all__ = ["SmallerAttention", "change", "program_of", "try_change"]
