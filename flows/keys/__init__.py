"""Keys of the signed repository: `edgewright keys`, and the flow that signs again before anything expires.

In come the worker's keys on this machine and those that persons name; out go signed metadata, sentences about what is
to be done with each key, and notices to people long before devices would refuse what is published.
"""

from flows.keys.keys_commands import keys

__all__ = ["keys"]
