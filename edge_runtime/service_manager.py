"""Notes to the service manager: systemd's sd_notify protocol, which is one datagram."""

import os
import socket


def notify(text: str) -> bool:
    """Send lines such as READY=1 or STATUS=...; return False where nobody listens, which is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.settimeout(1.0)
            channel.sendto(text.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
        except OSError:
            return False
    return True
