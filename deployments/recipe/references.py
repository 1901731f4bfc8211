"""Texts of recipes that name things elsewhere: registered models and the user's own Python classes."""

from typing import Annotated

from deployments.yaml_file import WrittenAs

ModelName = Annotated[
    str,
    WrittenAs(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        "the name of a registered model, of letters, digits, dots, dashes and underscores",
    ),
]
WorkloadReference = Annotated[
    str,
    WrittenAs(
        r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
        "package.module:Class, such as deployments.workloads.digits:Digits",
    ),
]
