"""Students: small networks that fit the hardware and learn from the parent.

A parent's interface (the shapes of its inputs, its classes) and an architecture (a family, a width, a depth) come in; a
network with fresh weights goes out. `widest` searches the largest width that fits a budget.
"""

from model_compression.students.architecture import FAMILIES, Architecture, Interface, build_student, widest

__all__ = ["FAMILIES", "Architecture", "Interface", "build_student", "widest"]
