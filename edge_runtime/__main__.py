"""`python -m edge_runtime`: the programs of a device.

`install`, `shadow`, `update`, `status`, `rollback`, `reports`, `setup` and `mender` take the device's configuration.
`verify` and `predict` take a bundle; `profile` and `serve` take either.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from edge_runtime.bundle import Bundle, read_bundle
from edge_runtime.configuration import CONFIGURATION
from edge_runtime.errors import EdgewrightError

DEVICE_COMMANDS = {
    "install": "install models from a carried folder or tar archive",
    "shadow": "compare a carried release with what runs, on a share of the requests",
    "update": "bring every model up to date over the network",
    "status": "show what runs, since when, and what is held back",
    "rollback": "go back to the bundle before",
    "reports": "make, send or carry reports of this device, or show its key",
    "setup": "write units of systemd, or the update module of Mender",
    "mender": "do what Mender's update module is asked for",
}
WRONG = 4
"""Exit code of `profile` for a model that answers wrongly here, as that of a release that is refused."""
_SHOWN = 1000  # characters of an error: it may quote what somebody else wrote


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code, with one line on stderr where it failed.

    `verify`, `predict` and `serve` return 0 or 2; the others return the codes of edge_runtime.update.UpdateExit.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(message)s")
    if options.command in DEVICE_COMMANDS:
        return _on_device(options)
    if options.command == "serve":
        return _serve(options)
    try:
        if options.command == "profile":
            return _profile(options)
        bundle = read_bundle(options.bundle)
        if options.command == "verify":
            _verify(bundle)
        else:
            from edge_runtime.predicting import predict

            predict(bundle, options.input, options.output, options.labels)
    except (EdgewrightError, OSError) as error:
        _print_error(error)
        return 2
    return 0


def _on_device(options: argparse.Namespace) -> int:
    """Run a program that needs the device's configuration, and the packages of the extra `update`."""
    try:
        from edge_runtime.device import Talk, run
    except ImportError as error:
        _print_error(f"expected the packages of updates, got {error}; pip install 'edgewright-runtime[update]'")
        return 2
    return run(options, Talk(_print, _print_error))


def _serve(options: argparse.Namespace) -> int:
    """Serve models over HTTP until a signal; this needs the packages of the extra `serve`."""
    try:
        from edge_runtime.server import ServerLimits, ServerSettings, log_as_lines, serve
    except ImportError as error:
        _print_error(f"expected the packages of serving, got {error}; pip install 'edgewright-runtime[serve]'")
        return 2
    from edge_runtime.serving import Runtime, ServingSettings

    log_as_lines(verbose=options.verbose)
    body = options.max_body_mb << 20
    limits = ServerLimits(body=body, bodies=2 * body, connections=options.connections, drain_s=options.drain_s)
    server = ServerSettings(options.host, options.port, limits, options.announced_s, options.log_requests)
    try:
        settings = ServingSettings(
            most_waiting=options.most_waiting,
            most_waiting_mb=float(max(64, options.max_body_mb)),
            deadline_s=options.deadline_s,
            window_ms=options.window_ms,
            drain_s=options.drain_s,
        )
        runtime = (
            Runtime.of_bundle(*options.bundle, settings=settings)
            if options.bundle
            else Runtime.of_device(options.config, settings, wait=False)
        )
        serve(runtime, server)
    except (EdgewrightError, OSError) as error:
        _print_error(error)
        return 2
    return 0


