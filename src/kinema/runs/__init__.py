"""What a run keeps on disk: its work folder, settings, figures and what they say."""
