"""Students: small networks made for the hardware, which learn from the parent."""

from model_compression.students.architecture import FAMILIES, Architecture, Interface, build_student, widest

__all__ = ["FAMILIES", "Architecture", "Interface", "build_student", "widest"]
