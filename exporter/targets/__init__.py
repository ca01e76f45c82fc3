"""One package per target. A target registers itself by name; adding one touches no other room."""
