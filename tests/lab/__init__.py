"""Tests of `chatstages.lab`."""
