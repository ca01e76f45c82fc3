// Energy from a device's own meter of current and voltage.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

// Integrates current times voltage over a block, by the trapezoidal rule. The files are read
// between inferences only, and no more often than every kSampleNs.
class EnergyMeter {
 public:
  // `power` is {"current_ua": FILE, "voltage_uv": FILE} or null (no meter).
  explicit EnergyMeter(const nlohmann::json& power);
  // Reads the meter when it is due.
  void poll();
  // Microjoules since the first reading; none where a reading failed or there is no meter.
  std::optional<double> finish();

 private:
  static constexpr int64_t kSampleNs = 100'000'000;
  void sample(int64_t now);

  std::string current_;
  std::string voltage_;
  bool readable_ = false;
  bool started_ = false;
  int64_t last_ns_ = 0;
  double last_watts_ = 0;
  double joules_ = 0;
};
