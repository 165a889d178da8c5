"""Tests of `chatstages.stage5_pool`."""
