#include "energy.h"

#include <cmath>

#include "clock.h"
#include "machine.h"

EnergyMeter::EnergyMeter(const nlohmann::json& power) {
  if (power.is_null()) return;
  current_ = power.at("current_ua").get<std::string>();
  voltage_ = power.at("voltage_uv").get<std::string>();
  readable_ = true;
  sample(wall_ns());
}

void EnergyMeter::poll() {
  if (!readable_) return;
  const int64_t now = wall_ns();
  if (now - last_ns_ >= kSampleNs) sample(now);
}

std::optional<double> EnergyMeter::finish() {
  if (readable_) sample(wall_ns());
  if (!readable_) return std::nullopt;
  return joules_ * 1e6;
}

void EnergyMeter::sample(int64_t now) {
  const auto microamperes = number_in(current_);
  const auto microvolts = number_in(voltage_);
  if (!microamperes || !microvolts) {
    readable_ = false;
    return;
  }
  // Makers disagree on the sign of a current that leaves the battery.
  const double watts = std::fabs(static_cast<double>(*microamperes)) * 1e-6 *
                       static_cast<double>(*microvolts) * 1e-6;
  if (started_) joules_ += (watts + last_watts_) / 2 * static_cast<double>(now - last_ns_) * 1e-9;
  started_ = true;
  last_ns_ = now;
  last_watts_ = watts;
}
