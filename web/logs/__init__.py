"""The log: of the journal, of the files of `Logging`, or of this process alone."""
