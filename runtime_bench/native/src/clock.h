// The two clocks of a measurement, in nanoseconds.
#pragma once

#include <time.h>

#include <cstdint>

inline int64_t nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

inline int64_t wall_ns() { return nanoseconds(CLOCK_MONOTONIC); }

// Summed over the threads of this process.
inline int64_t cpu_ns() { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }
