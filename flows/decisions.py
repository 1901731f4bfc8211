"""Decisions of named persons at the registry: approvals, the anchor of a model on a device, and further looks."""

from datetime import UTC, date, datetime
from pathlib import Path

from flows.terminal_tables import Column, Row, TerminalTable
from flows.visibility import notify, rolled_back, tell_decision
from quality_gates.approval import check_words
from quality_gates.errors import ApprovalError
from tasks.delivery import approve_version, lift_hold, roll_back
from tasks.errors import RegistryError
from tasks.outcomes import DeviceOutcome
from tasks.registry import EdgeModels, Grant, LookBudget, LookLedger, TakenLook, Upstream, spent, standing_holds
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
    line = approve_version(workspace, model, version, device, name=name, reason=reason, until=until)
    tell_decision(line, workspace)
    return line


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


def roll_back_to(model: str, device: str, version: str | None, *, by: str, reason: str) -> str:
    """Publish an earlier release once more; return in words what is deployed and what is held."""
    workspace = Workspace.from_environment()
    edge = roll_back(workspace, model, device, to=version, by=by, reason=reason)
    held = "".join(f" {hold}" for hold in _holds(model, device))
    told = f"{device}: release {edge.release} of version {edge.source_version} is deployed.{held}"
    notify(rolled_back(model, device, told))
    return told


def holds_of(model: str, device: str) -> str:
    """Return in words which versions are held back from a device, by whom, when and why."""
    return f"{device}: {' '.join(_holds(model, device)) or 'no version is held.'}"


def lift_holds(model: str, device: str, version: str | None, *, by: str, reason: str) -> str:
    """Lift the hold of a version, or of all; return in words what may be published again."""
    workspace = Workspace.from_environment()
    lifted = lift_hold(workspace, model, device, version=version, by=by, reason=reason)
    return f"{device}: version {', '.join(hold.version for hold in lifted)} may be published again."


def _holds(model: str, device: str) -> list[str]:
    models = _edge_models(model)
    deployed = models.deployed(device)
    standing = standing_holds(models.holds(device), deployed)
    return [f"{hold.sentence[0].upper()}{hold.sentence[1:]}." for hold in standing]


def looks_table(recipe: Path) -> TerminalTable:
    """Return a table of the looks of a recipe's gates at its test rows, the earliest first, and of those withheld.

    The level, and the share of these rows that a look was at, are columns where they are not the same for all.
    """
    budget = _ledger(recipe).read()
    looks = [look for look in budget.looks if look.counts or look.split == budget.split]
    levels = len({look.spending.level for look in looks}) > 1
    others = any(look.split != budget.split for look in looks)
    columns = [
        Column("look", right=True),
        Column("model"),
        Column("version", right=True),
        Column("device"),
        Column("recipe", spare=3),
        Column("when (UTC)", spare=2),
        Column("attempts", right=True, spare=1),
        *([Column("level", right=True)] if levels else []),
        *([Column("rows", right=True)] if others else []),
        Column("the gates"),
    ]
    rows = [Row(_look_cells(look, levels, others)) for look in looks]
    return TerminalTable(f"Looks of the gates of {recipe} at the test rows", columns, rows)


def wear_of(recipe: Path) -> str:
    """Return in words how many looks are taken, the share of the total that they spent, and who granted some."""
    return _wear(_ledger(recipe).read())


def grant_further(recipe: Path, looks: int, *, by: str, reason: str) -> str:
    """Grant further looks; return in words how worn the rows are now.

    Raises ApprovalError without a name, a reason and a look, or where nothing limits the looks.
    """
    check_words("further looks", by, reason)
    if looks < 1:
        raise ApprovalError(f"--looks: expected 1 or more further looks, got {looks:,}; say how many may be taken")
    ledger = _ledger(recipe)
    if ledger.read().stated_total() is None:
        raise ApprovalError(
            f"{recipe}: key `alpha_spending`: expected a total of false passes over a number of looks to grant more "
            "of, got none; no look is refused, so go on without a grant, or state such a total first"
        )
    ledger.grant(Grant(looks, ledger.spending.level, by.strip(), reason.strip()))
    return _wear(ledger.read())


def _edge_models(model: str) -> EdgeModels:
    uri = Workspace.from_environment().tracking_uri
    Upstream(uri).versions(model)  # a name that nobody registered is an error
    return EdgeModels(uri, model)


def _ledger(recipe: Path) -> LookLedger:
    read, splits = check_recipe(recipe)
    return ledger_of(Workspace.from_environment().tracking_uri, read, splits["test"])


def _wear(budget: LookBudget) -> str:
    taken, total, allowed = budget.others(""), budget.total(), budget.allowed("")
    withheld = sum(not look.counts and look.split == budget.split for look in budget.looks)
    beside = f"; {withheld:,} more withheld" if withheld else ""
    granted = "".join(f" {each.by} granted {each.looks:,}: {each.reason}." for each in budget.grants)
    if total is None:
        count = "1 look is" if len(taken) == 1 else f"{len(taken):,} looks are"
        at_most = _percent(min(1.0, spent(taken)))
        return (
            f"{count} taken{beside}; the recipe sets no number of them. Any of them passes falsely in "
            f"at most {at_most} of cases.{granted}"
        )
    number = f"{len(taken):,} of {allowed:,}" if allowed is not None else f"{len(taken):,}"
    return (
        f"{number} looks are taken{beside}. A look may pass falsely in {_percent(budget.spending.level)} of cases; "
        f"{_percent(spent(taken))} of {_percent(total)} in all are spent.{granted}"
    )


def _look_cells(look: TakenLook, levels: bool, others: bool) -> tuple[str, ...]:
    said = (look.said.get(name, "-") for name in ("model", "version", "device", "recipe"))
    again = sum(bool(attempt.get("again")) for attempt in look.attempts)
    attempts = f"{len(look.attempts)}" + (f" ({again} by hand)" if again else "")
    when = str(look.attempts[0].get("when", "-")) if look.attempts else "-"
    number = "-" if look.number is None else str(look.number)
    level = [_percent(look.spending.level)] if levels else []
    share = [f"{100 * look.rows:.0f} %"] if others else []
    return number, *said, when, attempts, *level, *share, look.outcome


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
