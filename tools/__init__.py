"""The `jph` command: a module for each subcommand."""
