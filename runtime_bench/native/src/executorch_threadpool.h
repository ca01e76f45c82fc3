// The part of ExecuTorch's thread pool that the runner sets; the header that declares it is not
// shipped with the library. Only member functions that the library exports are named here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace executorch::extension::threadpool {

class ThreadPool final {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t threads);
};

ThreadPool* get_threadpool();

}  // namespace executorch::extension::threadpool
