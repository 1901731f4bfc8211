"""The commands of a device: a configuration is read, a program runs, and its end becomes an exit code."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.configuration import UpdateConfiguration, read_configuration
from edge_runtime.device import mender
from edge_runtime.device.carried import Carried, open_carried
from edge_runtime.device.host_files import next_commands, write_host_files
from edge_runtime.device.ownership import become_owner
from edge_runtime.device.programs import (
    agent_of,
    end_shadows,
    ending_line,
    has_lost_states,
    install_carried,
    roll_back_model,
    shadow_carried,
    status_lines,
)
from edge_runtime.device.report_commands import run_reports
from edge_runtime.errors import EdgewrightError, InstallError
from edge_runtime.install import Installed, ShadowBudget
from edge_runtime.reports import DeviceReports
from edge_runtime.update import SEVERITY, UpdateExit, exit_of


@dataclass(frozen=True)
class Talk:
    """The two ways in which a command speaks: a line of its result, and an error on one line."""

    say: Callable[[str], None]
    say_error: Callable[[object], None]


def run(options: argparse.Namespace, talk: Talk) -> int:
    """Run the command that `options` name; return an exit code of UpdateExit."""
    try:
        return int(_COMMANDS[options.command](read_configuration(options.config), options, talk))
    except (EdgewrightError, OSError, MemoryError) as error:
        talk.say_error(_in_words(error))
        return int(exit_of(error))


def _in_words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _install(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    with open_carried(options.folder) as carried:
        become_owner(configuration.state)
        models = options.model or _models_in(carried, configuration, options.folder, talk)
        return _install_each(configuration, carried, models, talk, again=options.again)


def _shadow(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    """Let what was carried here be compared with what runs, or end that; one that fails is in no other's way."""
    if options.end:
        become_owner(configuration.state)
        for model in end_shadows(configuration, options.model or configuration.models):
            talk.say(f"{model}: its shadow has ended")
        return UpdateExit.DONE
    budget = ShadowBudget(options.share, options.memory_mb)
    with open_carried(options.folder) as carried:
        become_owner(configuration.state)
        models = options.model or _models_in(carried, configuration, options.folder, talk)

        def said(model: str) -> str:
            done = shadow_carried(configuration, carried, model, budget, again=options.again)
            return f"{_what(model, done)} is compared with what runs, on {budget.share:.4g} of the requests"

        return _each(models, talk, said)


def _models_in(carried: Carried, configuration: UpdateConfiguration, place: Path, talk: Talk) -> list[str]:
    """Return the configured models that were carried here. Raises InstallError where none was."""
    found = carried.models(configuration.device)
    models = [model for model in configuration.models if model in found]
    if not models:
        raise InstallError(
            f"{place}: expected a release for {configuration.device} of {', '.join(configuration.models)}, got "
            f"{', '.join(found) or 'none'}; carry what was exported for this device"
        )
    for model in configuration.models:
        if model not in models:
            talk.say(f"{model}: nothing of it was carried here")
    return models


def _install_each(
    configuration: UpdateConfiguration, carried: Carried, models: Sequence[str], talk: Talk, *, again: bool = False
) -> UpdateExit:
    """Install models; one that fails is in no other's way."""

    def said(model: str) -> str:
        done = install_carried(configuration, carried, model, again=again)
        return f"{_what(model, done)} {'is installed and runs from now on' if done.changed else 'runs already'}"

    return _each(models, talk, said)


def _each(models: Sequence[str], talk: Talk, said: Callable[[str], str]) -> UpdateExit:
    """Say what `said` does with each model; return the gravest ending."""
    ends = [UpdateExit.DONE]
    for model in models:
        try:
            talk.say(said(model))
        except (EdgewrightError, OSError, MemoryError) as error:
            talk.say_error(_in_words(error))
            ends.append(exit_of(error))
    return max(ends, key=SEVERITY.index)


def _what(model: str, done: Installed) -> str:
    manifest = done.bundle.manifest
    return f"{model}: release {manifest.release or '-'}, version {manifest.version} ({done.bundle.digest[:12]})"


def _mender(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    """Do what Mender's update module is asked for; files of the tree are read before root is given up."""
    if options.state == mender.ROLLBACK:
        before = mender.remembered(options.tree)
        become_owner(configuration.state)
        for model in mender.go_back(configuration, before):
            talk.say(f"{model}: what ran before the artifact runs again")
        return UpdateExit.DONE
    mender.remember(configuration, options.tree)
    with open_carried(options.tree / mender.PAYLOAD) as carried:
        become_owner(configuration.state)
        models = _models_in(carried, configuration, mender.PAYLOAD, talk)
        return _install_each(configuration, carried, models, talk)


def _update(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    become_owner(configuration.state)
    agent, reports = agent_of(configuration), DeviceReports(configuration)
    if options.forever:
        agent.run_forever(reports.after_update)
    ended = agent.run()
    for ending in agent.endings:
        (talk.say if ending.exit is UpdateExit.DONE else talk.say_error)(ending_line(ending))
    reports.after_update()
    return ended


def _status(configuration: UpdateConfiguration, _options: argparse.Namespace, talk: Talk) -> UpdateExit:
    for line in status_lines(configuration):
        talk.say(line)
    return UpdateExit.REFUSED if has_lost_states(configuration) else UpdateExit.DONE


def _rollback(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    become_owner(configuration.state)
    bundle = roll_back_model(configuration, options.model, options.reason)
    talk.say(f"{options.model}: version {bundle.manifest.version} ({bundle.digest[:12]}) runs from now on")
    return UpdateExit.DONE


def _reports(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    return run_reports(configuration, options, talk.say)


def _setup(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    for path in write_host_files(options.kind, configuration, options.config, options.root):
        talk.say(f"written: {path}")
    for command in next_commands(options.kind):
        talk.say(f"next: {command}")
    return UpdateExit.DONE


_COMMANDS = {
    "install": _install,
    "shadow": _shadow,
    "update": _update,
    "status": _status,
    "rollback": _rollback,
    "reports": _reports,
    "setup": _setup,
    "mender": _mender,
}
