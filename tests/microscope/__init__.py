"""Tests of the microscope; the folders mirror those of the package."""
