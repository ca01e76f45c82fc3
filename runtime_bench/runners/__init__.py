"""What runs on a device: one worker process per model, all with one contract (protocol.py)."""
