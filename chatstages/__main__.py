"""`python -m chatstages` is the command `chatstages`."""

from chatstages.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
