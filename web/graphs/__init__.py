"""The Graphs page: lines of any sensors over time, saved, shared, and as files."""
