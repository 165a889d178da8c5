"""Stage 5 beside other servers. `python -m benchmarks` measures; README.md says what, and how."""
