"""Decisions of named persons at the registry: approvals, the anchor of a model on a device, and further looks."""

from datetime import UTC, date, datetime
from pathlib import Path

from flows.terminal_tables import Column, Row, TerminalTable
from quality_gates.approval import check_words
from quality_gates.errors import ApprovalError
from quality_gates.policy import AlphaSpending
from tasks.delivery import approve_version
from tasks.errors import RegistryError
from tasks.outcomes import DeviceOutcome
from tasks.registry import EdgeModels, Grant, LookLedger, TakenLook, Upstream
from tasks.selection import ledger_of
from tasks.upstream import check_recipe
from tasks.workspace import Workspace


def day_of(text: str) -> date:
    """Read the last day of an approval. Raises ApprovalError for another form."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        raise ApprovalError(
            f"--until: expected a day of the calendar as YEAR-MONTH-DAY, got {text!r}; write it like 2027-01-31"
        ) from error


def approve_subject(subject: str, device: str, *, name: str, reason: str, until: date) -> DeviceOutcome:
    """Publish MODEL/VERSION on a device against its gates. Raises ApprovalError where it may not be approved."""
    model, _, version = subject.partition("/")
    if not version:
        raise ApprovalError(f"expected MODEL/VERSION, got {subject!r}; an approval is for one version")
    workspace = Workspace.from_environment()
    return approve_version(workspace, model, version, device, name=name, reason=reason, until=until)


def anchor_of(model: str, device: str) -> str:
    """Return the anchor of a model on a device in words. Raises RegistryError where no release has passed yet."""
    found = _edge_models(model).anchor(device)
    if found is None:
        raise RegistryError(
            f"model {model}: expected a release that passed its gates on {device} as the anchor, got none; publish a "
            "version, and check the name of the device"
        )
    return f"{device}: {found.sentence}."


def move_anchor(model: str, device: str, release: int, *, by: str, reason: str) -> str:
    """Move the anchor; return what it is now. Raises ApprovalError without a name and a reason, RegistryError."""
    check_words("anchor", by, reason)
    models, day = _edge_models(model), f"{datetime.now(UTC):%Y-%m-%d}"
    moved = models.set_anchor(device, release, by=by.strip(), when=day, reason=reason.strip())
    return f"{device}: {moved.sentence}."


def looks_table(recipe: Path) -> TerminalTable:
    """Return a table of the looks of a recipe's gates at its test rows, the earliest first."""
    columns = (
        Column("look", right=True),
        Column("model"),
        Column("version", right=True),
        Column("device"),
        Column("recipe", spare=3),
        Column("when (UTC)", spare=2),
        Column("attempts", right=True, spare=1),
        Column("the gates"),
    )
    rows = [Row(_look_cells(look)) for look in _ledger(recipe)[0].looks()]
    return TerminalTable(f"Looks of the gates of {recipe} at the test rows", columns, rows)


def wear_of(recipe: Path) -> str:
    """Return in words how many looks are taken and allowed, and who granted some."""
    ledger, spending = _ledger(recipe)
    taken, grants = len(ledger.looks()), ledger.grants()
    granted = "".join(f" {each.by} granted {each.looks:,}: {each.reason}." for each in grants)
    if spending is None:
        return f"{taken:,} looks; the recipe sets no number of them.{granted}"
    allowed = spending.looks + sum(each.looks for each in grants)
    return f"{taken:,} of {allowed:,} looks, each at {100 * spending.level:g} % false passes.{granted}"


def grant_further(recipe: Path, looks: int, *, by: str, reason: str) -> str:
    """Grant further looks; return in words how worn the rows are now.

    Raises ApprovalError without a name and a reason, or where the recipe sets no number of looks.
    """
    check_words("further looks", by, reason)
    ledger, spending = _ledger(recipe)
    if spending is None:
        raise ApprovalError(
            f"{recipe}: key `alpha_spending`: expected a number of looks to grant more of, got none; no look is refused"
        )
    ledger.grant(Grant(looks, by.strip(), reason.strip()))
    return wear_of(recipe)


def _edge_models(model: str) -> EdgeModels:
    uri = Workspace.from_environment().tracking_uri
    Upstream(uri).versions(model)  # a name that nobody registered is an error
    return EdgeModels(uri, model)


def _ledger(recipe: Path) -> tuple[LookLedger, AlphaSpending | None]:
    read, splits = check_recipe(recipe)
    return ledger_of(Workspace.from_environment().tracking_uri, read, splits["test"]), read.alpha_spending


def _look_cells(look: TakenLook) -> tuple[str, ...]:
    said = (look.said.get(name, "-") for name in ("model", "version", "device", "recipe"))
    again = sum(bool(attempt.get("again")) for attempt in look.attempts)
    attempts = f"{len(look.attempts)}" + (f" ({again} by hand)" if again else "")
    when = str(look.attempts[0].get("when", "-")) if look.attempts else "-"
    return "-" if look.number is None else str(look.number), *said, when, attempts, look.outcome
