"""Tests of `chatstages.faults`."""
