"""The files of a Linux C library that the runners load, apart from what the project puts there."""

LOADER = "ld-linux-aarch64.so.1"
#: The loader first. Hashes over them are taken in this order.
SYSTEM_LIBRARIES = (
    *(LOADER, "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
