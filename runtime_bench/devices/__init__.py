"""Where it runs: one file for each kind of device, all behind the protocol in base.py."""
