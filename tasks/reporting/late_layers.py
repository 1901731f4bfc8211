"""The losses of single layers in a report that is recorded already: they are taken last, as nothing waits for them."""

import logging

from quality_gates.report import ReportContent, render_html, report_tables
from tasks.errors import one_line
from tasks.outcomes import CONTENT, REPORT
from tasks.reporting.gate_report import with_layers
from tasks.reporting.losses import layer_losses
from tasks.selection import Attempt
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
TABLE = "layers"


def record_layers(context: DeviceContext, chosen: Attempt) -> None:
    """Take the losses of single layers of a judged file, where the recipe wants them, and write its report again.

    A failure is a warning: the answer is recorded, and a release may be published.
    """
    if not context.job.recipe.layer_losses:
        return
    runs, run = context.runs, context.device_run
    try:
        losses = layer_losses(context, chosen)
        recorded = ReportContent.model_validate_json(runs.read_text(run, CONTENT))
        content = with_layers(recorded, chosen, losses)
        runs.log_texts(run, {REPORT: render_html(content), CONTENT: content.model_dump_json()})
        tables = report_tables(content)
        runs.tables(run, {f"{TABLE}.json": tables[TABLE]} if TABLE in tables else {})
    except Exception as error:  # whatever it is, it changes no answer
        logger.warning("%s: the report has no losses of single layers: %s", context.device.name, one_line(error))
