"""The emulated Arm64 device: profiles, the guest's files, and the counter of instructions."""
