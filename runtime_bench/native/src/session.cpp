#include "session.h"

#include <algorithm>
#include <cmath>

#include "arrays.h"
#include "clock.h"
#include "energy.h"
#include "machine.h"
#include "marks.h"

using nlohmann::json;

namespace {

// The same as in runners/protocol.py, which says why.
constexpr size_t kWarmUpWindow = 3;
constexpr double kWarmUpTolerance = 0.05;
constexpr int64_t kWarmUpNs = 300'000'000;
constexpr int64_t kLeadInNs = 150'000'000;

constexpr size_t kReserved = 1 << 14;  // room for times, so that growing never falls in a block

double median(std::vector<int64_t>::const_iterator begin,
              std::vector<int64_t>::const_iterator end) {
  std::vector<int64_t> sorted(begin, end);
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  if (sorted.size() % 2) return static_cast<double>(sorted[middle]);
  return static_cast<double>(sorted[middle - 1] + sorted[middle]) / 2;
}

int64_t from_seconds(const json& seconds) {
  return static_cast<int64_t>(std::llround(seconds.get<double>() * 1e9));
}

}  // namespace

bool is_steady(const std::vector<int64_t>& wall_ns) {
  if (wall_ns.size() < 2 * kWarmUpWindow || wall_ns.size() % kWarmUpWindow) return false;
  const auto middle = wall_ns.end() - kWarmUpWindow;
  const double before = median(middle - kWarmUpWindow, middle);
  return std::fabs(median(middle, wall_ns.end()) - before) <= kWarmUpTolerance * before;
}

Session::Session(const Runtime& runtime) : runtime_(runtime), all_cpus_(allowed_cpus()) {}

json Session::answer(const json& command) {
  if (!command.is_object() || !command.contains("command")) {
    throw Failure("This is no command: " + command.dump().substr(0, 60) + ".",
                  "Send one JSON object a line, with the key \"command\".");
  }
  const auto name = command.at("command").get<std::string>();
  if (name == "load") return load(command);
  if (name == "prepare") return prepare(command);
  if (name == "warm_up") return warm_up(command);
  if (name == "block") return block(command);
  if (name == "count") return count(command);
  throw Failure("There is no command " + name + ".",
                "Known are load, prepare, warm_up, block, count and quit.");
}

json Session::load(const json& command) {
  const auto path = command.at("model").get<std::string>();
  const int threads = command.at("threads").get<int>();
  if (threads < 1) {
    throw Failure("A model runs on 1 thread or more, not on " + std::to_string(threads) + ".");
  }
  // The earlier model goes first: its memory and its threads are not the new one's.
  model_.reset();
  prepared_ = false;
  // Threads that the runtime starts inherit the binding.
  const auto asked = command.value("cpus", std::vector<int>{});
  bind_to_cpus(asked.empty() ? all_cpus_ : asked);
  json answer = {{"event", "loaded"}};
  if (command.value("cold", false)) answer["cached_bytes"] = drop_from_page_cache(path);
  answer["rss_before_bytes"] = rss_bytes();
  {
    const MarkedPhase phase(Phase::load);
    const int64_t start = wall_ns();
    model_ = runtime_.open(path, threads);
    answer["load_ns"] = wall_ns() - start;
  }
  answer["peak_rss_bytes"] = peak_rss_bytes();
  answer["cpus_got"] = allowed_cpus();
  return answer;
}

json Session::prepare(const json& command) {
  if (!model_) throw Failure("No model is loaded.", "Send load first.");
  prepared_ = false;
  model_->set_inputs(input_tensors(command.at("inputs")));
  int64_t first_ns = 0;
  {
    const MarkedPhase phase(Phase::first_inference);
    const int64_t start = wall_ns();
    model_->run();
    first_ns = wall_ns() - start;
  }
  json outputs = describe_outputs(model_->outputs());
  model_->discard_outputs();
  prepared_ = true;
  return {{"event", "prepared"}, {"first_inference_ns", first_ns}, {"outputs", std::move(outputs)}};
}

json Session::warm_up(const json& command) {
  ready();
  Times times;
  const int64_t start = wall_ns();
  const int64_t limit = start + from_seconds(command.at("limit_s"));
  const int64_t enough = start + kWarmUpNs;
  for (int64_t now = start; now < limit && !(now >= enough && is_steady(times.wall_ns));) {
    now = timed_run(times);
  }
  return {{"event", "warm"}, {"steady", is_steady(times.wall_ns)}, {"wall_ns", times.wall_ns}};
}

json Session::block(const json& command) {
  ready();
  const int64_t seconds = from_seconds(command.at("seconds"));
  const auto minimum = command.at("minimum_iterations").get<size_t>();
  json answer = {{"event", "block"}, {"before", clocks_and_temperatures()}};
  EnergyMeter meter(command.value("power", json()));
  Times lead_in;
  Times times;
  times.wall_ns.reserve(kReserved);
  times.cpu_ns.reserve(kReserved);
  int64_t now = wall_ns();
  int64_t end = now + kLeadInNs;
  do {
    now = timed_run(lead_in);
    meter.poll();
  } while (now < end);
  end = now + seconds;
  while (times.wall_ns.size() < minimum || now < end) {
    now = timed_run(times);
    meter.poll();
  }
  const auto energy = meter.finish();
  answer["after"] = clocks_and_temperatures();
  answer["lead_in_ns"] = lead_in.wall_ns;
  answer["lead_in_cpu_ns"] = lead_in.cpu_ns;
  answer["wall_ns"] = times.wall_ns;
  answer["cpu_ns"] = times.cpu_ns;
  answer["peak_rss_bytes"] = peak_rss_bytes();
  const auto pss = pss_bytes();
  answer["pss_bytes"] = pss ? json(*pss) : json();
  answer["energy_uj"] = energy ? json(*energy) : json();
  return answer;
}

int64_t Session::bare_loop(int iterations) {
  Model& model = ready();
  const int64_t start = wall_ns();
  for (int i = 0; i < iterations; ++i) {
    model.run();
    model.discard_outputs();
  }
  return wall_ns() - start;
}

Session::Times Session::timed_loop(int iterations) {
  ready();
  EnergyMeter meter{json()};
  Times times;
  times.wall_ns.reserve(kReserved);
  times.cpu_ns.reserve(kReserved);
  for (int i = 0; i < iterations; ++i) {
    timed_run(times);
    meter.poll();
  }
  return times;
}

json Session::count(const json& command) {
  Model& model = ready();
  const auto inferences = command.at("inferences").get<int>();
  for (int i = 0; i < inferences; ++i) {
    {
      const MarkedPhase phase(Phase::counted_inference);
      model.run();
    }
    model.discard_outputs();
  }
  return {{"event", "counted"}};
}

Model& Session::ready() {
  if (!model_) throw Failure("No model is loaded.", "Send load first.");
  if (!prepared_) throw Failure("The model has no inputs.", "Send prepare first.");
  return *model_;
}

// Returns the time at which the inference ended. The order of the clocks is that of the Python
// runner: the processor's clock is read outside the wall clock's interval.
int64_t Session::timed_run(Times& times) {
  const int64_t cpu = cpu_ns();
  const int64_t start = wall_ns();
  model_->run();
  const int64_t end = wall_ns();
  times.cpu_ns.push_back(cpu_ns() - cpu);
  times.wall_ns.push_back(end - start);
  model_->discard_outputs();
  return end;
}
