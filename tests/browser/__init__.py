"""The notebooks in front of a real browser."""
