"""Tests of `chatstages.cli`."""
