"""``python -m nzip``: the command ``nzip``."""

import signal
import sys

from ._nzip import command


def main() -> int:
    """Runs the command with the arguments of this process, and gives its exit code."""
    # The command handles signals itself.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return command(["nzip", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
