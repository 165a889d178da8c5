"""What tests of the microscope need: recordings written by hand, programs to record."""
