"""The commands of a device: a configuration is read, a program runs, and its end becomes an exit code."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from edge_runtime.device.programs import agent_of, install_folder, roll_back_model, status_lines
from edge_runtime.errors import EdgewrightError
from edge_runtime.update import UpdateConfiguration, UpdateExit, exit_of, read_configuration


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
        talk.say_error(error)
        return int(exit_of(error))


def _install(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    """Install every model that is asked for; one that fails is in no other's way."""
    ends = [UpdateExit.DONE]
    for model in options.model or configuration.models:
        try:
            done = install_folder(configuration, options.folder, model, again=options.again)
        except (EdgewrightError, OSError, MemoryError) as error:
            talk.say_error(error)
            ends.append(exit_of(error))
            continue
        manifest = done.bundle.manifest
        what = f"{model}: release {manifest.release or '-'}, version {manifest.version} ({done.bundle.digest[:12]})"
        talk.say(f"{what} {'is installed and runs from now on' if done.changed else 'runs already'}")
    return max(ends)


def _update(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    agent = agent_of(configuration)
    if options.forever:
        agent.run_forever()
    ended = agent.run()
    for line in status_lines(configuration):
        if ": last update: " in line:
            (talk.say if ended is UpdateExit.DONE else talk.say_error)(line)
    return ended


def _status(configuration: UpdateConfiguration, _options: argparse.Namespace, talk: Talk) -> UpdateExit:
    for line in status_lines(configuration):
        talk.say(line)
    return UpdateExit.DONE


def _rollback(configuration: UpdateConfiguration, options: argparse.Namespace, talk: Talk) -> UpdateExit:
    bundle = roll_back_model(configuration, options.model, options.reason)
    talk.say(f"{options.model}: version {bundle.manifest.version} ({bundle.digest[:12]}) runs from now on")
    return UpdateExit.DONE


_COMMANDS = {"install": _install, "update": _update, "status": _status, "rollback": _rollback}
