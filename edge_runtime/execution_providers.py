"""Execution providers of a session: those that are built into ONNX Runtime, and those of plugins, which are loaded."""

import importlib
from functools import cache

import onnxruntime as ort

from edge_runtime.errors import SessionError
from edge_runtime.onnxruntime_packages import plugins


def use_provider(options: ort.SessionOptions, name: str) -> list[str]:
    """Return the providers to make a session with; one of a plugin is put into the options instead.

    A plugin may offer several devices, such as a CPU and a GPU; the first one that it names is used.
    Raises SessionError for a provider that nothing here has, and for a plugin that does not load or finds no device.
    """
    if name in ort.get_available_providers():
        return [name]
    _load_plugin_of(name)
    devices = [device for device in ort.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise SessionError(f"The plugin of {name} is here, and finds no device on this machine that it can use.")
    options.add_provider_for_devices(devices[:1], {})
    return []


@cache
def _load_plugin_of(name: str) -> None:
    """Load the plugin that has a provider; one that does not load is in no other's way.

    Raises SessionError where none has it, or where one does not load that may have it.
    """
    failed: SessionError | None = None
    for package in plugins():
        try:
            plugin = importlib.import_module(package)
            if name in plugin.get_ep_names():
                ort.register_execution_provider_library(package, plugin.get_library_path())
                return
        except Exception as error:  # whatever the code of others raises
            failed = SessionError(f"The plugin {package} of ONNX Runtime does not load: {error}")
            failed.__cause__ = error
    if failed is not None:
        raise failed
    known = ", ".join([*ort.get_available_providers(), *plugins()])
    raise SessionError(f"The execution provider {name} is not in this onnxruntime or its plugins, which are {known}.")
