"""The programs of a device, each with its exit code: update, install from a folder, status, and the way back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.bundle import Bundle
from edge_runtime.configuration import UpdateConfiguration, read_configuration
from edge_runtime.device.carried import Carried
from edge_runtime.device.joined import METADATA, InstallStep, TrustedReleases, settings_of, store_of
from edge_runtime.files import make_directories
from edge_runtime.install import (
    DeviceStore,
    HowItRuns,
    Installed,
    ModelStatus,
    ShadowBudget,
    end_shadow,
    how_it_runs,
    install,
    install_shadow,
    roll_back,
    running,
    statuses,
)
from edge_runtime.trust import trust_state
from edge_runtime.update import AGENT_LOCK, EndingRecords, ModelEnding, UpdateAgent, exclusive

ENDINGS = "update.json"


def agent_of(configuration: UpdateConfiguration) -> UpdateAgent:
    """Return the update agent of a device."""
    return UpdateAgent(configuration, TrustedReleases(configuration), InstallStep(configuration))


def install_carried(
    configuration: UpdateConfiguration, carried: Carried, model: str, *, again: bool = False
) -> Installed:
    """Install a model's newest release from what carries its metadata with it, whatever brought that.

    `again` tries what failed before. Raises TrustError for what cannot be trusted, InstallError, and HeldBack where an
    update runs: what that has fetched so far must not be removed.
    """
    with _carried_target(configuration, carried, model) as (store, data):
        return install(store, model, data, carried, settings_of(configuration), again=again)


@contextmanager
def _carried_target(
    configuration: UpdateConfiguration, carried: Carried, model: str
) -> Iterator[tuple[DeviceStore, bytes]]:
    """Yield the store, and the verified manifest of a model's newest carried release, while no update runs."""
    make_directories(configuration.state)
    with exclusive(configuration.state / AGENT_LOCK):
        target = TrustedReleases(configuration).target(model, carried.fetch)
        store = store_of(configuration)
        yield store, target.data
        store.clean_parts()


def shadow_carried(
    configuration: UpdateConfiguration, carried: Carried, model: str, budget: ShadowBudget, *, again: bool = False
) -> Installed:
    """Let a model's newest release, from what carries its metadata, be the shadow of the one that runs.

    Raises as `install_carried`, and InstallError for one that cannot be compared or needs more than the budget.
    """
    with _carried_target(configuration, carried, model) as (store, data):
        return install_shadow(store, model, data, carried, settings_of(configuration), budget, again=again)


def end_shadows(configuration: UpdateConfiguration, models: Sequence[str]) -> list[str]:
    """End the shadows of models, and remove their files; return those that had one.

    Raises InstallError, and HeldBack where an update runs.
    """
    make_directories(configuration.state)
    with exclusive(configuration.state / AGENT_LOCK):
        return [model for model in models if end_shadow(store_of(configuration), model)]


def roll_back_model(configuration: UpdateConfiguration, model: str, reason: str | None) -> Bundle:
    """Go back to the bundle before; the one that is left is not tried again, unless no reason is given.

    Raises InstallError.
    """
    return roll_back(store_of(configuration), model, reason, settings_of(configuration).limits)


def installed_models(configuration: Path, models: Sequence[str] = ()) -> list[tuple[Bundle, HowItRuns]]:
    """Return what runs on a device, and how: the models that are asked for, or all of a configuration's.

    Raises InstallError where one of them is not installed, BadConfiguration, and BundleError.
    """
    read = read_configuration(configuration)
    store = store_of(read)
    bundles = [running(store, model).bundle for model in models or read.models]
    return [(bundle, how_it_runs(store, bundle)) for bundle in bundles]


def status_lines(configuration: UpdateConfiguration) -> Iterator[str]:
    """Yield what people ask of a device: what runs since when, what is held back and why, and until when it trusts."""
    found = {status.model: status for status in statuses(store_of(configuration))}
    for model in sorted({*configuration.models, *found}):
        yield from _model_lines(model, found.get(model))
    for ending in EndingRecords(configuration.state / ENDINGS).read():
        yield ending_line(ending)
    trust = trust_state(configuration.state / METADATA)
    for role, state in sorted(trust.roles.items()):
        yield f"trust: {role} version {state.version} until {state.expires:%Y-%m-%d}"
    if trust.time_floor is not None:
        yield f"trust: it is at least {trust.time_floor:%Y-%m-%dT%H:%M:%SZ}"


def ending_line(ending: ModelEnding) -> str:
    """Return how an update of a model ended; since when it is so where that was written down."""
    since = f" since {ending.since}" if ending.since else ""
    return f"{ending.model}: last update: {ending.exit.name.lower().replace('_', ' ')}{since}: {ending.message}"


def has_lost_states(configuration: UpdateConfiguration) -> bool:
    """Tell whether the state of a model cannot be read: applications find no model then."""
    return any(status.lost for status in statuses(store_of(configuration)))


def _model_lines(model: str, status: ModelStatus | None) -> Iterator[str]:
    if status is not None and status.lost is not None:
        yield f"{model}: nothing runs: {status.lost}"
    elif status is None or status.state.current is None:
        yield f"{model}: nothing is installed"
    else:
        yield f"{model}: runs {_named(status.current, status.state.current)} since {status.state.since}"
        if status.current is not None and (heads := status.current.manifest.heads):
            yield f"{model}: answers by {len(heads)} heads: {', '.join(head.name for head in heads)}"
    if status is None:
        return
    if status.state.previous is not None:
        yield f"{model}: before it {_named(status.previous, status.state.previous)}, the way back"
    if status.state.shadow is not None:
        shadow = status.state.shadow
        share = f"{shadow.budget.share:.4g} of the requests"
        yield f"{model}: beside it {_named(status.shadow, shadow.digest)}, compared on {share} since {shadow.since}"
    if status.state.trial is not None:
        trial = status.state.trial
        yield f"{model}: trial {trial.attempts} of {trial.digest[:12]} did not end"
    for each in status.state.refused:
        yield f"{model}: {each.digest[:12]} is not tried again: {each.reason}"


def _named(bundle: Bundle | None, digest: str) -> str:
    if bundle is None:
        return f"{digest[:12]}, whose manifest is damaged"
    manifest = bundle.manifest
    return f"release {manifest.release or '-'}, version {manifest.version} ({digest[:12]})"
