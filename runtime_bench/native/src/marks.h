// Marks in the instruction stream, for an instruction counter that watches system calls.
//
// A mark is getpriority() with a `which` that no kernel knows: it fails with EINVAL and changes
// nothing, so a runner may set marks wherever it runs.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

enum class Phase { load = 1, first_inference = 2, counted_inference = 3 };

constexpr long kMark = 0x53514245;  // "SQBE"

inline void mark(Phase phase, bool begin) {
  syscall(SYS_getpriority, kMark, static_cast<long>(phase) * 2 + (begin ? 0 : 1));
}

// Marks the begin and the end of a phase, also when it ends with an exception.
class MarkedPhase {
 public:
  explicit MarkedPhase(Phase phase) : phase_(phase) { mark(phase_, true); }
  ~MarkedPhase() { mark(phase_, false); }
  MarkedPhase(const MarkedPhase&) = delete;
  MarkedPhase& operator=(const MarkedPhase&) = delete;

 private:
  const Phase phase_;
};
