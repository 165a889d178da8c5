"""The tests mirror the package: one suite for what all stages share, one file for what each adds."""
