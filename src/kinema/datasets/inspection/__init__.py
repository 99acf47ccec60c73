"""What looks at data and measures its reading: contents, problems, the steps of a sample, the time of a loader."""
