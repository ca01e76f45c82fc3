"""Two runs of one device: what became faster or slower, and when that cannot be said."""
