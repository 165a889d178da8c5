"""Tests of `chatstages.runtime`."""
