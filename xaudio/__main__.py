"""The program `xaudio`, also as ``python -m xaudio``: Ctrl-C is one line even while the command line loads."""

import sys


def main() -> None:
    """Run the command line; see `xaudio.cli.app.main`."""
    try:
        from .cli.app import main as run
    except KeyboardInterrupt:
        print("xaudio: stopped; nothing was begun.", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
