"""Checkpoint files: reading, downloading, loading with a report, saving."""
