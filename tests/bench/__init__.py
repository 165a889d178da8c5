"""Tests of `chatstages.bench`."""
