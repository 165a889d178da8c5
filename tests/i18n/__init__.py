"""Tests of `chatstages.i18n`."""
