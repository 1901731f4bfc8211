"""The first files of a registered model: a workload, a recipe and a device profile, with suggestions from the data.

In come a registered version and a folder of arrays or a workload, and what a person says; out go files with comments
that pass `edgewright recipes check`. Nothing that is there is written over, and nothing is trained.
"""

from flows.first_files.beginnings import Ask, FirstFiles, Say, Wishes, begin

__all__ = ["Ask", "FirstFiles", "Say", "Wishes", "begin"]
