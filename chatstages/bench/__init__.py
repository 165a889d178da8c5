"""How fast servers are, side by side: the same load for each, in turn, each in a process of its own.

- `peers`: the servers, how each is started, and what its protocol looks like
- `load`: the program that makes the load, and what it counts (`slow_load` where there is no C compiler)
- `compare`: rounds, medians, and the result that a person sees
- `picture`: bars and curves

What is compared first of all is the processor time that the *server* needs to deliver one message to one
member. Unlike messages a second, it depends little on how fast the side that makes the load is.
"""

from chatstages.bench.compare import Comparison, measure

__all__ = ["Comparison", "measure"]
