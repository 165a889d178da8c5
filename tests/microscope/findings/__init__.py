"""Tests of what the microscope finds."""
