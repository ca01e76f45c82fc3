"""From results to something to read: one file for each format, all fed by content.py."""
