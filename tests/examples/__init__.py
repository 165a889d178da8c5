"""The scripts in `examples/`, run as a learner runs them: each in a process of its own."""
