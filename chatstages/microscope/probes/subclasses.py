"""Subclasses of `socket.socket` that override its methods: TLS, a socket that can be stopped, a learner's.

Such a method is patched like the method that it overrides. Its call is recorded once, at the line of its
caller, with what the caller gave and got, and as ongoing from its beginning. What the method itself does to
sockets and selectors (it may wait for several, or call `super()`) is not recorded a second time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import wraps
from threading import get_ident
from types import FunctionType
from typing import Any

from chatstages.microscope.probes.patches import Patches, Wrapper, without_our_frame
from chatstages.microscope.probes.recorder import Recorder

# By the name of a method: what makes its patched form, from the original and whether it overrides another.
Makers = dict[str, Callable[[Wrapper, bool], Wrapper]]


class Subclasses:
    """The subclasses of `socket.socket`: those that there are, and those that are defined from now on."""

    def __init__(self, recorder: Recorder, makers: Makers) -> None:
        self._recorder, self._makers = recorder, makers

    def install(self, patches: Patches) -> None:
        """Patch the overriding methods of all subclasses."""
        for cls in set(all_subclasses(socket.socket)):
            self._patch(cls, patches)

        def __init_subclass__(cls: type[socket.socket], /, **kwargs: Any) -> None:
            super(socket.socket, cls).__init_subclass__(**kwargs)
            if not self._recorder.ended:
                self._patch(cls, patches)

        patches.put(socket.socket, "__init_subclass__", classmethod(__init_subclass__))

    def _patch(self, cls: type[socket.socket], patches: Patches) -> None:
        """Patch the methods that `cls` overrides itself, or with the help of a mix-in class."""
        before = cls.__mro__[: cls.__mro__.index(socket.socket)]
        for name, make in self._makers.items():
            owner = next((each for each in before if name in vars(each)), None)
            if owner is None or (owner is not cls and issubclass(owner, socket.socket)):
                continue  # it is not overridden, or was so by a base class, which is patched by itself
            method = vars(owner)[name]
            if isinstance(method, FunctionType):
                patches.put(cls, name, make(method, True))


def all_subclasses(cls: type[socket.socket]) -> Iterator[type[socket.socket]]:
    """Yield the subclasses of `cls`, and theirs; one with several bases several times."""
    for each in cls.__subclasses__():
        yield each
        yield from all_subclasses(each)


def quietly(recorder: Recorder, method: Wrapper) -> Wrapper:
    """Return `method` in a form that records nothing of what it does to sockets and selectors."""

    @wraps(method)
    def perform(*args: Any, **kwargs: Any) -> Any:
        ident = get_ident()
        try:
            recorder.inside.add(ident)
            return method(*args, **kwargs)
        except BaseException as error:
            without_our_frame(error)
            raise
        finally:
            recorder.inside.discard(ident)

    return perform
