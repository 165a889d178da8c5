"""Every order in which two threads can go on: `make schedules`, where frontrun is installed."""
