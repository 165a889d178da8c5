"""Tests of what the microscope draws."""
