"""One package per backend, which registers itself by name: its object ``BACKEND``."""