def _print_error(error: object) -> None:
    _print(" ".join(f"error: {error}".split())[:_SHOWN], sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge_runtime", description="Install, verify and run bundles.")
    parser.add_argument("--verbose", action="store_true", help="say what is done")
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify", help="check every byte of a bundle against its digest")
    predict = commands.add_parser("predict", help="verify a bundle, then run it once")
    for command in (verify, predict):
        command.add_argument("bundle", type=Path, help="the path of its manifest, SHA256.manifest.json")
    predict.add_argument("input", type=Path, help=".npy for a model with one input, else .npz with one array per input")
    predict.add_argument("--output", type=Path, help=".npy for a model with one output, else .npz; default: print JSON")
    predict.add_argument("--labels", type=Path, nargs="?", const=Path(), metavar="FILE",
                         help="answer with names of classes: those of a file or the bundle")  # fmt: skip
    _of_profile(commands.add_parser("profile", help="measure a model on this very device"))
    _of_serve(commands.add_parser("serve", help="answer requests over HTTP, by the Open Inference Protocol"))
    for name, said in DEVICE_COMMANDS.items():
        command = commands.add_parser(name, help=said)
        command.add_argument("--config", type=Path, default=CONFIGURATION, help=f"default: {CONFIGURATION}")
        _ARGUMENTS[name](command)
    return parser


def _of_profile(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", nargs="*", help="installed models; default: all of the configuration")
    command.add_argument("--config", type=Path, default=CONFIGURATION, help=f"default: {CONFIGURATION}")
    command.add_argument("--bundle", type=Path, help="the path of a manifest, in place of installed models")
    command.add_argument("--processes", type=int, default=2, choices=range(1, 65), metavar="N",
                         help="processes that have the model at once; default: 2")  # fmt: skip
    command.add_argument("--rows", type=_sizes, default=(1, 4, 16, 64), metavar="N,N",
                         help="sizes of batches; default: 1,4,16,64")  # fmt: skip
    command.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds that a process may take")
    command.add_argument("--json", action="store_true", help="one line of JSON for each model")


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _of_serve(command: argparse.ArgumentParser) -> None:
    models = command.add_mutually_exclusive_group()
    models.add_argument("--config", type=Path, default=CONFIGURATION, help=f"default: {CONFIGURATION}")
    models.add_argument("--bundle", type=Path, action="append", help="a manifest in place of the models of the device")
    command.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, so only this device")
    for name, kind, default, least, most, said in (
        ("--port", int, 8080, 0, 65535, "0 for a free one"),
        ("--deadline-s", float, 30.0, 0.001, 3600.0, "of a request that names none"),
        ("--most-waiting", int, 256, 1, 1 << 20, "requests that wait for a model; one more is turned away"),
        ("--window-ms", float, 0.0, 0.0, 100.0, "a request may wait this long for others to run with"),
        ("--max-body-mb", int, 64, 1, 4096, "of a request, inflated or not"),
        ("--connections", int, 256, 1, 65536, "open at a time"),
        ("--announced-s", float, 0.0, 0.0, 3600.0, "go on before the end, but say not to be ready"),
        ("--drain-s", float, 10.0, 0.0, 3600.0, "for requests to be answered at the end"),
    ):
        told = f"{said}; {least:g} to {most:g}, default: {default:g}"
        command.add_argument(name, type=_bounded(kind, least, most), default=default, help=told)
    command.add_argument("--log-requests", action="store_true", help="log every request, not only what failed")


def _bounded(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """Return a reader of numbers within bounds."""

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise ValueError
        return value

    return number


def _of_install(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="the folder or tar archive that was carried here, with its metadata")
    command.add_argument("--model", action="append", help="default: all models of the configuration that are in it")
    command.add_argument("--again", action="store_true", help="try what failed before")


def _of_shadow(command: argparse.ArgumentParser) -> None:
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", type=Path, nargs="?", help="the folder or tar archive with it, as `install` takes it")
    what.add_argument("--end", action="store_true", help="end it, and remove what is kept of it")
    command.add_argument("--model", action="append", help="default: all models of the configuration that are in it")
    command.add_argument("--share", type=_bounded(float, 1e-6, 1.0), default=0.1, metavar="S",
                         help="of the requests and of the time, at most 1; default: 0.1")  # fmt: skip
    command.add_argument("--memory-mb", type=_bounded(float, 1.0, 1e9), metavar="N",
                         help="the most that it may need; default: what is free")  # fmt: skip
    command.add_argument("--again", action="store_true", help="try what failed before")


def _of_update(command: argparse.ArgumentParser) -> None:
    command.add_argument("--forever", action="store_true", help="again and again, for devices without a timer")


def _of_status(_command: argparse.ArgumentParser) -> None:
    """Add nothing."""


def _of_rollback(command: argparse.ArgumentParser) -> None:
    command.add_argument("model")
    command.add_argument("--reason", required=True, help="why, for the status")


def _of_reports(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", choices=("key", "make", "send", "carry", "status"))
    command.add_argument("folder", type=Path, nargs="?", help="of `carry`: where to, such as a stick")
    command.add_argument("--again", action="store_true", help="of `send`: also what the server did not take before")


def _of_setup(command: argparse.ArgumentParser) -> None:
    command.add_argument("kind", choices=("systemd", "mender"))
    command.add_argument("--root", type=Path, default=Path("/"), help="write below this folder, as for an image")


def _of_mender(command: argparse.ArgumentParser) -> None:
    command.add_argument("state", choices=("ArtifactInstall", "ArtifactRollback"))
    command.add_argument("tree", type=Path, help="the folder of the artifact, as Mender gives it")


_ARGUMENTS = {
    "install": _of_install,
    "shadow": _of_shadow,
    "update": _of_update,
    "status": _of_status,
    "rollback": _of_rollback,
    "reports": _of_reports,
    "setup": _of_setup,
    "mender": _of_mender,
}


def _profile(options: argparse.Namespace) -> int:
    """Measure models on this device; return 4 where one answers wrongly, else 0."""
    from edge_runtime.install import portable
    from edge_runtime.profiling import profile_lines, profile_model

    if options.bundle is not None:
        bundle = read_bundle(options.bundle)
        found = [(bundle, portable(bundle))]
    else:
        try:
            from edge_runtime.device import installed_models
        except ImportError as error:
            raise EdgewrightError(
                f"expected the packages of updates, got {error}; pip install 'edgewright-runtime[update]', or give a "
                "--bundle"
            ) from error
        found = installed_models(options.config, options.model)
    code = 0
    for bundle, runs in found:
        profile = profile_model(
            bundle, runs, processes=options.processes, sizes=options.rows, timeout_s=options.timeout
        )
        for line in [json.dumps(profile.to_plain())] if options.json else profile_lines(profile):
            _print(line)
        code = code if profile.answers is None else WRONG
    return code


def _verify(bundle: Bundle) -> None:
    manifest = bundle.manifest
    size = sum(blob.size for blob in manifest.blobs)
    _print(
        f"intact: {manifest.model} version {manifest.version} for {manifest.device}, "
        f"{len(manifest.blobs)} blob(s), {size} bytes, digest {bundle.digest}"
    )
    for head in manifest.heads:
        _print(f"head {head.name}: gives {', '.join(head.outputs)}")
    if "answers" in manifest.lineage:
        _print(f"answers: {manifest.lineage['answers']}")
    if manifest.approval:
        said = manifest.approval
        _print(f"overridden: {said['approved_by']} until {said['approved_until']}: {said['approval_reason']}")


def _print(text: str, stream: TextIO | None = None) -> None:
    """Print a line without any character that a terminal would obey, in an encoding that the stream has."""
    stream = sys.stdout if stream is None else stream
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    encoding = stream.encoding or "utf-8"
    print(shown.encode(encoding, "backslashreplace").decode(encoding), file=stream)


if __name__ == "__main__":
    sys.exit(main())
