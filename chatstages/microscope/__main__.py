"""BackgroundServer a program under the microscope, unchanged.

python -m chatstages.microscope [-o FILE] SCRIPT [ARGUMENTS]
python -m chatstages.microscope [-o FILE] -m MODULE [ARGUMENTS]
"""

from __future__ import annotations

import argparse
import atexit
import io
import os
import runpy
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

# Everything that is needed at the end is imported now: an import while the process ends would make Python
# forget that Ctrl-C was the reason for the end.
from chatstages.i18n import _
from chatstages.microscope import Scope, microscope
from chatstages.microscope.findings import explain
from chatstages.microscope.pictures import save_page
from chatstages.microscope.probes.recorder import current

PAGES = (".html", ".htm")
OURS = (__file__, runpy.__file__, "<frozen runpy>")


class CannotRun(Exception):
    """There is no such program, or its recording cannot be written; the message is one line."""


def run_script(argv: Sequence[str], out: str | Path | None = None) -> int:
    """Run `argv`, a script or ``-m`` and a module, and what it is given, as Python itself would.

    Its sockets, threads and locks are recorded until the process ends: then, after its last thread, the
    recording is written to `out` (by default named after the script, in the current folder), or, if that is
    called .html, a page with the pictures of it; what is suspicious goes to stderr. Whatever ends the script
    goes through: its exit status stays what it is. Raises CannotRun before it has begun.
    """
    is_module = argv[0] == "-m"
    name = argv[1] if is_module else argv[0]
    target = (
        Path(out) if out is not None else Path(f"{name if is_module else Path(name).stem}.microscope.json")
    )
    run = prepare_module(name) if is_module else prepare_script(name)
    try:
        target.touch()  # so that an error is reported before the program runs
    except OSError as error:
        raise CannotRun(f"{target}: {error.strerror}") from None
    stack = ExitStack()
    scope = stack.enter_context(microscope())
    target = target.absolute()  # the program may change the working directory

    process = os.getpid()

    def finish() -> None:
        if os.getpid() == process:  # a forked child writes no recording
            stack.close()
            write(scope, target)

    def finish_after_threads() -> None:
        if os.getpid() != process:
            return
        others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
        if not all(thread.daemon for thread in others):
            record_end(KeyboardInterrupt())  # only Ctrl-C ends the wait for them
        finish()
        with suppress(
            KeyboardInterrupt, OSError, ValueError
        ):  # it may take seconds, and stderr may be closed
            sys.stderr.write(f"{explain(scope.recording)!r}\n")

    atexit.register(finish_after_threads)
    write_when_killed(finish)
    sys.excepthook = without_us(sys.excepthook)
    sys.argv = [name, *argv[2 if is_module else 1 :]]
    try:
        run()
    except SystemExit:
        raise
    except BaseException as error:
        record_end(error)
        raise
    return 0


def record_end(error: BaseException) -> None:
    """Record what has ended the main thread, if that is not recorded yet."""
    recorder = current()
    if recorder is not None and not Scope(recorder.recording).of("run", thread="main"):
        recorder.record_end_of_main(error)


def prepare_script(name: str) -> Any:
    """Return a function that runs the script. Raises CannotRun where that cannot be read or compiled."""
    path = Path(name).absolute()
    try:
        with io.open_code(str(path)) as file:
            source = file.read()
    except OSError as error:
        raise CannotRun(f"{name}: {error.strerror}") from None
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise CannotRun(f"{name}: {type(error).__name__}: {error}") from None

    def run() -> None:
        module = ModuleType("__main__")
        module.__dict__.update(__file__=str(path), __builtins__=__builtins__)
        sys.modules["__main__"] = module  # also for threads that are running when the script has ended
        sys.path[0] = str(path.parent)
        exec(code, module.__dict__)

    return run


def prepare_module(name: str) -> Any:
    """Return a function that runs the module. Raises CannotRun where there is none."""
    sys.path[0] = os.getcwd()
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise CannotRun(_("There is no module {name}.").format(name=name))
    return lambda: runpy.run_module(name, run_name="__main__", alter_sys=True)


def write(scope: Scope, target: Path) -> None:
    """Write the recording, or a page with its pictures, and say so on stderr."""
    is_page = target.suffix in PAGES
    try:
        save_page(scope.recording, target) if is_page else scope.save(target)
    except OSError as error:
        sys.stderr.write(f"{target}: {error.strerror}\n")
        return
    if is_page:
        sentence = _("The pictures are in {file}: {count} events. Open it in a browser.")
    else:
        sentence = _("The recording is in {file}: {count} events. Perfetto (ui.perfetto.dev) shows it.")
    with suppress(OSError, ValueError):  # stderr may be closed
        sys.stderr.write(sentence.format(file=target, count=len(scope.events)) + "\n")


def write_when_killed(finish: Any) -> None:
    """On SIGTERM call `finish`, then let the signal end the process."""
    if sys.platform == "win32" or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def end(number: int, _frame: FrameType | None) -> None:
        finish()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)


def without_us(hook: Any) -> Any:
    """Return an excepthook that shows the frames of the program, and not ours."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        inner = trace
        while inner is not None and inner.tb_frame.f_code.co_filename != __file__:
            inner = inner.tb_next  # the frames of our callers
        while inner is not None and is_ours(inner):
            inner = inner.tb_next
        hook(kind, error.with_traceback(inner or trace), inner or trace)

    return show


def is_ours(trace: TracebackType) -> bool:
    """Tell whether that frame is ours, and not the program's."""
    return trace.tb_frame.f_code.co_filename in OURS


def main(argv: Sequence[str] | None = None, prog: str = "python -m chatstages.microscope") -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [-o FILE] SCRIPT|-m MODULE [ARGUMENTS]",
        description=_("Run a program, and record what its sockets, threads and locks do."),
    )
    parser.add_argument(
        "-o",
        dest="out",
        metavar=_("FILE"),
        help=_("where to write the recording; a page with the pictures if it ends in .html"),
    )
    arguments = list(sys.argv[1:] if argv is None else argv)
    # What follows the name of the program are the program's own arguments.
    taken = 0
    while taken < len(arguments) and arguments[taken].startswith("-") and arguments[taken] != "-m":
        taken += 2 if arguments[taken] == "-o" else 1
    options = parser.parse_args(arguments[:taken])
    program = arguments[taken:]
    if not program or program == ["-m"]:
        parser.error(_("say which program to run"))
    try:
        return run_script(program, options.out)
    except CannotRun as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
