"""The encoder for both families: its configuration, computation, weights and reference."""
