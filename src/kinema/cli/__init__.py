"""The command line: one file a command. Results go to stdout, logs and progress to stderr."""
