"""Prefect's API as a child process that never outlives its parent: `python -P prefect_server.py PARENT SOCKET`.

PARENT is the process that starts it and holds the other end of its standard input. SOCKET is the number of an
inherited socket that listens already. The server ends when its input ends or when PARENT is gone, so a kill -9 of
PARENT ends it too.
"""

import os
import select
import signal
import socket
import sys
import threading
import time

GRACE_S = 5.0
LOOK_S = 1.0


def main(parent: int, descriptor: int) -> None:
    """Serve until the parent ends. Imports of the server take seconds, so the parent is watched before them."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    )
    server.run(sockets=[socket.socket(fileno=descriptor)])


def _end_with(parent: int) -> None:
    while os.getppid() == parent and not select.select([sys.stdin], [], [], LOOK_S)[0]:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)  # a server that hangs must not stay either


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
