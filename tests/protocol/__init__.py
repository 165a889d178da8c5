"""Tests of `chatstages.protocol`."""
