"""The commands of a device's reports: its key, making, sending, carrying, and their status."""

import argparse
from collections.abc import Callable

from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.device.ownership import become_owner
from edge_runtime.errors import BadConfiguration
from edge_runtime.reports import DeviceReports, Sending
from edge_runtime.update import UpdateExit

Say = Callable[[str], None]


def run_reports(configuration: UpdateConfiguration, options: argparse.Namespace, say: Say) -> UpdateExit:
    """Run what `reports` is asked for. Raises BadConfiguration, ReportError, UpdateError and OSError."""
    action: str = options.action
    if (options.folder is not None) != (action == "carry"):
        raise BadConfiguration("Expected a folder after `reports carry`, and after nothing else; give one.")
    reports = DeviceReports(configuration)
    if action == "carry":  # as whoever calls it: root may write to a stick where the owner of the state may not
        return _told(reports.carry(options.folder), f"carried to {options.folder}", say)
    become_owner(configuration.state)
    if action == "key":
        return _key(reports, say)
    if action == "make":
        if configuration.reports is None:
            raise BadConfiguration("reports: expected the table [reports] in the configuration, got none; add it.")
        say(f"report {reports.make()} is made, and waits")
        return UpdateExit.DONE
    if action == "send":
        return _told(reports.send(again=options.again), "sent", say)
    for line in reports.status_lines():
        say(line)
    return UpdateExit.DONE


def _key(reports: DeviceReports, say: Say) -> UpdateExit:
    """Print the public document alone, so that it can be redirected into a file; the fingerprint is in the status."""
    for line in reports.key().to_bytes().decode().splitlines():
        say(line)
    return UpdateExit.DONE


def _told(done: Sending, what: str, say: Say) -> UpdateExit:
    reports = "1 report was" if done.sent == 1 else f"{done.sent} reports were"
    say(f"{reports} {what}, {done.left} wait")
    if done.rejected:
        say(f"{done.rejected} were not taken: see the log")
        return UpdateExit.REFUSED
    return UpdateExit.DONE
