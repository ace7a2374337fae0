"""The command line: each file reads one group of commands, calls what does the work, and turns its end into an exit code."""
