// What measuring costs: timed blocks against bare loops of the same inferences.
#pragma once

#include <nlohmann/json.hpp>

#include "session.h"

// Blocks and bare loops of a prepared session in turn (A B B A) for `seconds`. The answer has, in
// percent of a bare inference: "reported" (how much longer the block says an inference takes) and
// "total" (how much longer the block takes in all), the medians over the repetitions.
nlohmann::json measure_overhead(Session& session, double seconds);
