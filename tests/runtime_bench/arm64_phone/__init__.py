"""A phone's system for 64-bit Arm with a real adbd, run by qemu in a namespace of its own."""
