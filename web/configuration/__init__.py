"""The configuration as the pages change it: its file, its revisions, and a change on trial."""
