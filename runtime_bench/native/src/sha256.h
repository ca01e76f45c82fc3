// SHA-256 (FIPS 180-4), so that outputs are compared byte by byte across devices.
#pragma once

#include <cstddef>
#include <string>

// The digest in lower-case hexadecimal digits.
std::string sha256(const void* data, size_t size);
