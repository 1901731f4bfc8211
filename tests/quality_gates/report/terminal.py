"""The report as a terminal shows it."""

import io

from rich.console import Console

from quality_gates.report import ReportContent, render_text


def shown(content: ReportContent, width: int = 120) -> str:
    """Return the text of a terminal of so many columns, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render_text(content))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
