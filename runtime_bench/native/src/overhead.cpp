#include "overhead.h"

#include <algorithm>
#include <numeric>

#include "clock.h"

using nlohmann::json;

namespace {

constexpr int kIterations = 10;  // of a block and of a loop: short, so that drift hits both alike

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

struct Timed {
  double reported_ns;  // mean of the block's own times
  double total_ns;     // the whole block, by its number of inferences
};

}  // namespace

json measure_overhead(Session& session, double seconds) {
  const auto bare = [&] {
    return static_cast<double>(session.bare_loop(kIterations)) / kIterations;
  };
  const auto timed = [&] {
    const int64_t start = wall_ns();
    const Session::Times times = session.timed_loop(kIterations);
    const int64_t total = wall_ns() - start;
    const int64_t sum = std::accumulate(times.wall_ns.begin(), times.wall_ns.end(), int64_t{0});
    return Timed{static_cast<double>(sum) / kIterations, static_cast<double>(total) / kIterations};
  };
  std::vector<double> reported, total, bare_ns;
  const int64_t end = wall_ns() + static_cast<int64_t>(seconds * 1e9);
  do {
    const double first = bare();
    const Timed second = timed();
    const Timed third = timed();
    const double fourth = bare();
    const double without = (first + fourth) / 2;
    bare_ns.push_back(without);
    reported.push_back(((second.reported_ns + third.reported_ns) / 2 / without - 1) * 100);
    total.push_back(((second.total_ns + third.total_ns) / 2 / without - 1) * 100);
  } while (wall_ns() < end);
  return {{"event", "overhead"},
          {"repetitions", reported.size()},
          {"iterations", kIterations},
          {"bare_ns", median(bare_ns)},
          {"reported_percent", median(reported)},
          {"total_percent", median(total)}};
}
